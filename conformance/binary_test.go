package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// binary builds the program once, as its users do.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "engram-conformance")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "engram-mcp")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", path, "./cmd/engram-mcp")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// program is a command line of the binary on a data directory, with nothing of
// the environment that could change what it does.
func program(t testing.TB, data string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
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

// A wire carries JSON-RPC messages to a server, one at a time.
type wire interface {
	// send sends a message and returns the answer, or nil to a notification.
	send(t *testing.T, message []byte) []byte
	close(t *testing.T)
}

// stdio is a server on its standard streams.
type stdio struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer
}

func startStdio(t *testing.T, data string, args ...string) *stdio {
	t.Helper()
	s := &stdio{cmd: program(t, data, append([]string{"serve"}, args...)...)}
	s.cmd.Stderr = &s.err
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReaderSize(out, 1<<20)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait() })
	return s
}

func (s *stdio) send(t *testing.T, message []byte) []byte {
	t.Helper()
	if _, err := s.in.Write(append(message, '\n')); err != nil {
		t.Fatalf("send: %v\n%s", err, s.err.String())
	}
	if !expectsAnswer(message) {
		return nil
	}
	return s.receive(t)
}

// receive returns the next answer, past notifications.
func (s *stdio) receive(t *testing.T) []byte {
	t.Helper()
	for {
		line, err := s.out.ReadBytes('\n')
		if err != nil {
			t.Fatalf("no answer: %v\n%s", err, s.err.String())
		}
		if line = bytes.TrimSpace(line); isAnswer(line) {
			return line
		}
	}
}

// close ends stdin: the server is to answer what it has, and go.
func (s *stdio) close(t *testing.T) {
	t.Helper()
	_ = s.in.Close()
	rest, _ := io.ReadAll(s.out)
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
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

// overHTTP is a client of a server that listens on a loopback port.
type overHTTP struct {
	cmd            *exec.Cmd
	url, token     string
	version        string // of the protocol, once agreed
	session        string
	modern         bool
	client         http.Client
	err            *bytes.Buffer
	cancelDeadline context.CancelFunc
}

func startHTTP(t *testing.T, data string, args ...string) *overHTTP {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	h := &overHTTP{cmd: program(t, data, append([]string{"serve", "--http", addr, "--no-auth"}, args...)...), url: "http://" + addr, err: &bytes.Buffer{}}
	h.cmd.Stderr = h.err
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.cmd.Process.Kill(); _ = h.cmd.Wait() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if resp, err := h.client.Get(h.url + "/healthz"); err == nil {
			resp.Body.Close()
			return h
		}
		if time.Now().After(end) {
			t.Fatalf("the server does not listen:\n%s", h.err)
		}
	}
}

func (h *overHTTP) send(t *testing.T, message []byte) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/mcp", bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	h.address(t, req, message)
	resp, err := h.client.Do(req)
	if err != nil {
		t.Fatalf("post: %v\n%s", err, h.err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
		h.session = id
	}
	if !expectsAnswer(message) {
		return nil
	}
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("data:")))
		if isAnswer(line) {
			return line
		}
	}
	t.Fatalf("status %s, no answer in %q to %s", resp.Status, body, message)
	return nil
}

// address sets the headers that each era of the protocol wants.
func (h *overHTTP) address(t *testing.T, req *http.Request, message []byte) {
	t.Helper()
	var m struct {
		Method string
		Params struct {
			Name string
			URI  string
			Meta struct {
				Version string `json:"io.modelcontextprotocol/protocolVersion"`
			} `json:"_meta"`
			ProtocolVersion string
		}
	}
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	if v := m.Params.Meta.Version; v != "" {
		req.Header.Set("MCP-Protocol-Version", v)
		req.Header.Set("Mcp-Method", m.Method)
		if name := m.Params.Name + m.Params.URI; name != "" {
			req.Header.Set("Mcp-Name", name)
		}
		return
	}
	if m.Method == "initialize" {
		h.version = m.Params.ProtocolVersion
		return
	}
	req.Header.Set("MCP-Protocol-Version", h.version)
	req.Header.Set("Mcp-Session-Id", h.session)
}

func (h *overHTTP) close(t *testing.T) {
	t.Helper()
	_ = h.cmd.Process.Signal(os.Interrupt)
	done := make(chan error, 1)
	go func() { done <- h.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("the server did not end when it was told to")
	}
}

func expectsAnswer(message []byte) bool {
	var m struct{ ID json.RawMessage }
	return json.Unmarshal(message, &m) != nil || m.ID != nil
}

func isAnswer(line []byte) bool {
	var m struct {
		ID     json.RawMessage
		Method string
	}
	return json.Unmarshal(line, &m) == nil && m.ID != nil && m.Method == ""
}

// call is a tools/call of the older era.
func call(id int, tool string, args any) []byte {
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": args}})
	if err != nil {
		panic(err)
	}
	return b
}

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"conformance","version":"1"}}}`
const initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`

// begin shakes hands as clients of the older era do.
func begin(t *testing.T, w wire) {
	t.Helper()
	w.send(t, []byte(initialize))
	w.send(t, []byte(initialized))
}

// structured is the structured content of a successful tools/call.
func structured(t *testing.T, answer []byte, to any) {
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
