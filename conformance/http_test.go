package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"engram-mcp/conformance/binary"
)

func TestMain(m *testing.M) { binary.Main(m) }

// A wire carries JSON-RPC messages to a server, one at a time.
type wire interface {
	// Send sends a message and returns the answer, or nil to a notification.
	Send(t testing.TB, message []byte) []byte
	Close(t testing.TB)
}

// overHTTP is a client of a server that listens on a loopback port.
type overHTTP struct {
	cmd     *exec.Cmd
	url     string
	version string // of the protocol, once agreed
	session string
	client  http.Client
	err     *bytes.Buffer
}

// startHTTP starts a server that serves everyone on this machine.
func startHTTP(t *testing.T, data string, args ...string) *overHTTP {
	t.Helper()
	return listenHTTP(t, data, append([]string{"--no-auth"}, args...)...)
}

// listenHTTP starts a server on a free port, and returns when it listens.
func listenHTTP(t *testing.T, data string, args ...string) *overHTTP {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	h := &overHTTP{cmd: binary.Command(t, data, append([]string{"serve", "--http", addr}, args...)...), url: "http://" + addr, err: &bytes.Buffer{}}
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

func (h *overHTTP) Send(t testing.TB, message []byte) []byte {
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
	if !binary.ExpectsAnswer(message) {
		return nil
	}
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("data:")))
		if binary.IsAnswer(line) {
			return line
		}
	}
	t.Fatalf("status %s, no answer in %q to %s", resp.Status, body, message)
	return nil
}

// address sets the headers that each era of the protocol wants.
func (h *overHTTP) address(t testing.TB, req *http.Request, message []byte) {
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

func (h *overHTTP) Close(t testing.TB) {
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
