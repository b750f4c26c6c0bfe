#!/bin/sh
# Builds the guests that are kept as binaries. Debian packages: wabt 1.0.32,
# clang-19 and lld-19 19.1.7, rustc and libstd-rust-dev-wasm32 1.63 with
# lld-14; from npm: assemblyscript 0.28.20 (asc on the PATH). The Go guest is
# built by the test that runs it.
set -e
cd "$(dirname "$0")"
OUT="${OUT:-.}"
for f in kernels hostile; do wat2wasm --enable-tail-call src/$f.wat -o "$OUT/$f.wasm"; done
# Linked apart, since clang would run whatever wasm-opt it finds.
object=$(mktemp)
trap 'rm -f "$object"' EXIT
clang="${CLANG:-clang-19}"
"$clang" --target=wasm32 -O2 -mbulk-memory -msimd128 -mmultivalue -mtail-call -c -o "$object" src/work.c
"$clang" --target=wasm32 -nostdlib -Wl,--no-entry -Wl,--strip-debug -o "$OUT/work-c.wasm" "$object"
"${RUSTC:-/usr/bin/rustc}" --target wasm32-unknown-unknown -C opt-level=s -C linker=wasm-ld-14 -C linker-flavor=wasm-ld \
  -C strip=symbols -C panic=abort --crate-type cdylib -C lto -o "$OUT/work-rust.wasm" src/work.rs
"${ASC:-asc}" src/work.ts -O --runtime minimal --use abort= -o "$OUT/work-as.wasm"
chmod -x "$OUT"/*.wasm
