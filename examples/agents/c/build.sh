#!/bin/sh
# Builds the C agents. Needs clang and wasm-ld of LLVM 19 (Debian: clang-19, lld-19).
set -eu
cd "$(dirname "$0")"
clang="${CLANG:-clang-19}"
object=$(mktemp)
trap 'rm -f "$object"' EXIT
for agent in tally; do
  "$clang" --target=wasm32 -Os -std=c11 -ffreestanding -Wall -Wextra -Werror -mbulk-memory -c -o "$object" "$agent/$agent.c"
  # Linked apart, since clang would run whatever wasm-opt it finds.
  "$clang" --target=wasm32 -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -o "${OUT:-$agent}/$agent.wasm" "$object"
done
