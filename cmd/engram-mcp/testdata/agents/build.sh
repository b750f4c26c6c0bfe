#!/bin/sh
# Builds the agents of the scripts. Needs wat2wasm of WABT (Debian: wabt).
set -eu
cd "$(dirname "$0")"
for agent in adrift; do
  wat2wasm -o "${OUT:-$agent}/$agent.wasm" "$agent/$agent.wat"
done
