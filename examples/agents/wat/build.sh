#!/bin/sh
# Builds the agents in WebAssembly text. Needs wat2wasm of WABT (Debian: wabt).
set -eu
cd "$(dirname "$0")"
for agent in save guard; do
  wat2wasm -o "${OUT:-$agent}/$agent.wasm" "$agent/$agent.wat"
done
