#!/bin/sh
# Builds ../lua.wasm. Needs Debian's clang-19, lld-19, libclang-rt-19-dev-wasm32
# (19.1.7) and wasi-libc (0.0~git20220510); cargo, which fetches Lua 5.4.9 in the
# crate lua-src 551.1.0; npm, which fetches wasm-opt in binaryen 132.0.0: that of
# clang writes an older form of exceptions.
set -eu
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/fetch"
cd "$work/fetch"
printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[dependencies]\nlua-src = "=551.1.0"\n' >Cargo.toml
: >lib.rs
cargo vendor -q vendor >/dev/null
lua=$work/fetch/vendor/lua-src/lua-5.4.9
(cd "$lua" && sha256sum -c "$here/lua-5.4.9.sha256" --quiet)
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$work/npm" binaryen@132.0.0
wasm_opt=$work/npm/node_modules/.bin/wasm-opt

cd "$here"
objects=
for c in "$lua"/*.c ./*.c; do
	case $c in
	*/ldblib.c | */linit.c | */liolib.c | */loslib.c | */loadlib.c) continue ;; # libraries that scripts do not get
	*/ldump.c | */lundump.c) continue ;;                                       # bytecode
	esac
	case $c in
	./*) warnings='-Wall -Wextra -Werror -Wno-unused-parameter' ;;
	*) warnings=-w ;;
	esac
	object=$work/$(basename "$c").o
	clang-19 --target=wasm32-wasi --sysroot=/usr -std=c2x -O2 -DNDEBUG $warnings \
		-Iinclude -I"$lua" -mbulk-memory -mllvm -wasm-enable-sjlj \
		-DLUAI_MAXCCALLS=100 -Dl_signalT=int '-Dluai_makeseed(L)=0x5eedu' '-Dl_randomizePivot()=(~0u)' \
		'-Dlua_writestring(s,l)=((void)0)' '-Dlua_writeline()=((void)0)' '-Dlua_writestringerror(s,p)=((void)0)' \
		-c -o "$object" "$c"
	objects="$objects $object"
done
# Linked apart, since clang would run whatever wasm-opt it finds.
clang-19 --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -fuse-ld=lld \
	-Wl,--wrap=luaL_loadfilex -Wl,--stack-first,-z,stack-size=131072 -Wl,--initial-memory=1048576 -Wl,--strip-all \
	$objects -o "$work/legacy.wasm"
"$wasm_opt" -O2 --enable-exception-handling --enable-reference-types --enable-bulk-memory --enable-mutable-globals \
	--enable-sign-ext --enable-nontrapping-float-to-int --enable-multivalue --translate-to-exnref \
	"$work/legacy.wasm" -o "$work/lua.wasm"
cp "$work/lua.wasm" ../lua.wasm
(cd .. && sha256sum lua.wasm >guest/lua.wasm.sha256)
