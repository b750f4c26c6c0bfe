package wasm

import (
	"testing"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/sandboxtest"
)

func TestSuite(t *testing.T) {
	for _, engine := range []string{"compiler", "interpreter"} {
		t.Run(engine, func(t *testing.T) {
			sandboxtest.Run(t, sandboxtest.Subject{
				Open: func(t testing.TB) sandbox.Runtime {
					r, err := New(Options{})
					if err != nil {
						t.Fatal(err)
					}
					return r
				},
				Loads:    map[string]int{"compiler": 1000, "interpreter": 200}[engine],
				Code:     file(t, "testdata/reference.wasm"),
				Manifest: func(m *sandbox.Manifest) { m.Engine = engine },
			})
		})
	}
}
