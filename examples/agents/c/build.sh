#!/bin/sh
# Builds the C agents. Needs clang and wasm-ld of LLVM 19 (Debian: clang-19, lld-19).
set -eu
cd "$(dirname "$0")"
for agent in tally; do
  "${CLANG:-clang-19}" --target=wasm32 -Os -std=c11 -Wall -Wextra -Werror -nostdlib -mbulk-memory \
    -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -o "${OUT:-$agent}/$agent.wasm" "$agent/$agent.c"
done
