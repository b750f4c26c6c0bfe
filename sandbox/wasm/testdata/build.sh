#!/bin/sh
# Builds the guests of the tests that are kept as binaries. Debian packages: wabt 1.0.32,
# clang-19, lld-19 and libclang-rt-19-dev-wasm32 19.1.7, wasi-libc 0.0~git20220510; from npm:
# assemblyscript 0.28.20 (asc on the PATH) and @extism/as-pdk 1.0.0 (in AS_PATH, a node_modules).
set -eu
cd "$(dirname "$0")"
OUT="${OUT:-.}"
clang="${CLANG:-clang-19}"
object=$(mktemp)
trap 'rm -f "$object"' EXIT
# Linked apart, since clang would run whatever wasm-opt it finds.
"$clang" --target=wasm32 -Os -std=c11 -Wall -Wextra -Werror -mbulk-memory -c -o "$object" reference.c
"$clang" --target=wasm32 -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -o "$OUT/reference.wasm" "$object"
"$clang" --target=wasm32-wasi --sysroot=/usr -Os -std=c11 -Wall -Wextra -Werror -c -o "$object" command.c
"$clang" --target=wasm32-wasi --sysroot=/usr -Wl,--strip-all -o "$OUT/command.wasm" "$object"
for guest in hostile program player; do wat2wasm --enable-tail-call -o "$OUT/$guest.wasm" "$guest.wat"; done
"${ASC:-asc}" plugin.ts -O --runtime minimal --use abort=plugin/abort --path "${AS_PATH:-node_modules}" -o "$OUT/plugin.wasm"
chmod -x "$OUT"/*.wasm
