package conformance

import (
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"engram-mcp/conformance/binary"
)

// A guarded server is one over HTTP that wants to know who calls.
type guarded struct {
	cmd  *exec.Cmd
	data string
	url  string // without a path
	log  *logBuffer
}

// A logBuffer is what a program writes, which can be read while it does.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// serveGuarded starts a server on a data directory; its own token is in the file
// that it makes there.
func serveGuarded(t testing.TB, data string, args ...string) *guarded {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	g := &guarded{cmd: binary.Command(t, data, append([]string{"serve", "--http", addr}, args...)...), data: data, url: "http://" + addr, log: &logBuffer{}}
	g.cmd.Stderr = g.log
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.cmd.Process.Kill(); _ = g.cmd.Wait() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return g
		}
		if time.Now().After(end) {
			t.Fatalf("the server does not listen:\n%s", g.log)
		}
	}
}

// newToken makes a token by the command line.
func newToken(t testing.TB, data string, args ...string) string {
	t.Helper()
	out, err := binary.Command(t, data, append([]string{"token", "create", "--json"}, args...)...).Output()
	var made struct{ Token string }
	if err != nil || json.Unmarshal(out, &made) != nil || made.Token == "" {
		t.Fatalf("no token: %v %s", err, out)
	}
	return made.Token
}

// revoke takes a token back, and waits until a running server knows.
func revoke(t testing.TB, data, name string) {
	t.Helper()
	if out, err := binary.Command(t, data, "token", "revoke", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	time.Sleep(1200 * time.Millisecond)
}

// An attempt is a request that may or may not be one to answer.
type attempt struct {
	method, path, body string
	header             http.Header
	client             *http.Client
}

// asked is what came back.
type asked struct {
	status int
	header http.Header
	body   string
}

// try makes the attempt, to which there must be an answer.
func (g *guarded) try(t testing.TB, a attempt) asked {
	t.Helper()
	got, err := g.do(t, a)
	if err != nil {
		t.Fatalf("%v\n%s", err, g.log)
	}
	return got
}

// do makes the attempt, as a POST to /mcp of a JSON body unless it says
// otherwise.
func (g *guarded) do(t testing.TB, a attempt) (asked, error) {
	t.Helper()
	if a.method == "" {
		a.method = http.MethodPost
	}
	if a.path == "" {
		a.path = "/mcp"
	}
	if a.client == nil {
		a.client = http.DefaultClient
	}
	r, err := http.NewRequestWithContext(t.Context(), a.method, g.url+a.path, strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	maps.Copy(r.Header, a.header)
	if h := a.header.Get("Host"); h != "" {
		r.Host = h
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return asked{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	return asked{resp.StatusCode, resp.Header, string(body)}, err
}

// alone is a message that stands alone, with the headers that it needs.
func alone(token, method, name string, params map[string]any) attempt {
	all := map[string]any{"_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{}}}
	maps.Copy(all, params)
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": all})
	if err != nil {
		panic(err) // a test gave what JSON does not have
	}
	h := http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {method}}
	if name != "" {
		h.Set("Mcp-Name", name)
	}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return attempt{body: string(body), header: h}
}

// toolCall is a tools/call that stands alone.
func toolCall(token, tool string, args map[string]any) attempt {
	return alone(token, "tools/call", tool, map[string]any{"name": tool, "arguments": args})
}

// begin starts a session of the older era and returns its id.
func (g *guarded) begin(t testing.TB, token string) string {
	t.Helper()
	a := attempt{body: handshake, header: http.Header{"Authorization": {"Bearer " + token}}}
	got := g.try(t, a)
	id := got.header.Get("Mcp-Session-Id")
	if got.status != http.StatusOK || id == "" {
		t.Fatalf("initialize: %d %s", got.status, got.body)
	}
	return id
}

const handshake = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"conformance","version":"1"}}}`

// ownToken is the token that the server made for itself.
func (g *guarded) ownToken(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile(g.data + "/token")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// created stores an engram by a token and returns its id.
func (g *guarded) created(t testing.TB, token, content string) string {
	t.Helper()
	got := g.try(t, toolCall(token, "engram_create", map[string]any{"content": content, "allow_duplicate": true}))
	var made struct{ Engrams []struct{ ID string } }
	binary.Structured(t, []byte(got.body), &made)
	return made.Engrams[0].ID
}
