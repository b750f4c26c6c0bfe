package conformance

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"engram-mcp/conformance/binary"
)

const (
	pythonClients     = "../examples/clients/python"
	typescriptClients = "../examples/clients/typescript"
	tally             = "../examples/agents/c/tally"
)

// told is what every example of a client prints, in whatever language and
// framework, when the program does for it what it should.
const told = `remembered: 2
linked: before
recalled: Ada prefers tea in the morning
counted: {"Ada": 1, "calendar": 1}`

// The examples in Python use the program over both transports, and the package
// engram_mcp keeps its promises, with both generations of the official SDK.
func TestPythonClients(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	for _, sdk := range []struct {
		name, venv, requirements string
		programs                 []string
	}{
		{"sdk1", ".venv", "requirements.txt", []string{"sdk_v1", "langchain_tools", "pydantic_agent", "openai_agent"}},
		{"sdk2", ".venv-mcp2", "requirements-mcp2.txt", []string{"sdk_v2", "pydantic_agent", "openai_agent"}},
	} {
		t.Run(sdk.name, func(t *testing.T) {
			python := venvPython(t, sdk.venv, sdk.requirements)
			for _, program := range sdk.programs {
				t.Run(program, func(t *testing.T) {
					tellsOverBoth(t, pythonClients, python, program+".py")
				})
			}
			t.Run("types", func(t *testing.T) {
				mypy := []string{"-m", "mypy", "--strict", "--cache-dir", t.TempDir()}
				t.Log(clientCommand(t, pythonClients, nil, python, append(mypy, withSuffix(sdk.programs, ".py")...)...))
				t.Log(clientCommand(t, pythonClients+"/engram_mcp", nil, python, append(mypy, "src", "tests")...))
			})
			t.Run("tests of engram_mcp", func(t *testing.T) {
				env := []string{"ENGRAM_BINARY=" + binary.Command(t, "").Path}
				t.Log(clientCommand(t, pythonClients+"/engram_mcp", env, python, "-m", "pytest", "-q"))
			})
		})
	}
}

// The examples in TypeScript are compiled strictly, and use the program over
// both transports, with both generations of the official SDK.
func TestTypeScriptClients(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts several processes")
	}
	if _, err := os.Stat(filepath.Join(typescriptClients, "node_modules", "typescript")); err != nil {
		t.Skip("the packages of the examples in TypeScript are not installed: run `npm ci --ignore-scripts` in examples/clients/typescript")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	clientCommand(t, typescriptClients, nil, node, "node_modules/typescript/bin/tsc")
	for _, program := range []string{"sdk_v1", "sdk_v2"} {
		t.Run(program, func(t *testing.T) {
			tellsOverBoth(t, typescriptClients, node, "dist/"+program+".js")
		})
	}
}

// venvPython is the interpreter that has what requirements lists.
func venvPython(t *testing.T, venv, requirements string) string {
	t.Helper()
	python := filepath.Join(pythonClients, venv, "bin", "python")
	if runtime.GOOS == "windows" {
		python = filepath.Join(pythonClients, venv, "Scripts", "python.exe")
	}
	if _, err := os.Stat(python); err != nil {
		t.Skipf("there is no %s: in examples/clients/python, run `python3 -m venv %s && %s/bin/pip install --require-hashes -r %s`", python, venv, venv, requirements)
	}
	python, err := filepath.Abs(python)
	if err != nil {
		t.Fatal(err)
	}
	return python
}

// tellsOverBoth runs an example that starts a server of its own, and one that
// comes to a server over HTTP with a token. Each finds an empty memory with the
// agent tally.
func tellsOverBoth(t *testing.T, dir, interpreter, program string) {
	for _, transport := range []string{"stdio", "http"} {
		t.Run(transport, func(t *testing.T) {
			data, args := t.TempDir(), []string{program}
			env := []string{"ENGRAM_DATA_DIR=" + data}
			if out, err := binary.Command(t, data, "agent", "install", tally).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if transport == "http" {
				env = []string{"ENGRAM_TOKEN=" + createToken(t, data)}
				args = append(args, listenHTTP(t, data).url+"/mcp")
			}
			if got := strings.TrimSpace(clientCommand(t, dir, env, interpreter, args...)); got != told {
				t.Errorf("it tells\n%s\nand not\n%s", got, told)
			}
		})
	}
}

func createToken(t *testing.T, data string) string {
	t.Helper()
	out, err := binary.Command(t, data, "token", "create", "example", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Token string }
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	return made.Token
}

// clientCommand runs a command in dir to its end, with the program on the path
// and nothing but this machine in reach, and returns what it printed on stdout.
func clientCommand(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	program := binary.Command(t, "")
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	const nowhere = "http://127.0.0.1:9"
	cmd.Env = append(program.Env[:len(program.Env)-1], // without the data directory
		"PATH="+filepath.Dir(program.Path)+string(filepath.ListSeparator)+os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1",
		"HTTP_PROXY="+nowhere, "HTTPS_PROXY="+nowhere, "NO_PROXY=127.0.0.1,localhost")
	cmd.Env = append(cmd.Env, env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", filepath.Base(name), strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

func withSuffix(names []string, suffix string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = name + suffix
	}
	return list
}
