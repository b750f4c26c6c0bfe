#!/bin/sh
# Builds lua.wasm. Needs Debian's clang-19, lld-19 and libclang-rt-19-dev-wasm32
# 19.1.7 and wasi-libc 0.0~git20220510; cargo, for Lua 5.4.9 in the crate lua-src
# 551.1.0; npm, for wasm-opt in binaryen 132.0.0, which turns the exceptions that
# clang writes into those of the standard.
set -eu
cd "$(dirname "$0")"
here=$PWD
out=$(cd "${OUT:-..}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/fetch"
cd "$work/fetch"
printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[dependencies]\nlua-src = "=551.1.0"\n' >Cargo.toml
: >lib.rs
cargo vendor -q vendor >/dev/null
lua=$work/fetch/vendor/lua-src/lua-5.4.9
(cd "$lua" && sha256sum --quiet -c "$here/lua-5.4.9.sha256")
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$work/npm" binaryen@132.0.0

cd "$here"
objects=
for c in "$lua"/*.c ./*.c; do
	warnings=-w
	case $c in
	*/ldblib.c | */linit.c | */liolib.c | */loslib.c | */loadlib.c) continue ;; # libraries that scripts do not get
	*/ldump.c | */lundump.c) continue ;;                                       # bytecode
	./*) warnings='-Wall -Wextra -Werror -Wno-unused-parameter' ;;
	esac
	object=$work/$(basename "$c").o
	# Without a jump table: Wasm has no computed goto, and emulating it is slower
	# than a switch. Seeds are constant, so that the same work costs the same.
	clang-19 --target=wasm32-wasi --sysroot=/usr -std=c2x -O2 -DNDEBUG $warnings -Iinclude -I"$lua" \
		-mbulk-memory -mllvm -wasm-enable-sjlj -DLUA_USE_JUMPTABLE=0 -DLUAI_MAXCCALLS=100 -Dl_signalT=int \
		'-Dluai_makeseed(L)=0x5eedu' '-Dl_randomizePivot()=(~0u)' \
		'-Dlua_writestring(s,l)=((void)0)' '-Dlua_writeline()=((void)0)' '-Dlua_writestringerror(s,p)=((void)0)' \
		-c -o "$object" "$c"
	objects="$objects $object"
done
# Linked apart, since clang would run whatever wasm-opt it finds. The stack comes
# first, so that it ends at an address that does not exist.
clang-19 --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -fuse-ld=lld -Wl,--strip-all \
	-Wl,--wrap=luaL_loadfilex -Wl,--stack-first,-z,stack-size=131072 -Wl,--initial-memory=1048576 \
	$objects -o "$work/legacy.wasm"
"$work/npm/node_modules/.bin/wasm-opt" -O2 --translate-to-exnref --enable-exception-handling --enable-reference-types \
	--enable-bulk-memory --enable-mutable-globals --enable-sign-ext --enable-nontrapping-float-to-int --enable-multivalue \
	"$work/legacy.wasm" -o "$out/lua.wasm"
chmod -x "$out/lua.wasm"
(cd "$out" && sha256sum lua.wasm >lua.wasm.sha256)
