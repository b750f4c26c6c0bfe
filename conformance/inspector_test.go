package conformance

import (
	"strings"
	"testing"

	"engram-mcp/conformance/binary"
)

// A client that nobody here wrote uses the program: it lists the tools,
// remembers and recalls, over both transports, in both eras.
func TestInspectorUsesTheProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts several processes")
	}
	node := findNode(t)
	data := t.TempDir()
	over := startHTTP(t, data)
	for _, era := range []string{"legacy", "modern"} {
		for name, server := range map[string][]string{
			"http":  {"--cli", over.url + "/mcp", "--transport", "http"},
			"stdio": {"--cli", binary.Command(t, data).Path, "serve", "-e", "ENGRAM_DATA_DIR=" + data}, // it passes on nothing else of the environment
		} {
			t.Run(era+"/"+name, func(t *testing.T) {
				ask := func(args ...string) string {
					all := append(append([]string{inspector}, server...), "--protocol-era", era)
					return node(t, append(all, args...)...)
				}
				if out := ask("--method", "tools/list"); !strings.Contains(out, "engram_search") {
					t.Errorf("tools/list: %s", out)
				}
				fact := "the lighthouse of " + era + " " + name + " is red"
				if out := ask("--method", "tools/call", "--tool-name", "engram_create", "--tool-arg", "content="+fact); !strings.Contains(out, "created_at") {
					t.Errorf("engram_create: %s", out)
				}
				if out := ask("--method", "tools/call", "--tool-name", "engram_search", "--tool-arg", "query=colour of the lighthouse "+era+" "+name); !strings.Contains(out, fact) {
					t.Errorf("engram_search: %s", out)
				}
			})
		}
	}
}
