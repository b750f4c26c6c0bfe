package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"engram-mcp": main,
		"http":       httpCommand,
		"pipeline":   pipelineCommand,
	})
}

// TestScripts runs the program as its user sees it. Each script has a home and
// a data directory of its own, and no network: what would use one goes to a
// proxy that is not there.
func TestScripts(t *testing.T) {
	agents, err := filepath.Abs("../../examples/agents")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Condition: func(cond string) (bool, error) {
			if cond == "namespaces" {
				return exec.Command("unshare", "-rm", "true").Run() == nil, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("USERPROFILE", env.WorkDir+"/home")
			env.Setenv("LocalAppData", env.WorkDir+"/home/local")
			env.Setenv("AppData", env.WorkDir+"/home/roaming")
			env.Setenv("ENGRAM_DATA_DIR", env.WorkDir+"/data")
			env.Setenv("NO_COLOR", "1")
			env.Setenv("AGENTS", agents)
			env.Setenv("TALLY", filepath.Join(agents, "c", "tally"))
			env.Setenv("HELLO", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"script","version":"1"}}}`)
			env.Setenv("CREATE", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"engram_create","arguments":{"content":"The boat goes out at dawn"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
			for _, proxy := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
				env.Setenv(proxy, "http://127.0.0.1:1")
			}
			return os.MkdirAll(env.WorkDir+"/home", 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"save":      save,
			"save-json": saveJSON,
			"status":    status,
			"expect":    expect,
			"spoil":     spoil,
			"address":   address,
			"token":     token,
		},
	})
}

// The agents that are built in are those that the examples show.
func TestBuiltInAgentsAreTheExamples(t *testing.T) {
	for built, example := range map[string]string{"tally.wasm": "c/tally/tally.wasm", "tally.json": "c/tally/agent.json",
		"guard.wasm": "wat/guard/guard.wasm", "guard.json": "wat/guard/agent.json"} {
		want, err := os.ReadFile(filepath.Join("../../examples/agents", example))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("demo", built))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("demo/%s differs from %s: copy the example over it", built, example)
		}
	}
}
