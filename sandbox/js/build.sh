#!/bin/sh
set -eu
cd "$(dirname "$0")"
SRC=/tmp/js-src/quickjs_ng-0.17.0.2/upstream-quickjs
OUT="${OUT:-.}"
clang=clang-19
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="--target=wasm32-wasi --sysroot=/usr -std=c23 -D_GNU_SOURCE -O2 -mbulk-memory -msign-ext -mnontrapping-fptoint -funsigned-char -fwrapv -ffunction-sections -fdata-sections -D_WASI_EMULATED_SIGNAL"
for f in dtoa libregexp libunicode quickjs; do
	"$clang" $flags -w -std=gnu11 -c -o "$work/$f.o" "$SRC/$f.c" &
done
for f in engram libc; do "$clang" $flags -Wall -Wextra -Werror -I"$SRC" -c -o "$work/$f.o" "glue/$f.c"; done
wait
"$clang" --target=wasm32-wasi --sysroot=/usr -nostartfiles -Wl,--no-entry -Wl,--strip-all -Wl,--gc-sections \
	-Wl,--stack-first -Wl,-z,stack-size=262144 -o "$OUT/js.wasm" "$work"/*.o
ls -la "$OUT/js.wasm"
