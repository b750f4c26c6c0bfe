package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func TestStdioAnswersEverythingReadBeforeTheEnd(t *testing.T) {
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{})
		c := dial(t, s, e)
		const calls = 100
		var lines strings.Builder
		for i := range calls {
			fmt.Fprintln(&lines, e.call(fmt.Sprint(i), "slow", `"ms":50`))
		}
		c.send(strings.TrimSpace(lines.String()))
		got := make(map[string]bool)
		for _, w := range c.end() {
			if w.text() != "done" {
				t.Errorf("id %s: %s %v", w.ID, w.Result, w.Error)
			}
			got[string(w.ID)] = true
		}
		if len(got) != calls {
			t.Errorf("%d of %d requests were answered", len(got), calls)
		}
	})
}

func TestStdioEndsPromptlyAtTheEnd(t *testing.T) {
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{DrainTimeout: time.Hour, CallTimeout: time.Hour})
		c := dial(t, s, e)
		c.send(modern.request(`"open stream"`, "subscriptions/listen", `"notifications":{"toolsListChanged":true}`))
		c.next()
		if e.name == legacy.name {
			// Its answer can no longer come.
			c.send(legacy.call(`"asks"`, "ask", ""))
			c.next()
		}
		c.end()
	})
}

func TestStdioDropsNothingUnderPipelining(t *testing.T) {
	s, _ := newTestServer(t, Options{MaxConcurrent: 4})
	c := dial(t, s, modern)
	const calls = 5000
	go func() {
		for i := range calls {
			c.send(modern.call(fmt.Sprint(i), "echo", `"text":"x"`))
		}
	}()
	got := make(map[string]bool)
	for range calls {
		w := c.next()
		if w.text() != "x" {
			t.Fatalf("id %s: %s %v", w.ID, w.Result, w.Error)
		}
		got[string(w.ID)] = true
	}
	if len(got) != calls {
		t.Errorf("%d of %d requests were answered", len(got), calls)
	}
}

func TestStdioGoesOnAfterABadLine(t *testing.T) {
	s, _ := newTestServer(t, Options{MaxMessage: 4096})
	c := dial(t, s, legacy)
	for _, test := range []struct {
		name, line string
		code       int
		id         string
	}{
		{"no JSON", `{"jsonrpc":"2.0","id":1,"method":"ping"`, -32700, "null"},
		{"too long", `{"jsonrpc":"2.0","id":"big","method":"ping","params":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`, -32600, `"big"`},
		{"too deep", `{"jsonrpc":"2.0","id":7,"method":"ping","params":` + strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 201), -32600, "7"},
		{"batch", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, -32600, "null"},
		{"id null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, -32600, "null"},
		{"not 2.0", `{"jsonrpc":"1.0","id":3,"method":"ping"}`, -32600, "3"},
		{"unknown method", `{"jsonrpc":"2.0","id":4,"method":"no/such"}`, -32601, "4"},
		{"params of a wrong shape", `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":5}}`, -32602, "5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.t = t
			c.send(test.line)
			w := c.next()
			if w.Error == nil || w.Error.Code != test.code || string(w.ID) != test.id {
				t.Errorf("got id %s, error %+v, want id %s, code %d", w.ID, w.Error, test.id, test.code)
			}
			c.send(legacy.call(`"after"`, "echo", `"text":"alive"`))
			if w := c.next(); w.text() != "alive" {
				t.Errorf("afterwards: %s %v", w.Result, w.Error)
			}
		})
	}
}

// What editors and shells do to lines must not matter.
func TestStdioReadsLinesHoweverTheyAreWritten(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	in := "\ufeff" + modern.call("1", "echo", `"text":"bom"`) + "\r\n\r\n  \n" + modern.call("2", "echo", `"text":"crlf"`) + "\r\n" +
		modern.call("3", "echo", `"text":"no newline"`)
	var out strings.Builder
	if err := s.ServeStdio(t.Context(), strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		var w wire
		if err := json.Unmarshal([]byte(line), &w); err != nil {
			t.Fatal(err)
		}
		got = append(got, w.text())
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"bom", "crlf", "no newline"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestIDsSurvive(t *testing.T) {
	ids := []string{`0`, `-1`, `9007199254740993`, `123456789012345678901234567890`, `1.50`, `""`, `"é\n\u00e9"`, `"1"`}
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{})
		c := dial(t, s, e)
		h := visit(t, serveHTTP(t, s, HTTPOptions{}), e)
		for _, id := range ids {
			for name, exchange := range map[string]func() wire{
				"stdio":       func() wire { c.send(e.call(id, "echo", "")); return c.next() },
				"stdio error": func() wire { c.send(e.call(id, "no such tool", "")); return c.next() },
				"http":        func() wire { return h.call(id, "echo", "") },
			} {
				if got := exchange().ID; string(got) != id {
					t.Errorf("%s: id %s came back as %s", name, id, got)
				}
			}
		}
	})
}

func TestStdioCancelsTheRequestThatIsNamed(t *testing.T) {
	cancelled := func(id string) string {
		return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`
	}
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{MaxConcurrent: 2})
		c := dial(t, s, e)
		c.send(
			e.call("1", "slow", `"ms":3600000`),
			e.call(`"1"`, "slow", `"ms":300`),
			e.call("2", "slow", `"ms":3600000`), // waits in the queue
			cancelled("2"), cancelled("1"), cancelled(`"none"`),
			e.call("3", "echo", `"text":"after"`))
		var got []string
		for _, w := range c.end() {
			got = append(got, string(w.ID)+w.text())
		}
		slices.Sort(got)
		// A request taken back is not answered.
		if diff := cmp.Diff([]string{`"1"done`, "3after"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStdioConnectionsAreApart(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	a, b := dial(t, s, modern), dial(t, s, legacy)
	a.send(modern.call("77", "slow", `"ms":300`))
	b.send(legacy.requestMeta("77", "tools/call", `"name":"burst","arguments":{"n":3}`, `"progressToken":1`))
	for range 4 {
		b.next()
	}
	b.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}`)
	if w := a.next(); w.text() != "done" {
		t.Errorf("one client's request ended as %s %v by another's hand", w.Result, w.Error)
	}
	if rest := a.end(); len(rest) != 0 {
		t.Errorf("one client got what was another's: %+v", rest)
	}
}

func TestStdioNotifiesBeforeItAnswers(t *testing.T) {
	for _, tool := range []string{"burst", "mcpgoburst"} {
		t.Run(tool, func(t *testing.T) {
			eachEra(t, func(t *testing.T, e era) {
				s, _ := newTestServer(t, Options{})
				c := dial(t, s, e)
				const n = 1000
				c.send(e.requestMeta("1", "tools/call", fmt.Sprintf(`"name":%q,"arguments":{"n":%d}`, tool, n), `"progressToken":9007199254740993`))
				for i := range n {
					var params struct {
						Token    json.RawMessage `json:"progressToken"`
						Progress int             `json:"progress"`
						Data     int             `json:"data"`
					}
					w := c.next()
					if err := json.Unmarshal(w.Params, &params); err != nil || w.Method == "" {
						t.Fatalf("message %d is %+v", i, w)
					}
					if params.Progress+params.Data != i {
						t.Fatalf("message %d came as number %d", params.Progress+params.Data, i)
					}
					if tool == "burst" && string(params.Token) != "9007199254740993" {
						t.Fatalf("token came back as %s", params.Token)
					}
				}
				if w := c.next(); w.text() != "sent" {
					t.Errorf("answer: %+v", w)
				}
			})
		})
	}
}

func TestProgressIsSentOnlyIfAsked(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	c := dial(t, s, modern)
	c.send(modern.call("1", "burst", `"n":5`))
	if w := c.next(); w.text() != "sent" {
		t.Errorf("got %+v", w)
	}
	if err := Progress(t.Context(), 1, 2, ""); !errors.Is(err, ErrNoCall) {
		t.Errorf("outside of a request: %v", err)
	}
}

// Requests that wait for their client must not keep its answers from being read.
func TestStdioAsksTheClientWithoutBlocking(t *testing.T) {
	s, _ := newTestServer(t, Options{MaxConcurrent: 1})
	c := dial(t, s, legacy)
	const calls = 50
	for i := range calls {
		c.send(legacy.call(fmt.Sprintf(`"c%d"`, i), "ask", ""))
	}
	answered := 0
	for answered < calls {
		w := c.next()
		switch {
		case w.Method == "elicitation/create":
			c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept","content":{}}}`, w.ID))
		case w.text() == "accept":
			answered++
		default:
			t.Fatalf("got %+v", w)
		}
	}
}

func TestAskingFailsWithWords(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	c := dial(t, s, legacy)
	for _, test := range []struct{ name, answer, want string }{
		{"refused", `"error":{"code":-1,"message":"not now"}`, "the client refused elicitation/create: not now (-1)"},
		{"garbled", `"result":[]`, "the client's answer to elicitation/create has a wrong shape"},
	} {
		c.send(legacy.call("1", "ask", ""))
		asked := c.next()
		c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,%s}`, asked.ID, test.answer))
		if w := c.next(); w.Error == nil || w.Error.Message != test.want {
			t.Errorf("%s: got %+v %s, want %q", test.name, w.Error, w.Result, test.want)
		}
	}
	incapable := dial(t, s, modern)
	incapable.send(strings.Replace(initialize, `"elicitation":{}`, "", 1))
	incapable.next()
	incapable.send(legacy.call("1", "ask", ""))
	if w := incapable.next(); w.Error == nil || w.Error.Code != mcp.MISSING_REQUIRED_CLIENT_CAPABILITY {
		t.Errorf("a client without the capability: %+v %s", w.Error, w.Result)
	}
}

func TestStdioStopsWithItsContext(t *testing.T) {
	stopped := errors.New("told to stop")
	s, _ := newTestServer(t, Options{DrainTimeout: 500 * time.Millisecond})
	c := dial(t, s, legacy)
	c.send(legacy.call("1", "slow", `"ms":100`), legacy.call("2", "slow", `"ms":3600000`))
	time.Sleep(50 * time.Millisecond)
	c.stop(stopped)
	if w := c.next(); string(w.ID) != "1" || w.text() != "done" {
		t.Errorf("a request that ends in time: %+v", w)
	}
	if w := c.next(); string(w.ID) != "2" || !strings.Contains(w.text(), "stopping") {
		t.Errorf("a request that does not: id %s %s", w.ID, w.Result)
	}
	c.wait(stopped)
}

type brokenWriter struct{}

var errBroken = errors.New("nobody reads")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestStdioEndsWhenNobodyReads(t *testing.T) {
	s, _ := newTestServer(t, Options{DrainTimeout: time.Hour})
	in, w := io.Pipe()
	defer w.Close()
	go io.WriteString(w, modern.call("1", "slow", `"ms":3600000`)+"\n"+modern.call("2", "echo", "")+"\n")
	done := make(chan error, 1)
	go func() { done <- s.ServeStdio(context.Background(), in, brokenWriter{}) }()
	select {
	case err := <-done:
		if !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("ServeStdio does not return")
	}
}

func TestStdioReportsAReadError(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	lost := errors.New("line lost")
	in, w := io.Pipe()
	go func() {
		io.WriteString(w, modern.call("1", "echo", `"text":"x"`)+"\n")
		w.CloseWithError(lost)
	}()
	var out strings.Builder
	if err := s.ServeStdio(t.Context(), in, &out); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out.String(), `"id":1`) {
		t.Errorf("what was read before is unanswered: %q", out.String())
	}
}

func TestStdioTellsOfChanges(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	old, stream := dial(t, s, legacy), dial(t, s, modern)
	old.send(legacy.request("1", "resources/subscribe", `"uri":"test://watched"`))
	old.next()
	stream.send(modern.request("9007199254740993", "subscriptions/listen",
		`"notifications":{"toolsListChanged":true,"resourceSubscriptions":["test://watched"]}`))
	if w := stream.next(); w.Method != "notifications/subscriptions/acknowledged" {
		t.Fatalf("first on the stream is %+v", w)
	}
	s.MCP().AddTool(mcp.NewTool("late"), nil)
	s.MCP().AddPrompt(mcp.NewPrompt("late"), nil)
	s.ResourceUpdated("test://unwatched")
	s.ResourceUpdated("test://watched")
	var got [2][]string
	for range 3 {
		got[0] = append(got[0], old.next().Method)
	}
	for range 2 {
		w := stream.next()
		if !strings.Contains(string(w.Params), `"io.modelcontextprotocol/subscriptionId":9007199254740993`) {
			t.Errorf("%s does not name its stream: %s", w.Method, w.Params)
		}
		got[1] = append(got[1], w.Method)
	}
	want := [2][]string{
		{"notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/updated"},
		{"notifications/tools/list_changed", "notifications/resources/updated"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	stream.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9007199254740993}}`)
	if rest := stream.end(); len(rest) != 0 {
		t.Errorf("after its stream was closed: %+v", rest)
	}
}

// quiet is a sender whose client never reads.
type quiet struct{ stuck chan struct{} }

func (q quiet) send([]byte) error {
	<-q.stuck
	return nil
}

// Who changes a tool must not wait for a client that does not read.
func TestAListenerThatDoesNotReadIsCutOff(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	m, problem := scan([]byte(modern.request("1", "subscriptions/listen", `"notifications":{"toolsListChanged":true}`)))
	if problem != nil {
		t.Fatal(problem)
	}
	out := quiet{make(chan struct{})}
	c := s.newCall(t.Context(), s.newSession(), m, out, nil)
	done := make(chan response, 1)
	go func() { done <- s.handle(c) }()
	waitFor(t, func() bool { f, _ := c.SubscriptionFilter(); return f.ToolsListChanged })
	for i := range 2 * queuedInCall {
		s.MCP().AddTool(mcp.NewTool(fmt.Sprint("t", i)), nil)
	}
	if context.Cause(c.ctx) != errSlow {
		t.Errorf("the stream goes on: %v", context.Cause(c.ctx))
	}
	close(out.stuck)
	<-done
}

// A legacy client without an open stream is told the latest changes when it opens
// one, and costs nobody anything until then.
func TestNoticesOfAnAbsentClientAreBounded(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	c := s.newSession()
	c.Initialize()
	if err := s.listen(c); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * queuedNotices {
		s.MCP().AddTool(mcp.NewTool(fmt.Sprint("t", i)), nil)
	}
	s.MCP().AddPrompt(mcp.NewPrompt("latest"), nil)
	var last mcp.JSONRPCNotification
	n := len(c.queue())
	for range n {
		last = <-c.queue()
	}
	if n > queuedNotices || last.Method != "notifications/prompts/list_changed" {
		t.Errorf("%d notices are kept, the last is %s", n, last.Method)
	}
}

func TestNotifyingAfterTheAnswerFails(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	answered, errs := make(chan struct{}), make(chan error, 2)
	s.MCP().AddTool(mcp.NewTool("late"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		go func() {
			<-answered
			errs <- Notify(ctx, "notifications/message", nil)
			errs <- s.MCP().SendNotificationToClient(ctx, "notifications/message", nil)
		}()
		return nil, errors.New("noted")
	})
	c := dial(t, s, modern)
	c.send(modern.call("1", "late", ""))
	c.next()
	close(answered)
	if err := <-errs; !errors.Is(err, ErrNoCall) {
		t.Errorf("Notify: %v", err)
	}
	if err := <-errs; !errors.Is(err, server.ErrNotificationChannelBlocked) {
		t.Errorf("SendNotificationToClient: %v", err)
	}
	if rest := c.end(); len(rest) != 0 {
		t.Errorf("it arrived all the same: %+v", rest)
	}
}

// FuzzStdio feeds a connection anything at all: it must go on, write nothing but
// JSON-RPC, and answer each request and each bad line once.
func FuzzStdio(f *testing.F) {
	f.Add([]byte(initialize + "\n" + legacy.call("1", "echo", `"text":"x"`) + "\n"))
	f.Add([]byte(modern.call("1", "echo", "") + "\r\n" + modern.request(`"l"`, "subscriptions/listen", `"notifications":{"toolsListChanged":true}`)))
	f.Add([]byte("{\n[]\nnull\n" + legacy.request("2", "resources/read", `"uri":"test://x"`) + "\n" + `{"jsonrpc":"2.0","id":1,"result":{}}`))
	f.Add([]byte(legacy.request("3", "completion/complete", `"ref":{"type":"ref/prompt","name":"x"},"argument":{"name":"a","value":"b"}`)))
	f.Add([]byte(legacy.request("4", "logging/setLevel", `"level":"debug"`) + "\n" + legacy.request("5", "tools/list", `"cursor":"!"`)))
	f.Add([]byte(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{}}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := New(Options{Logger: slog.New(slog.DiscardHandler), MaxMessage: 4096, CallTimeout: patience, MCP: []server.ServerOption{
			server.WithResourceCapabilities(true, true), server.WithPromptCapabilities(true), server.WithLogging(), server.WithCompletions(),
		}})
		s.MCP().AddTool(mcp.NewTool("echo"), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(r.GetString("text", "")), nil
		})
		var out strings.Builder
		if err := s.ServeStdio(t.Context(), bytes.NewReader(in), &out); err != nil {
			t.Fatal(err)
		}
		due, cancels := 0, false
		for i, line := range bytes.Split(in, []byte("\n")) {
			if i == 0 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			m, err := scan(line)
			if len(bytes.TrimSpace(line)) > 0 && (err != nil || len(line) > 4096 || m.isRequest()) {
				due++
			}
			cancels = cancels || m.method == "notifications/cancelled"
		}
		got := 0
		for line := range strings.Lines(out.String()) {
			var w wire
			if err := json.Unmarshal([]byte(line), &w); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if w.Method == "" {
				got++
			}
		}
		if got != due && !cancels {
			t.Errorf("%d answers to %d requests in %q: %s", got, due, in, &out)
		}
	})
}
