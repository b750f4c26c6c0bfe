#!/bin/sh
# Builds the Rust agents. The committed files were made by rustc 1.63 with lld 14
# (Debian: rustc, libstd-rust-dev-wasm32, lld-14); with a newer Rust that has the
# target wasm32-unknown-unknown, RUSTC=rustc LINKER=rust-lld does as well.
set -eu
cd "$(dirname "$0")"
for agent in chain contradict dedupe digest ingest redact rerank; do
  "${RUSTC:-/usr/bin/rustc}" --target wasm32-unknown-unknown --edition 2021 -C opt-level=s -C codegen-units=1 -C lto -C panic=abort -C strip=symbols \
    -C linker="${LINKER:-wasm-ld-14}" -C linker-flavor=wasm-ld -C link-arg=-zstack-size=131072 -C link-arg=--stack-first \
    --crate-type cdylib -o "${OUT:-$agent}/$agent.wasm" "$agent/$agent.rs"
done
