package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const exampleAgents = "../../examples/agents"

// Every example agent says what it gives, and gives it.
func TestExampleAgentsVerify(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(exampleAgents, "*", "*", "agent.json"))
	if err != nil || len(found) < 10 {
		t.Fatal(found, err)
	}
	for _, path := range found {
		dir := filepath.Dir(path)
		language := filepath.Base(filepath.Dir(dir))
		t.Run(language+"/"+filepath.Base(dir), func(t *testing.T) {
			if language == "go" {
				dir = builtInGo(t, dir)
			}
			engramMCP(t, "agent", "verify", dir)
		})
	}
}

// builtInGo is a copy of an example with its module, which is too large to be
// kept.
func builtInGo(t *testing.T, dir string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("building an agent takes seconds")
	}
	out := t.TempDir()
	if err := os.CopyFS(out, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("sh", filepath.Join(exampleAgents, "go", "build.sh"))
	build.Env = append(os.Environ(), "OUT="+out, "GOFLAGS=-buildvcs=false")
	if msg, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

// The guide's five commands do what it says: an agent that a client calls, and
// that looks at what others remember.
func TestGuideToAgents(t *testing.T) {
	if testing.Short() {
		t.Skip("building an agent takes seconds")
	}
	guide, err := os.ReadFile("../../docs/agents.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(guide)
	commands := strings.Split(strings.TrimSpace(string(block[1])), "\n")
	if len(commands) != 5 {
		t.Fatalf("the guide begins with %d commands", len(commands))
	}
	t.Chdir(t.TempDir())
	t.Setenv("ENGRAM_DATA_DIR", filepath.Join(t.TempDir(), "data"))
	t.Setenv("GOFLAGS", "-buildvcs=false")
	for _, line := range commands {
		words := strings.Fields(line)
		if words[0] == "engram-mcp" {
			answered(t, "yes\n", words[1:]...)
		} else if msg, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, msg)
		}
	}
	const session = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"guide","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"tidy-notes_note","arguments":{"text":"The ferry was late today"}}}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"engram_create","arguments":{"content":"the password of the safe"}}}
{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"engram_search","arguments":{"query":"safe"}}}
`
	answers := answered(t, session, "serve")
	for id, want := range map[string]string{"2": `"number":1`, "3": "tidy-notes refuses: it holds the word password", "4": `"hits":[]`} {
		line := regexp.MustCompile(`(?m)^.*"id":` + id + `[,}].*$`).FindString(answers)
		if !strings.Contains(strings.ReplaceAll(line, `\"`, `"`), want) {
			t.Errorf("answer %s has no %q: %s", id, want, line)
		}
	}
}
