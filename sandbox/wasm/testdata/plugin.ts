// An Extism plug-in, made with the PDK for AssemblyScript: nothing in it knows
// of this sandbox.
import { Host, Var, Config } from "@extism/as-pdk";
import { length } from "@extism/as-pdk/lib/env";
import { Memory } from "@extism/as-pdk/lib/pdk";

// @ts-ignore
@external("extism:host/user", "engram_create")
declare function engram_create(offset: u64): u64;

function abort(message: string | null, file: string | null, line: u32, column: u32): void { unreachable(); }

export function greet(): i32 {
  const greeting = Config.get("greeting");
  Host.outputString(greeting == null ? "no greeting" : greeting + " " + Host.inputString());
  return 0;
}

// Counts its calls in a variable.
export function count_calls(): i32 {
  const before = Var.getString("n");
  const n = before === null ? 1 : I32.parseInt(before) + 1;
  Var.set("n", Uint8Array.wrap(String.UTF8.encode(n.toString())));
  Host.outputString(n.toString());
  return 0;
}

export function remember(): i32 {
  const input = Memory.allocateString(Host.inputString());
  const result = engram_create(input.offset);
  Host.outputMemory(new Memory(result, length(result)));
  return 0;
}
