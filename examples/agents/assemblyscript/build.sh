#!/bin/sh
# Builds the AssemblyScript agents. Needs asc 0.28.20 on the PATH (npm package assemblyscript).
set -eu
cd "$(dirname "$0")"
for agent in lines; do
  "${ASC:-asc}" "$agent/$agent.ts" -O --runtime minimal --use abort= -o "${OUT:-$agent}/$agent.wasm"
done
