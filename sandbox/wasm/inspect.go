package wasm

import "engram-mcp/sandbox/meter"

// Inspect tells what a module is and, once it has been rewritten, what that
// changed, without running anything of it. If the module would be refused, the
// error says why, and Info holds what could be read before.
func Inspect(wasm []byte) (meter.Info, error) {
	_, info, err := meter.Rewrite(wasm, meter.Options{Allow: allowed, Limits: meter.Limits{MemoryPages: hardPages}})
	if err != nil {
		info, _ = meter.Inspect(wasm) // what it finds wrong was found before
		return info, refusal(err)
	}
	return info, nil
}
