#!/bin/sh
# Builds the guests of the tests. Needs clang and wasm-ld of LLVM 19 and wat2wasm of WABT.
set -eu
cd "$(dirname "$0")"
OUT="${OUT:-.}"
for guest in reference; do
  "${CLANG:-clang-19}" --target=wasm32 -Os -std=c11 -Wall -Wextra -Werror -nostdlib -mbulk-memory \
    -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -o "$OUT/$guest.wasm" "$guest.c"
done
for guest in *.wat; do
  [ -e "$guest" ] || continue
  wat2wasm --enable-tail-call -o "$OUT/${guest%.wat}.wasm" "$guest"
done
