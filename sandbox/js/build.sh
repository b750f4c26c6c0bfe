#!/bin/sh
# Builds js.wasm: QuickJS-NG 0.17.0, from the source distribution of the Python package quickjs-ng,
# with the glue of this directory. Debian packages: clang-19, lld-19 and libclang-rt-19-dev-wasm32
# 19.1.7, wasi-libc 0.0~git20220510; node 20 or newer; pip.
set -eu
cd "$(dirname "$0")"
OUT="${OUT:-.}"
clang="${CLANG:-clang-19}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pip download -q --no-deps --require-hashes --no-binary :all: -d "$work" -r source.txt
tar xzf "$work/quickjs_ng-0.17.0.2.tar.gz" -C "$work"
src=$work/quickjs_ng-0.17.0.2/upstream-quickjs
cp "$src"/*.c "$src"/*.h "$work"
sums=$PWD/SHA256SUMS
(cd "$work" && sed '/js.wasm/d' "$sums" | sha256sum -c --quiet)

# QuickJS counts on chars without a sign and on integers that wrap round. With assertions it would also look at
# its debugging flags at every instruction. The limit on inlining keeps it below a megabyte.
flags="--target=wasm32-wasi --sysroot=/usr -D_GNU_SOURCE -mbulk-memory -msign-ext -mnontrapping-fptoint -funsigned-char -fwrapv -ffunction-sections -fdata-sections"
"$clang" $flags -std=gnu11 -w -O2 -DNDEBUG -mllvm -inline-threshold=100 -c -o "$work/quickjs.o" "$work/quickjs.c" &
for part in dtoa libregexp libunicode; do "$clang" $flags -std=gnu11 -w -Os -DNDEBUG -c -o "$work/$part.o" "$work/$part.c"; done
for part in engram libc; do "$clang" $flags -std=c23 -Os -Wall -Wextra -Werror -I"$work" -c -o "$work/$part.o" "glue/$part.c"; done
wait

# The stack comes first, so that to run over its end is to leave the memory. The memory that it begins with is
# enough for most calls: an instance whose memory has grown cannot be used again.
"$clang" --target=wasm32-wasi --sysroot=/usr -nostartfiles -Wl,--no-entry -Wl,--strip-all -Wl,--gc-sections \
	-Wl,--stack-first -Wl,-z,stack-size=262144 -Wl,--initial-memory=2097152 -o "$work/booting.wasm" "$work"/*.o
node glue/snapshot.mjs "$work/booting.wasm" "$OUT/js.wasm"
