#!/bin/sh
# Builds ../js.wasm. Needs Debian's clang-19, lld-19, libclang-rt-19-dev-wasm32
# (19.1.7) and wasi-libc (0.0~git20220510); pip, which fetches QuickJS-NG 0.17.0
# in the source distribution of the Python package quickjs-ng 0.17.0.2.
set -eu
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pip download -q --no-deps --require-hashes --no-binary :all: -d "$work" -r quickjs-ng.txt
tar xzf "$work/quickjs_ng-0.17.0.2.tar.gz" -C "$work"
quickjs=$work/quickjs_ng-0.17.0.2/upstream-quickjs
(cd "$quickjs" && sha256sum -c "$here/quickjs-ng-0.17.0.sha256" --quiet)

# QuickJS counts on chars without a sign and on integers that wrap round. With
# assertions it would also look at its debugging flags at each instruction. The
# limit on inlining keeps it below a megabyte.
compile() {
	clang-19 --target=wasm32-wasi --sysroot=/usr -D_GNU_SOURCE -DNDEBUG -mbulk-memory -msign-ext -mnontrapping-fptoint \
		-funsigned-char -fwrapv -ffunction-sections -fdata-sections -I"$quickjs" "$@"
}
compile -std=gnu11 -w -O2 -mllvm -inline-threshold=115 -c -o "$work/quickjs.o" "$quickjs/quickjs.c"
for part in dtoa libregexp libunicode; do compile -std=gnu11 -w -Os -c -o "$work/$part.o" "$quickjs/$part.c"; done
for part in guest libc; do compile -std=c23 -Wall -Wextra -Werror -Os -c -o "$work/$part.o" "$part.c"; done

# The stack comes first, so that to run over its end is to leave the memory.
# What the memory begins with is enough for most calls: an instance whose
# memory has grown is not used again.
clang-19 --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -fuse-ld=lld -Wl,--strip-all,--gc-sections \
	-Wl,--stack-first,-z,stack-size=327680 -Wl,--initial-memory=2097152 "$work"/*.o -o "$work/js.wasm"
cp "$work/js.wasm" ../js.wasm
(cd .. && sha256sum js.wasm >guest/js.wasm.sha256)
