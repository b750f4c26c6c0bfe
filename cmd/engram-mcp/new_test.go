package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// toolchains say, by language, what is missing here to build agents in it, and
// what build.sh must be told to find the rest.
var toolchains = map[string]func() (env []string, missing string){
	"go": func() ([]string, string) { return []string{"GOFLAGS=-buildvcs=false"}, lacking("go") },
	"c": func() ([]string, string) {
		clang := firstOnPath(os.Getenv("CLANG"), "clang", "clang-22", "clang-21", "clang-20", "clang-19")
		if clang == "" {
			return nil, "clang"
		}
		linker, err := exec.Command(clang, "--target=wasm32", "-print-prog-name=wasm-ld").Output()
		if err != nil || lacking(strings.TrimSpace(string(linker))) != "" {
			return nil, "wasm-ld for " + clang
		}
		return []string{"CLANG=" + clang}, ""
	},
	"rust": func() ([]string, string) {
		for _, env := range [][]string{{"RUSTC=" + os.Getenv("RUSTC")}, {"RUSTC=rustc"}, {"RUSTC=/usr/bin/rustc", "LINKER=wasm-ld-14"}} { // the last is Debian's
			lib, err := exec.Command(strings.TrimPrefix(env[0], "RUSTC="), "--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
			if err != nil {
				continue
			}
			if _, err := os.Stat(strings.TrimSpace(string(lib))); err == nil {
				return env, ""
			}
		}
		return nil, "rustc with the target wasm32-unknown-unknown"
	},
	"assemblyscript": func() ([]string, string) {
		asc := firstOnPath(os.Getenv("ASC"), "asc")
		if asc == "" {
			return nil, "asc of the npm package assemblyscript"
		}
		return []string{"ASC=" + asc}, ""
	},
	"wat": func() ([]string, string) { return nil, lacking("wat2wasm") },
	"js":  func() ([]string, string) { return nil, "" },
	"lua": func() ([]string, string) { return nil, "" },
}

func lacking(program string) string {
	if _, err := exec.LookPath(program); err != nil {
		return program
	}
	return ""
}

func firstOnPath(programs ...string) string {
	for _, p := range programs {
		if p != "" && lacking(p) == "" {
			return p
		}
	}
	return ""
}

// A new agent in any language builds with its one command and does what its
// examples say, on both engines.
func TestNewAgentBuildsAndVerifies(t *testing.T) {
	for _, l := range starters {
		if l.name != "go" { // that is the guide's: see TestGuideToAgents
			t.Run(l.name, func(t *testing.T) { newAgentVerifies(t, l.name, "tidy-notes", "") })
		}
	}
}

// Every function that a language has for the memory does what it says: the
// agent of testdata/tour calls all of them, in each language the same.
func TestNewAgentTour(t *testing.T) {
	tour, err := filepath.Abs("testdata/tour")
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range []string{"go", "rust", "c", "assemblyscript"} { // others have the functions of the host or of their runtime
		t.Run(language, func(t *testing.T) { newAgentVerifies(t, language, "tour", tour) })
	}
}

// newAgentVerifies makes, builds and verifies an agent, with files of its own
// in the place of those that it begins with, if any.
func newAgentVerifies(t *testing.T, language, name, files string) {
	if testing.Short() {
		t.Skip("building an agent takes seconds")
	}
	env, missing := toolchains[language]()
	if missing != "" {
		t.Skipf("there is no %s here", missing)
	}
	t.Chdir(t.TempDir())
	t.Setenv("ENGRAM_DATA_DIR", filepath.Join(t.TempDir(), "data"))
	engramMCP(t, "agent", "new", name, "--lang", language)
	if files != "" {
		for _, pattern := range []string{"*.json", language + "/*"} {
			from, err := filepath.Glob(filepath.Join(files, pattern))
			if err != nil || len(from) == 0 {
				t.Fatal(pattern, err)
			}
			for _, f := range from {
				text, err := os.ReadFile(f)
				if err == nil {
					err = os.WriteFile(filepath.Join(name, filepath.Base(f)), text, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join(name, "build.sh")); err == nil {
		build := exec.Command("sh", filepath.Join(name, "build.sh"))
		build.Env = append(os.Environ(), env...)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build.sh: %v\n%s", err, out)
		}
	}
	if out := engramMCP(t, "agent", "verify", name); strings.Count(out, "ok  ") < 3 {
		t.Errorf("it verifies little:\n%s", out)
	}
}

// engramMCP runs the program, which must end well, and returns its stdout.
func engramMCP(t *testing.T, args ...string) string {
	t.Helper()
	return answered(t, "", args...)
}

// answered is engramMCP with something to read on stdin.
func answered(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	var out, problems bytes.Buffer
	if code := run(context.Background(), args, strings.NewReader(stdin), &out, &problems); code != exitOK {
		t.Fatalf("engram-mcp %s: status %d\n%s%s", strings.Join(args, " "), code, out.Bytes(), problems.Bytes())
	}
	return out.String()
}

// What a new agent begins with names it, and nothing of where it comes from.
func TestNewAgentIsNamedThroughout(t *testing.T) {
	for _, l := range starters {
		files, err := l.project("tidy-notes")
		if err != nil {
			t.Fatal(l.name, err)
		}
		for _, f := range files {
			for _, stray := range []string{"starter", "examples/agents", "NAME", "../engram\"", "../engram.h\""} {
				if strings.Contains(f.text, stray) && !strings.HasPrefix(filepath.Base(f.name), "engram.") {
					t.Errorf("%s, %s: %q is left", l.name, f.name, stray)
				}
			}
		}
	}
}
