// The agent ABI engram:agent/1, for AssemblyScript. Text is UTF-8 JSON.

@external("engram", "input_len") declare function input_len(): u32;
@external("engram", "input_read") declare function input_read(to: usize, room: u32): u32;
@external("engram", "output") declare function host_output(at: usize, len: u32): void;
@external("engram", "call") declare function host_call(op: usize, opLen: u32, json: usize, len: u32): i32;
@external("engram", "result_read") declare function result_read(to: usize, room: u32): u32;
@external("engram", "log") declare function host_log(level: i32, at: usize, len: u32): void;

/** The input of this call. */
export function input(): string {
  const b = new ArrayBuffer(input_len());
  input_read(changetype<usize>(b), b.byteLength);
  return String.UTF8.decode(b);
}

/** Sets the result. */
export function output(json: string): void {
  const b = String.UTF8.encode(json);
  host_output(changetype<usize>(b), b.byteLength);
}

/** Whether the last call() was refused; its result is then the error. */
export let refused: bool = false;

/** Calls a tool by its name. */
export function call(op: string, json: string): string {
  const o = String.UTF8.encode(op), i = String.UTF8.encode(json);
  const n = host_call(changetype<usize>(o), o.byteLength, changetype<usize>(i), i.byteLength);
  refused = n < 0;
  const r = new ArrayBuffer(n < 0 ? -n : n);
  result_read(changetype<usize>(r), r.byteLength);
  return String.UTF8.decode(r);
}

/** Logs a line: level 0 debug, 1 info, 2 warn, 3 error. */
export function log(level: i32, text: string): void {
  const b = String.UTF8.encode(text);
  host_log(level, changetype<usize>(b), b.byteLength);
}
