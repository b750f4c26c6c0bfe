package transport

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// While a request of Alice runs and asks her something, Bob tries to end it, to
// answer in her place, and to hear what is said. Whatever he sends, she gets all
// of hers, and he nothing of it.
func TestHTTPClientsCannotReachIntoEachOther(t *testing.T) {
	const (
		modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
		cancel     = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}`
		cancelled  = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77,` + modernMeta + `}}`
	)
	// What is tried: a method and a body, in the era of the server's guest Bob,
	// with a session that is his, Alice's, or none.
	for _, try := range []struct {
		name, session, method, body string
		modern                      bool
	}{
		{"cancels by id", "bob", "POST", cancel, false},
		{"cancels in her session", "alice", "POST", cancel, false},
		{"cancels without a session", "", "POST", cancel, false},
		{"cancels in the other era", "", "POST", cancelled, true},
		{"cancels in the other era, with her session", "alice", "POST", cancelled, true},
		{"answers in her place", "bob", "POST", `{"jsonrpc":"2.0","id":1,"result":{"action":"decline"}}`, false},
		{"answers in her session", "alice", "POST", `{"jsonrpc":"2.0","id":1,"result":{"action":"decline"}}`, false},
		{"answers without a session", "", "POST", `{"jsonrpc":"2.0","id":1,"result":{"action":"decline"}}`, false},
		{"answers in the other era", "alice", "POST", `{"jsonrpc":"2.0","id":1,"result":{"action":"decline"}}`, true},
		{"answers with an error", "bob", "POST", `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}`, false},
		{"ends her session", "alice", "DELETE", "", false},
		{"takes over her stream", "alice", "GET", "", false},
		{"begins a session with her id", "alice", "POST", initialize, false},
		{"sends the same id", "bob", "POST", legacy.call("77", "echo", `"text":"x"`), false},
		{"sends the same id in the other era", "", "POST", modern.call("77", "echo", `"text":"x"`), true},
		{"sends the same id and progress token", "bob", "POST", legacy.requestMeta("77", "tools/call", `"name":"burst","arguments":{"n":3}`, `"progressToken":77`), false},
		{"sends the same progress token in the other era", "", "POST", modern.requestMeta("78", "tools/call", `"name":"burst","arguments":{"n":3}`, `"progressToken":77`), true},
		{"silences her", "alice", "POST", legacy.request("5", "logging/setLevel", `"level":"emergency"`), false},
		{"subscribes for her", "alice", "POST", legacy.request("5", "resources/subscribe", `"uri":"test://watched"`), false},
		{"unsubscribes her", "alice", "POST", legacy.request("5", "resources/unsubscribe", `"uri":"test://watched"`), false},
		{"calls in her session", "alice", "POST", legacy.call("5", "echo", `"text":"x"`), false},
	} {
		t.Run(try.name, func(t *testing.T) {
			eachEra(t, func(t *testing.T, e era) {
				s, _ := newTestServer(t, Options{})
				release := make(chan struct{})
				s.MCP().AddTool(mcp.NewTool("held"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
					answer := "accept"
					if e.name == modern.name { // in which no server asks
						if err := Progress(ctx, 1, 2, secret); err != nil {
							return nil, err
						}
					} else {
						got, err := s.MCP().RequestElicitation(ctx, mcp.ElicitationRequest{Params: mcp.ElicitationParams{
							Message: secret, RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}},
						}})
						if err != nil {
							return nil, err
						}
						answer = string(got.Action)
					}
					select {
					case <-release:
					case <-ctx.Done():
						return nil, ctx.Err()
					}
					if err := Progress(ctx, 2, 2, secret); err != nil {
						return nil, err
					}
					return mcp.NewToolResultText(answer), ctx.Err()
				})
				url := serveHTTP(t, s, twoTokens)
				alice := visit(t, url, e, "Authorization", "Bearer alice-1")
				bob := visit(t, url, legacy, "Authorization", "Bearer bob")
				ctx, stop := context.WithTimeout(t.Context(), patience)
				defer stop()
				ev := newEvents(alice.do(ctx, "POST", e.requestMeta("77", "tools/call", `"name":"held","arguments":{}`, `"progressToken":77`)).Body)
				next := func(what string) wire {
					t.Helper()
					w, ok := ev.next()
					if !ok || !strings.Contains(w.Method+w.text()+string(w.ID), what) {
						t.Fatalf("Alice gets %+v (%v), want %s", w, ok, what)
					}
					return w
				}
				first := next(map[string]string{legacy.name: "elicitation/create", modern.name: "notifications/progress"}[e.name])

				bob.session = map[string]string{"bob": bob.session, "alice": alice.session}[try.session]
				if try.modern {
					bob.era = modern
				}
				resp := bob.do(ctx, try.method, try.body)
				if try.session == "alice" && alice.session != "" && !try.modern && try.body != initialize && resp.StatusCode != http.StatusNotFound {
					t.Errorf("Bob is answered with %s", resp.Status)
				}
				for _, w := range readMessages(t, resp) {
					if strings.Contains(fmt.Sprintf("%s%s%v", w.Params, w.Result, w.Error), secret) {
						t.Errorf("Bob hears %+v", w)
					}
				}

				if e.name == legacy.name {
					resp, _ := alice.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept","content":{}}}`, first.ID))
					if resp.StatusCode != http.StatusAccepted {
						t.Errorf("Alice's answer: %s", resp.Status)
					}
				}
				close(release)
				next("notifications/progress")
				if w := next("accept"); string(w.ID) != "77" {
					t.Errorf("Alice gets %+v", w)
				}
			})
		})
	}
}

// What a stranger who knows everything but a token sends over a stream that is
// open changes nothing on it.
func TestHTTPStreamsCannotBeTaken(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	url := serveHTTP(t, s, twoTokens)
	alice := visit(t, url, legacy, "Authorization", "Bearer alice-1")
	bob := visit(t, url, legacy, "Authorization", "Bearer bob")
	get := newEvents(alice.do(t.Context(), "GET", "").Body)
	listen := newEvents(visit(t, url, modern, "Authorization", "Bearer alice-1").do(t.Context(), "POST",
		modern.request("9", "subscriptions/listen", `"notifications":{"toolsListChanged":true}`)).Body)
	listen.next()
	bob.session = alice.session
	for _, method := range []string{"GET", "DELETE"} {
		if resp := bob.do(t.Context(), method, ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
	bob.era, bob.session = modern, ""
	bob.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9,"_meta":{` + modern.meta + `}}}`)
	s.MCP().AddTool(mcp.NewTool("late"), nil)
	for name, stream := range map[string]events{"the GET stream": get, "the listening stream": listen} {
		told := make(chan wire, 1)
		go func() { w, _ := stream.next(); told <- w }()
		select {
		case w := <-told:
			if w.Method != "notifications/tools/list_changed" {
				t.Errorf("%s tells %+v", name, w)
			}
		case <-time.After(patience):
			t.Errorf("%s is silent", name)
		}
	}
}
