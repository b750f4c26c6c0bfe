// Package binary is for tests that judge engram-mcp from outside: it builds the
// program once and runs it as its users do. [Command] is a command line, a
// [Stdio] is a server on its standard streams; [Call] makes a message for it,
// and [Structured] reads its answer.
package binary

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// built is the directory that the program was built into, if it was.
var built string

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "engram-conformance")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "engram-mcp")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", path, "engram-mcp/cmd/engram-mcp")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// Main is the TestMain of packages that use this one: it runs the tests, and
// removes the program after them.
func Main(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// Command is a command line of the program on a data directory, with nothing of
// the environment that could change what it does.
func Command(t testing.TB, data string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "ENGRAM_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "ENGRAM_DATA_DIR="+data)
	return cmd
}

// A Stdio is a server on its standard streams. It is killed when the test ends.
type Stdio struct {
	Cmd *exec.Cmd
	In  io.WriteCloser
	Out *bufio.Reader
	err bytes.Buffer
}

// Start starts a server on a data directory, with arguments of the command
// serve.
func Start(t testing.TB, data string, args ...string) *Stdio {
	t.Helper()
	return Serve(t, Command(t, data, append([]string{"serve"}, args...)...))
}

// Serve starts the server that is the command line cmd.
func Serve(t testing.TB, cmd *exec.Cmd) *Stdio {
	t.Helper()
	s := &Stdio{Cmd: cmd}
	s.Cmd.Stderr = &s.err
	var err error
	if s.In, err = s.Cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.Out = bufio.NewReaderSize(out, 1<<20)
	if err := s.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Cmd.Process.Kill(); _ = s.Cmd.Wait() })
	return s
}

// Send sends a message and returns the answer, or nil to a notification.
func (s *Stdio) Send(t testing.TB, message []byte) []byte {
	t.Helper()
	if _, err := s.In.Write(append(message, '\n')); err != nil {
		t.Fatalf("send: %v\n%s", err, s.err.String())
	}
	if !ExpectsAnswer(message) {
		return nil
	}
	return s.Receive(t)
}

// Receive returns the next answer, past notifications.
func (s *Stdio) Receive(t testing.TB) []byte {
	t.Helper()
	for {
		line, err := s.Out.ReadBytes('\n')
		if err != nil {
			t.Fatalf("no answer: %v\n%s", err, s.err.String())
		}
		if line = bytes.TrimSpace(line); IsAnswer(line) {
			return line
		}
	}
}

// Close ends stdin: the server is to answer what it has, and go.
func (s *Stdio) Close(t testing.TB) {
	t.Helper()
	_ = s.In.Close()
	rest, _ := io.ReadAll(s.Out)
	done := make(chan error, 1)
	go func() { done <- s.Cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("the server ended with %v\n%s", err, s.err.String())
		}
	case <-time.After(20 * time.Second):
		t.Error("the server did not end with its input")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("left on stdout: %s", rest)
	}
}

// ExpectsAnswer reports whether a message is a request.
func ExpectsAnswer(message []byte) bool {
	var m struct{ ID json.RawMessage }
	return json.Unmarshal(message, &m) != nil || m.ID != nil
}

// IsAnswer reports whether a message answers a request.
func IsAnswer(line []byte) bool {
	var m struct {
		ID     json.RawMessage
		Method string
	}
	return json.Unmarshal(line, &m) == nil && m.ID != nil && m.Method == ""
}

// Call is a tools/call of the older era.
func Call(id int, tool string, args any) []byte {
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": args}})
	if err != nil {
		panic(err) // a test gave what JSON does not have
	}
	return b
}

const (
	initialize  = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"conformance","version":"1"}}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
)

// Begin shakes hands as clients of the older era do.
func (s *Stdio) Begin(t testing.TB) {
	t.Helper()
	s.Send(t, []byte(initialize))
	s.Send(t, []byte(initialized))
}

// Structured decodes the structured content of the answer to a tools/call into
// to. The test fails if the call has failed.
func Structured(t testing.TB, answer []byte, to any) {
	t.Helper()
	var m struct {
		Result struct {
			IsError           bool
			StructuredContent json.RawMessage
		}
		Error json.RawMessage
	}
	if err := json.Unmarshal(answer, &m); err != nil {
		t.Fatal(err)
	}
	if m.Error != nil || m.Result.IsError {
		t.Fatalf("the call failed: %s", answer)
	}
	if err := json.Unmarshal(m.Result.StructuredContent, to); err != nil {
		t.Fatal(err)
	}
}
