package tools

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"engram-mcp/sandbox"
)

// Whatever a hook does, the call ends soon, as its policy says, and what was
// refused has left nothing.
func TestHooks_AreHostile(t *testing.T) {
	for _, action := range []string{"loop", "deep", "grow", "unreachable", "output", "call"} {
		for _, moment := range []string{"before:engram_create", "after:engram_create", "after:engram_search"} {
			t.Run(action+" "+moment, func(t *testing.T) {
				for _, policy := range []string{"fail", "skip"} {
					m := sandbox.Manifest{Name: "bad", Actions: []sandbox.Action{{Name: action}}, Grants: []string{"engram_create"},
						Limits: sandbox.Limits{MemoryMiB: 4, HostCalls: 20}, Hooks: []sandbox.Hook{{On: moment, Action: action, OnFailure: policy}}}
					set, ctx := inWasm(t, "../sandbox/wasm/testdata/hostile.wasm", m)
					count := func() string {
						out, err := set.Call(ctx, "memory_stats", nil)
						if err != nil {
							t.Fatal(err)
						}
						return string(out)
					}
					before := count()
					_, tool, _ := strings.Cut(moment, ":")
					start := time.Now()
					_, err := set.Call(ctx, tool, json.RawMessage(map[string]string{"engram_create": `{"content": "x"}`, "engram_search": `{"query": "x"}`}[tool]))
					if took := time.Since(start); took > 5*time.Second {
						t.Errorf("it took %v", took)
					}
					text, kind := Explain(err)
					switch {
					case policy == "skip" && err != nil:
						t.Errorf("it harms the call: %s", text)
					case policy == "fail" && err == nil:
						t.Error("it failed, and the call did not")
					case policy == "fail" && err != nil && (kind == "" || !strings.Contains(text, `agent "bad"`)):
						t.Errorf("the caller is told %q (%s)", text, kind)
					}
					if err != nil && engramsIn(t, count()) != engramsIn(t, before) {
						t.Error("something was written")
					}
				}
			})
		}
	}
}

func engramsIn(t *testing.T, stats string) any {
	t.Helper()
	return decoded(t, json.RawMessage(stats))["ops"]
}
