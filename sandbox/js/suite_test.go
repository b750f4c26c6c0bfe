package js

import (
	"os"
	"testing"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/sandboxtest"
	"engram-mcp/sandbox/wasm"
)

func file(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSandbox(t *testing.T) {
	for _, engine := range []string{"compiler", "interpreter"} {
		t.Run(engine, func(t *testing.T) {
			sandboxtest.Run(t, sandboxtest.Subject{
				Open: func(t testing.TB) sandbox.Runtime {
					rt, err := New(wasm.Options{})
					if err != nil {
						t.Fatal(err)
					}
					return rt
				},
				Loads:    map[string]int{"compiler": 400, "interpreter": 20}[engine],
				Code:     file(t, "testdata/reference.js"),
				Manifest: func(m *sandbox.Manifest) { m.Engine = engine },
				Lacks: map[string]string{
					"crash":   "a program cannot crash its interpreter",
					"corrupt": "a program reaches the host through the interpreter alone",
				},
			})
		})
	}
}
