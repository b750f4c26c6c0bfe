package wasm

import (
	"fmt"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/meter"
)

// manifestSection is the custom section that a manifest can be put in, so
// that an agent is one file.
const manifestSection = "engram.agent"

// ReadManifest returns the manifest inside a module. found is false if it has
// none; then a manifest has to come from beside it.
func ReadManifest(wasm []byte) (m sandbox.Manifest, found bool, err error) {
	info, err := meter.Inspect(wasm)
	if err != nil {
		return m, false, refusal(err)
	}
	data, found := info.Custom(manifestSection)
	if !found {
		return m, false, nil
	}
	m, err = sandbox.ParseManifest(data)
	if err != nil {
		return m, true, fmt.Errorf("custom section %s: %w", manifestSection, err)
	}
	if m.Runtime == "" {
		m.Runtime = "wasm"
	}
	return m, true, nil
}
