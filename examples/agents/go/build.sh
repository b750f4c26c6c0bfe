#!/bin/sh
# Builds the Go agents. Needs Go 1.24 or newer; the result (3 MB) is not kept in the repository.
set -eu
cd "$(dirname "$0")"
for agent in journal; do
  out="${OUT:-$PWD/$agent}/$agent.wasm"
  (cd "$agent" && GOOS=wasip1 GOARCH=wasm "${GO:-go}" build -buildmode=c-shared -trimpath -ldflags='-s -w' -o "$out" .)
done
