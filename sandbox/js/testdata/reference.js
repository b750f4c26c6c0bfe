// The reference agent of sandboxtest, in JavaScript.

export const echo = (params) => params;

export const ask = ({ op, in: args }) => engram.call(op, args);

export function remember({ content }) {
  const first = engram.create(content, "reference", 0.9);
  const second = engram.create({ content: "a second one", source: "reference", confidence: 0.9 });
  engram.link(first, second, "about");
  return engram.call("engram_get", { ids: [first] });
}

export async function fail({ message }) {
  await null;
  throw new Error(message);
}

export function count() {
  globals.n = (globals.n ?? 0) + 1;
  return globals;
}

export function count_fail() {
  count();
  throw new Error("after counting");
}

export const peek = () => globals;

let kept = null;
export function mark({ value }) {
  const before = kept;
  kept = value;
  return before;
}

export function spin() {
  for (;;);
}

export function spin_try() {
  for (;;) {
    try {
      for (;;) null.x;
    } catch {
      Promise.reject(1).catch(() => {});
    }
  }
}

export function bomb() {
  const held = [];
  for (;;) held.push(new Uint8Array(1 << 20).fill(1), "x".repeat(10_000) + held.length);
}

export const shout = ({ bytes }) => "a".repeat(bytes - 2);

export function flood() {
  for (;;) {
    try {
      engram.search("x");
    } catch {}
  }
}

export { logged as log };
const logged = ({ text }) => log.warn(text);

const attempts = {
  file: () => import("/etc/passwd"),
  module: () => import("fs"),
  os: () => os.open("/etc/passwd"),
  std: () => std.getenv("PATH"),
  require: () => require("fs"),
  process: () => process.env.PATH,
  fetch: () => fetch("http://127.0.0.1"),
  scriptArgs: () => scriptArgs[0],
  performance: () => performance.now(),
};

export async function reach() {
  const reached = [];
  for (const [name, attempt] of Object.entries(attempts)) {
    try {
      await attempt();
      reached.push(name);
    } catch {}
  }
  return { reached };
}
