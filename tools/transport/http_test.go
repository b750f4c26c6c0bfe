package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// web is an HTTP client of one identity.
type web struct {
	t       testing.TB
	url     string
	era     era
	session string
	header  http.Header // sent with every request
}

// serveHTTP serves s on a loopback address for as long as the test lasts.
func serveHTTP(t testing.TB, s *Server, o HTTPOptions) string {
	t.Helper()
	ts := httptest.NewServer(s.Handler(o))
	t.Cleanup(ts.Close)
	return ts.URL + "/mcp"
}

// visit returns a client. A legacy one has initialized.
func visit(t testing.TB, url string, e era, header ...string) *web {
	t.Helper()
	c := &web{t: t, url: url, era: e, header: make(http.Header)}
	for i := 0; i < len(header); i += 2 {
		c.header.Set(header[i], header[i+1])
	}
	if e.name == legacy.name {
		resp, msgs := c.post(initialize)
		c.session = resp.Header.Get("Mcp-Session-Id")
		if c.session == "" || len(msgs) != 1 || msgs[0].Error != nil {
			t.Fatalf("initialize: %s %+v", resp.Status, msgs)
		}
	}
	return c
}

// do sends a request and returns the answer, of which the body is still to be read.
func (c *web) do(ctx context.Context, method, body string) *http.Response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	if c.era.name == modern.name {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		var m struct {
			Method string `json:"method"`
			Params struct {
				Name string `json:"name"`
				URI  string `json:"uri"`
			} `json:"params"`
		}
		_ = json.Unmarshal([]byte(body), &m)
		r.Header.Set("Mcp-Method", m.Method)
		if name := m.Params.Name + m.Params.URI; name != "" {
			r.Header.Set("Mcp-Name", name)
		}
	}
	if c.session != "" {
		r.Header.Set("Mcp-Session-Id", c.session)
	}
	for k, v := range c.header {
		r.Header[k] = v
	}
	r.Host = r.Header.Get("Host")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// post sends a message and returns all messages of the answer.
func (c *web) post(body string) (*http.Response, []wire) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	resp := c.do(ctx, "POST", body)
	defer resp.Body.Close()
	return resp, readMessages(c.t, resp)
}

// call calls a tool and returns the last message of the answer.
func (c *web) call(id, tool, args string) wire {
	c.t.Helper()
	resp, msgs := c.post(c.era.call(id, tool, args))
	if len(msgs) == 0 {
		c.t.Fatalf("%s: no answer", resp.Status)
	}
	return msgs[len(msgs)-1]
}

// readMessages reads the messages of an answer to its end.
func readMessages(t testing.TB, resp *http.Response) []wire {
	t.Helper()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		var msgs []wire
		for events := newEvents(resp.Body); ; {
			w, ok := events.next()
			if !ok {
				return msgs
			}
			msgs = append(msgs, w)
		}
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var w wire
	if json.Unmarshal(b, &w) != nil {
		return nil
	}
	return []wire{w}
}

// events reads an event stream.
type events struct{ r *bufio.Reader }

func newEvents(r io.Reader) events { return events{bufio.NewReader(r)} }

// next returns the next message, and false at the end of the stream.
func (e events) next() (wire, bool) {
	for {
		line, err := e.r.ReadBytes('\n')
		if err != nil {
			return wire{}, false
		}
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			var w wire
			return w, json.Unmarshal(data, &w) == nil
		}
	}
}

func TestHTTPAnswers(t *testing.T) {
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{})
		c := visit(t, serveHTTP(t, s, HTTPOptions{}), e)
		resp, msgs := c.post(e.call("1", "echo", `"text":"hello"`))
		if len(msgs) != 1 || msgs[0].text() != "hello" || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v %+v", resp.Status, resp.Header, msgs)
		}
	})
}

func TestHTTPLosesNoNotification(t *testing.T) {
	for _, tool := range []string{"burst", "mcpgoburst"} {
		t.Run(tool, func(t *testing.T) {
			eachEra(t, func(t *testing.T, e era) {
				s, _ := newTestServer(t, Options{})
				c := visit(t, serveHTTP(t, s, HTTPOptions{}), e)
				burst := func(id string, n int) []wire {
					_, msgs := c.post(e.requestMeta(id, "tools/call", fmt.Sprintf(`"name":%q,"arguments":{"n":%d}`, tool, n), `"progressToken":`+id))
					return msgs
				}
				lost := 0
				for i := range 500 {
					if msgs := burst(fmt.Sprint(i), 3); len(msgs) != 4 || msgs[3].text() != "sent" {
						lost++
					}
				}
				if lost > 0 {
					t.Errorf("%d of 500 calls lost notifications", lost)
				}
				if msgs := burst("1", 1000); len(msgs) != 1001 {
					t.Errorf("%d of 1000 notifications arrived", len(msgs)-1)
				}
			})
		})
	}
}

// Notifications of a request go to that request, also while others of the same
// session run and its GET stream is open.
func TestHTTPNotificationsKeepToTheirRequest(t *testing.T) {
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{})
		c := visit(t, serveHTTP(t, s, HTTPOptions{}), e)
		if e.name == legacy.name {
			c.do(t.Context(), "GET", "")
		}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				id := fmt.Sprint(i)
				_, msgs := c.post(e.requestMeta(id, "tools/call", `"name":"burst","arguments":{"n":20}`, `"progressToken":`+id))
				if len(msgs) != 21 {
					t.Errorf("request %d got %d messages", i, len(msgs))
				}
				for _, w := range msgs[:len(msgs)-1] {
					if !strings.Contains(string(w.Params), `"progressToken":`+id+`,`) {
						t.Errorf("request %d got %s", i, w.Params)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestHTTPAnswersInJSONWhereNoStreamIsAccepted(t *testing.T) {
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{})
		c := visit(t, serveHTTP(t, s, HTTPOptions{}), e, "Accept", "application/json")
		for _, tool := range []string{"burst", "mcpgoburst"} {
			resp, msgs := c.post(e.requestMeta("1", "tools/call", fmt.Sprintf(`"name":%q,"arguments":{"n":500}`, tool), `"progressToken":1`))
			if resp.Header.Get("Content-Type") != "application/json" || len(msgs) != 1 || msgs[0].text() != "sent" {
				t.Errorf("%s: %s %+v", tool, resp.Header.Get("Content-Type"), msgs)
			}
		}
	})
}

func TestHTTPRefusesBadBodies(t *testing.T) {
	s, _ := newTestServer(t, Options{MaxMessage: 1000})
	c := visit(t, serveHTTP(t, s, HTTPOptions{}), legacy)
	big := legacy.call("1", "echo", `"text":"`+strings.Repeat("x", 2000)+`"`)
	for _, test := range []struct {
		name, contentType, body string
		status, code            int
	}{
		{"too long", "application/json", big, 413, -32600},
		{"too deep", "application/json", legacy.call("1", "echo", `"text":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)), 400, -32600},
		{"no JSON", "application/json", `{"jsonrpc"`, 400, -32700},
		{"batch", "application/json", `[]`, 400, -32600},
		{"id null", "application/json", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, 400, -32600},
		{"form", "application/x-www-form-urlencoded", `a=b`, 415, -32600},
		{"text, as pages may send unasked", "text/plain", legacy.call("1", "echo", ""), 415, -32600},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.t = t
			c.header.Set("Content-Type", test.contentType)
			resp, msgs := c.post(test.body)
			if resp.StatusCode != test.status || len(msgs) != 1 || msgs[0].Error == nil || msgs[0].Error.Code != test.code {
				t.Errorf("%s %+v, want %d and code %d", resp.Status, msgs, test.status, test.code)
			}
		})
	}
	t.Run("a chunked body is bounded too", func(t *testing.T) {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", c.url, io.MultiReader(strings.NewReader(big)))
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 413 {
			t.Error(resp.Status)
		}
	})
}

func TestHTTPGuardsAgainstWebPages(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	url := serveHTTP(t, s, HTTPOptions{AllowedHosts: []string{"memory.example", "other.example:8443"}, AllowedOrigins: []string{"https://app.example"}})
	own := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/mcp")
	for _, test := range []struct {
		host, origin, site string
		allowed            bool
	}{
		{own, "", "", true},
		{"localhost", "", "", true},
		{"localhost:1234", "http://localhost:5678", "", true},
		{"[::1]:80", "", "", true},
		{own, "http://" + own, "", true},
		{"evil.example", "", "", false},
		{"evil.example:80", "http://evil.example:80", "", false},
		{"localhost.evil.example", "", "", false},
		{own, "http://evil.example", "", false},
		{own, "https://localhost.evil.example", "", false},
		{own, "null", "", false},
		{own, "file://", "", false},
		{own, "", "cross-site", false},
		{own, "", "same-origin", true},
		{"memory.example", "", "", true},
		{"MEMORY.example:80", "", "", true},
		{"other.example:8443", "https://other.example:8443", "", true},
		{"other.example", "", "", false},
		{"memory.example", "https://evil.example", "", false},
		{"memory.example", "http://localhost:3000", "", false},
		{"memory.example", "https://app.example", "cross-site", true},
		{"10.0.0.1", "", "", false},
	} {
		c := &web{t: t, url: url, era: modern, header: http.Header{"Host": {test.host}}}
		if test.origin != "" {
			c.header.Set("Origin", test.origin)
		}
		if test.site != "" {
			c.header.Set("Sec-Fetch-Site", test.site)
		}
		want := http.StatusForbidden
		if test.allowed {
			want = http.StatusOK
		}
		if resp, _ := c.post(modern.call("1", "echo", "")); resp.StatusCode != want {
			t.Errorf("host %q, origin %q, site %q: %s, want %d", test.host, test.origin, test.site, resp.Status, want)
		}
	}
}

func TestHTTPLetsPagesOfAllowedOriginsRead(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	url := serveHTTP(t, s, HTTPOptions{AllowedOrigins: []string{"https://app.example"}, Authenticate: BearerTokens(nil)})
	preflight := func(origin string) *http.Response {
		c := &web{t: t, url: url, header: http.Header{
			"Origin": {origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization, mcp-session-id"},
		}}
		return c.do(t.Context(), "OPTIONS", "")
	}
	resp := preflight("https://app.example")
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example" ||
		resp.Header.Get("Access-Control-Allow-Headers") != "authorization, mcp-session-id" {
		t.Errorf("allowed: %s %v", resp.Status, resp.Header)
	}
	resp = preflight("http://localhost:3000")
	if resp.StatusCode == 204 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("not allowed: %s %v", resp.Status, resp.Header)
	}
}

// twoTokens knows alice and bob, who each have two tokens.
var twoTokens = HTTPOptions{Authenticate: BearerTokens(map[TokenHash]Identity{
	HashToken("alice-1"): {Key: "alice", Context: named("alice")},
	HashToken("alice-2"): {Key: "alice", Context: named("alice")},
	HashToken("bob"):     {Key: "bob", Context: named("bob")},
})}

type nameKey struct{}

func named(name string) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context { return context.WithValue(ctx, nameKey{}, name) }
}

func TestHTTPAuthenticates(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	s.MCP().AddTool(mcp.NewTool("whoami"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(fmt.Sprint(ctx.Value(nameKey{}))), nil
	})
	url := serveHTTP(t, s, twoTokens)
	eachEra(t, func(t *testing.T, e era) {
		for token, name := range map[string]string{"alice-1": "alice", "alice-2": "alice", "bob": "bob"} {
			c := visit(t, url, e, "Authorization", "bearer "+token)
			if got := c.call("1", "whoami", "").text(); got != name {
				t.Errorf("%s is %s", token, got)
			}
		}
	})
	for _, test := range []struct{ header, challenge string }{
		{"", `Bearer realm="mcp"`},
		{"Bearer", `Bearer realm="mcp"`},
		{"Bearer ", `Bearer realm="mcp"`},
		{"Basic YWxpY2U6YWxpY2UtMQ==", `Bearer realm="mcp"`},
		{"Bearer alice", `Bearer realm="mcp", error="invalid_token"`},
		{"Bearer alice-1x", `Bearer realm="mcp", error="invalid_token"`},
	} {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			c := &web{t: t, url: url, header: http.Header{"Authorization": {test.header}}}
			resp := c.do(t.Context(), method, "{}")
			if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("%s with %q: %s %q", method, test.header, resp.Status, resp.Header.Get("WWW-Authenticate"))
			}
		}
	}
}

func TestHTTPAuthenticatorsChooseTheirRefusal(t *testing.T) {
	s, log := newTestServer(t, Options{})
	c := &web{t: t, url: serveHTTP(t, s, HTTPOptions{Authenticate: func(*http.Request) (Identity, error) {
		return Identity{}, &AuthError{Status: 403, Reason: InsufficientScope, Scope: "notes:read", Err: errors.New(secret)}
	}})}
	resp, _ := c.post(initialize)
	if resp.StatusCode != 403 || resp.Header.Get("WWW-Authenticate") != `Bearer realm="mcp", error="insufficient_scope", scope="notes:read"` {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if !strings.Contains(log.String(), secret) {
		t.Error("the log does not say why")
	}
}

func TestHTTPSessionsBelongToWhoBeganThem(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	url := serveHTTP(t, s, twoTokens)
	alice := visit(t, url, legacy, "Authorization", "Bearer alice-1")
	bob := visit(t, url, legacy, "Authorization", "Bearer bob")
	second := visit(t, url, legacy, "Authorization", "Bearer alice-2")

	second.session = alice.session
	if w := second.call("1", "echo", `"text":"x"`); w.text() != "x" {
		t.Errorf("another token of the same identity: %+v", w)
	}
	tampered := []byte(alice.session)
	tampered[3] ^= 1
	for name, id := range map[string]string{"foreign": alice.session, "made up": "mcp-session-1", "tampered": string(tampered), "none": ""} {
		want := http.StatusNotFound
		if id == "" {
			want = http.StatusBadRequest
		}
		bob.session = id
		for _, method := range []string{"POST", "GET", "DELETE"} {
			body := ""
			if method == "POST" {
				body = legacy.call("1", "echo", "")
			}
			if resp := bob.do(t.Context(), method, body); resp.StatusCode != want {
				t.Errorf("%s of a %s session: %s, want %d", method, name, resp.Status, want)
			}
		}
	}
	if w := alice.call("1", "echo", `"text":"still here"`); w.text() != "still here" {
		t.Errorf("after that: %+v", w)
	}
}

func TestHTTPDeleteEndsTheSession(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	c := visit(t, serveHTTP(t, s, HTTPOptions{}), legacy)
	stream := c.do(t.Context(), "GET", "")
	running := make(chan []wire, 1)
	go func() {
		_, msgs := c.post(legacy.call("1", "slow", `"ms":3600000`))
		running <- msgs
	}()
	waitFor(t, func() bool { return inflightCalls(s) > 0 })
	if resp := c.do(t.Context(), "DELETE", ""); resp.StatusCode != 200 {
		t.Errorf("DELETE: %s", resp.Status)
	}
	if _, more := newEvents(stream.Body).next(); more {
		t.Error("the stream goes on")
	}
	select {
	case <-running:
	case <-time.After(patience):
		t.Error("a request goes on")
	}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		if resp := c.do(t.Context(), method, legacy.call("1", "echo", "")); resp.StatusCode != 404 {
			t.Errorf("%s afterwards: %s", method, resp.Status)
		}
	}
}

// inflightCalls counts running requests of all sessions.
func inflightCalls(s *Server) int {
	n := 0
	s.listeners.Range(func(key, _ any) bool {
		if l, ok := key.(*legacySession); ok && !l.inflight.empty() {
			n++
		}
		return true
	})
	return n
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

func TestHTTPCancelsOnlyOwnRequests(t *testing.T) {
	const cancelled = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77%s}}`
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{})
		url := serveHTTP(t, s, twoTokens)
		alice := visit(t, url, e, "Authorization", "Bearer alice-1")
		bob := visit(t, url, e, "Authorization", "Bearer bob")
		other := visit(t, url, e, "Authorization", "Bearer alice-1")
		started := s.serial.Load()
		running := make(chan wire, 1)
		go func() { running <- alice.call("77", "slow", `"ms":500`) }()
		waitFor(t, func() bool { return inflightCalls(s) > 0 || s.serial.Load() > started })

		meta := ""
		if e.name == modern.name {
			meta = `,"_meta":{` + e.meta + `}`
		}
		for _, c := range []*web{bob, other} {
			if resp, _ := c.post(fmt.Sprintf(cancelled, meta)); resp.StatusCode != 202 {
				t.Errorf("a cancellation is answered with %s", resp.Status)
			}
		}
		if w := <-running; w.text() != "done" {
			t.Errorf("a request was ended from another session: %+v", w)
		}
	})
	t.Run("own, by name", func(t *testing.T) {
		s, _ := newTestServer(t, Options{})
		c := visit(t, serveHTTP(t, s, HTTPOptions{}), legacy)
		running := make(chan wire, 1)
		go func() { running <- c.call("77", "slow", `"ms":3600000`) }()
		waitFor(t, func() bool { return inflightCalls(s) > 0 })
		c.post(fmt.Sprintf(cancelled, ""))
		select {
		case w := <-running:
			if w.Error == nil || w.Error.Code != -32800 {
				t.Errorf("got %+v", w)
			}
		case <-time.After(patience):
			t.Fatal("it goes on")
		}
	})
	t.Run("own, by hanging up", func(t *testing.T) {
		s, _ := newTestServer(t, Options{})
		ended := make(chan error, 1)
		s.MCP().AddTool(mcp.NewTool("hang"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			_ = Notify(ctx, "notifications/message", map[string]any{"level": "info", "data": "started"})
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		})
		c := visit(t, serveHTTP(t, s, HTTPOptions{}), modern)
		ctx, hangUp := context.WithCancel(t.Context())
		newEvents(c.do(ctx, "POST", modern.call("1", "hang", "")).Body).next()
		hangUp()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("it goes on")
		}
	})
}

func TestHTTPStreamsTellOfChanges(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	url := serveHTTP(t, s, HTTPOptions{})
	old, new := visit(t, url, legacy), visit(t, url, modern)
	old.post(legacy.request("1", "resources/subscribe", `"uri":"test://watched"`))

	// What happens before a stream is open is kept for it.
	s.MCP().AddTool(mcp.NewTool("early"), nil)
	get := newEvents(old.do(t.Context(), "GET", "").Body)
	if w, _ := get.next(); w.Method != "notifications/tools/list_changed" {
		t.Errorf("got %+v", w)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	listen := newEvents(new.do(ctx, "POST", modern.request(`"s"`, "subscriptions/listen",
		`"notifications":{"promptsListChanged":true,"resourceSubscriptions":["test://watched"]}`)).Body)
	if w, _ := listen.next(); w.Method != "notifications/subscriptions/acknowledged" {
		t.Fatalf("first on the stream is %+v", w)
	}
	s.MCP().AddTool(mcp.NewTool("late"), nil)
	s.MCP().AddPrompt(mcp.NewPrompt("late"), nil)
	s.ResourceUpdated("test://watched")
	s.ResourceUpdated("test://unwatched")
	for _, want := range []string{"notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/updated"} {
		if w, _ := get.next(); w.Method != want {
			t.Errorf("GET stream: %+v, want %s", w, want)
		}
	}
	for _, want := range []string{"notifications/prompts/list_changed", "notifications/resources/updated"} {
		if w, _ := listen.next(); w.Method != want || !strings.Contains(string(w.Params), `subscriptionId":"s"`) {
			t.Errorf("listen stream: %s %s, want %s", w.Method, w.Params, want)
		}
	}
	hangUp()
	waitFor(t, func() bool {
		n := 0
		s.listeners.Range(func(any, any) bool { n++; return true })
		return n == 1 // the legacy session
	})
}

func TestHTTPSecondStreamOfASessionReplacesTheFirst(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	c := visit(t, serveHTTP(t, s, HTTPOptions{}), legacy)
	first := newEvents(c.do(t.Context(), "GET", "").Body)
	second := newEvents(c.do(t.Context(), "GET", "").Body)
	if _, more := first.next(); more {
		t.Error("the first goes on")
	}
	s.MCP().AddTool(mcp.NewTool("late"), nil)
	if w, _ := second.next(); w.Method != "notifications/tools/list_changed" {
		t.Errorf("the second tells %+v", w)
	}
}

func TestHTTPAsksTheClient(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	c := visit(t, serveHTTP(t, s, HTTPOptions{}), legacy)
	resp := c.do(t.Context(), "POST", legacy.call("1", "ask", ""))
	ev := newEvents(resp.Body)
	asked, _ := ev.next()
	if asked.Method != "elicitation/create" {
		t.Fatalf("got %+v", asked)
	}
	if resp, _ := c.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept","content":{}}}`, asked.ID)); resp.StatusCode != 202 {
		t.Errorf("answering: %s", resp.Status)
	}
	if w, _ := ev.next(); w.text() != "accept" {
		t.Errorf("got %+v", w)
	}
}

func TestHTTPModernHeadersMustAgreeWithTheBody(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	s.MCP().AddTool(mcp.NewToolWithRawSchema("mirrored", "", json.RawMessage(
		`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}`)),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText("ok"), nil
		})
	url := serveHTTP(t, s, HTTPOptions{})
	echo, mirrored := modern.call("1", "echo", ""), modern.call("1", "mirrored", `"region":"eu"`)
	for _, test := range []struct {
		name, body   string
		header       []string
		status, code int
	}{
		{"agrees", echo, nil, 200, 0},
		{"other version", echo, []string{"Mcp-Protocol-Version", "2025-11-25"}, 400, -32020},
		{"no version", echo, []string{"Mcp-Protocol-Version", ""}, 400, -32020},
		{"version in the header only", legacy.call("1", "echo", ""), nil, 400, -32602},
		{"unknown version", strings.ReplaceAll(echo, "2026-07-28", "2999-01-01"), []string{"Mcp-Protocol-Version", "2999-01-01"}, 400, -32022},
		{"other method", echo, []string{"Mcp-Method", "tools/list"}, 400, -32020},
		{"other name", echo, []string{"Mcp-Name", "slow"}, 400, -32020},
		{"resumes", echo, []string{"Last-Event-Id", "7"}, 400, -32020},
		{"argument mirrored", mirrored, []string{"Mcp-Param-Region", "eu"}, 200, 0},
		{"argument mirrored wrongly", mirrored, []string{"Mcp-Param-Region", "us"}, 400, -32020},
		{"argument not mirrored", mirrored, nil, 400, -32020},
		{"unknown method", modern.request("1", "no/such", ""), nil, 404, -32601},
		{"removed method", modern.request("1", "ping", ""), nil, 404, -32601},
		{"an answer", `{"jsonrpc":"2.0","id":1,"result":{}}`, nil, 400, -32600},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, msgs := visit(t, url, modern, test.header...).post(test.body)
			code := 0
			if len(msgs) == 1 && msgs[0].Error != nil {
				code = msgs[0].Error.Code
			}
			if resp.StatusCode != test.status || code != test.code {
				t.Errorf("%s, code %d, want %d, %d (%+v)", resp.Status, code, test.status, test.code, msgs)
			}
		})
	}
	for _, method := range []string{"GET", "DELETE", "PUT"} {
		if resp := visit(t, url, modern).do(t.Context(), method, ""); resp.StatusCode != 405 || resp.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %s, Allow %q", method, resp.Status, resp.Header.Get("Allow"))
		}
	}
}

func TestHTTPLegacyVersionHeader(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	url := serveHTTP(t, s, HTTPOptions{})
	for version, status := range map[string]int{"2025-06-18": 200, "2025-11-25": 200, "2020-01-01": 400, "nonsense": 400} {
		c := visit(t, url, legacy)
		c.header.Set("Mcp-Protocol-Version", version)
		// A word sorts after every date, and so counts as a later revision.
		if resp, _ := c.post(legacy.call("1", "echo", "")); resp.StatusCode != status {
			t.Errorf("%s: %s", version, resp.Status)
		}
	}
}

func TestHTTPBoundsTheMemoryOfBodies(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	h := s.Handler(HTTPOptions{}).(*endpoint)
	ts := httptest.NewServer(h)
	defer ts.Close()
	c := visit(t, ts.URL, modern)
	large := modern.call("1", "echo", `"text":"`+strings.Repeat("x", largeBody)+`"`)

	var release []func()
	for range maxLarge {
		leave, ok := h.large.acquire(t.Context(), anyone)
		if !ok {
			t.Fatal("there are fewer places")
		}
		release = append(release, leave)
	}
	if w := c.call("1", "echo", `"text":"small"`); w.text() != "small" {
		t.Errorf("a small message: %+v", w)
	}
	answered := make(chan wire, 1)
	go func() {
		_, msgs := c.post(large)
		answered <- msgs[0]
	}()
	select {
	case w := <-answered:
		t.Errorf("a large message is taken beside %d others: %+v", maxLarge, w.Error)
	case <-time.After(100 * time.Millisecond):
	}
	release[0]()
	if w := <-answered; len(w.text()) != largeBody {
		t.Errorf("a large message in its turn: %+v", w.Error)
	}
	if leave, ok := h.large.acquire(t.Context(), anyone); !ok {
		t.Error("it keeps its place")
	} else {
		leave()
	}
}

func TestHTTPBoundsWhatAnIdentityRuns(t *testing.T) {
	s, _ := newTestServer(t, Options{MaxConcurrent: 2})
	url := serveHTTP(t, s, twoTokens)
	most, now := 0, 0
	var mu sync.Mutex
	s.MCP().AddTool(mcp.NewTool("count"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return mcp.NewToolResultText("ok"), nil
	})
	var wg sync.WaitGroup
	c := visit(t, url, modern, "Authorization", "Bearer bob")
	for i := range 10 {
		wg.Go(func() {
			if w := c.call(fmt.Sprint(i), "count", ""); w.text() != "ok" {
				t.Errorf("got %+v", w)
			}
		})
	}
	wg.Wait()
	if most != 2 {
		t.Errorf("%d ran at once, want 2", most)
	}
}
