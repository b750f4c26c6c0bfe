// Runs boot of an interpreter and writes the module anew with the memory that
// boot left behind, so that no instance has to run it again.
//
//   node snapshot.mjs IN.wasm OUT.wasm
import { readFileSync, writeFileSync } from "node:fs";

const [input, outputFile] = process.argv.slice(2);
const bytes = readFileSync(input);

// boot may look at the clock, and reaches nothing else.
const imports = {};
const compiled = new WebAssembly.Module(bytes);
for (const { module, name } of WebAssembly.Module.imports(compiled)) {
  (imports[module] ??= {})[name] = () => {
    if (name !== "clock_time_get") throw new Error(`boot called ${module}.${name}`);
    return 0;
  };
}
const { exports } = new WebAssembly.Instance(compiled, imports);
const pages = exports.memory.buffer.byteLength >> 16;
exports.boot();
if (exports.memory.buffer.byteLength >> 16 !== pages) throw new Error("boot has grown the memory: raise --initial-memory");
const memory = new Uint8Array(exports.memory.buffer);

const leb = (n) => {
  const out = [];
  do {
    out.push((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
    n >>>= 7;
  } while (n > 0);
  return out;
};
const sleb = (n) => { // of a number that is not negative
  const out = leb(n);
  if (out.at(-1) & 0x40) out.push(out.pop() | 0x80, 0);
  return out;
};

// Runs of memory between gaps of at least so many zeros; a segment costs less.
const gap = 16;
const runs = [];
for (let at = 0; at < memory.length; at++) {
  if (memory[at] === 0) continue;
  const last = runs.at(-1);
  if (last && at - last.end < gap) last.end = at + 1;
  else runs.push({ start: at, end: at + 1 });
}
const data = [leb(runs.length)];
for (const { start, end } of runs) data.push([0, 0x41, ...sleb(start), 0x0b, ...leb(end - start)], memory.subarray(start, end));

const SECTION = { export: 7, dataCount: 12, data: 11 };
const withoutBoot = (section) => {
  let at = 0;
  const number = () => {
    let n = 0;
    for (let shift = 0; ; shift += 7) {
      const b = section[at++];
      n |= (b & 0x7f) << shift;
      if (b < 0x80) return n >>> 0;
    }
  };
  const kept = [];
  for (let left = number(); left > 0; left--) {
    const from = at;
    const name = Buffer.from(section.subarray(at + 1, (at += 1 + section[at]))).toString(); // names are short
    at++;
    number();
    if (name !== "boot") kept.push(section.subarray(from, at));
  }
  return [leb(kept.length), ...kept];
};

const out = [bytes.subarray(0, 8)];
for (let at = 8; at < bytes.length; ) {
  const id = bytes[at++];
  let size = 0;
  for (let shift = 0; ; shift += 7) {
    const b = bytes[at++];
    size |= (b & 0x7f) << shift;
    if (b < 0x80) break;
  }
  const section = bytes.subarray(at, (at += size));
  if (id === SECTION.dataCount || id === SECTION.data) continue;
  const parts = id === SECTION.export ? withoutBoot(section) : [section];
  const body = Buffer.concat(parts.map((p) => Uint8Array.from(p)));
  out.push([id, ...leb(body.length)], body);
}
const body = Buffer.concat(data.map((p) => Uint8Array.from(p)));
out.push([SECTION.data, ...leb(body.length)], body);
const written = Buffer.concat(out.map((p) => Uint8Array.from(p)));
new WebAssembly.Module(written); // is it valid?
writeFileSync(outputFile, written);

let touched = 0;
for (let at = 0; at < memory.length; at += 4096) if (memory.subarray(at, at + 4096).some((b) => b)) touched++;
console.log(`${written.length} bytes; ${body.length} of data in ${runs.length} runs; ${touched * 4} KiB of ${memory.length >> 10} are not zero`);
