package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"engram-mcp/memory"
	"engram-mcp/tools/transport"
)

// serve puts the set of w onto an MCP server and returns a way to send it a
// request; the answer is the decoded JSON-RPC message.
func (w *world) serve(set *Set) func(ctx context.Context, method string, params any) args {
	srv := transport.New(transport.Options{Name: "engram-mcp", Version: "test"}).MCP()
	Serve(srv, set, w.open)
	return func(ctx context.Context, method string, params any) args {
		w.t.Helper()
		return w.request(srv, ctx, method, params)
	}
}

func (w *world) request(srv *server.MCPServer, ctx context.Context, method string, params any) args {
	w.t.Helper()
	answer := srv.HandleMessage(ctx, encoded(w.t, args{"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
	var m args
	if err := json.Unmarshal(encoded(w.t, answer), &m); err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) defaultProfile() *Set {
	part, err := w.set.ByProfile()
	if err != nil {
		w.t.Fatal(err)
	}
	return part
}

func TestServe_ListIsSmallStableAndOrdered(t *testing.T) {
	w := newWorld(t)
	send := w.serve(w.defaultProfile())
	first := encoded(t, send(w.admin(), "tools/list", args{}))
	if n := len(first); n >= 14<<10 {
		t.Errorf("tools/list has %d bytes", n)
	}
	if n := seenByModel(t, w.defaultProfile().tools); n/4 >= 1800 {
		t.Errorf("the default profile costs a model %d tokens", n/4)
	} else {
		t.Logf("default profile: %d tokens (bytes/4), tools/list %d bytes", n/4, len(first))
	}
	for range 20 {
		if again := encoded(t, send(w.admin(), "tools/list", args{})); string(again) != string(first) {
			t.Fatalf("the list has changed:\n%s\n%s", first, again)
		}
	}
	names := listNames(t, send(w.admin(), "tools/list", args{}))
	if !slices.IsSorted(names) || slices.Contains(names, dispatch) {
		t.Errorf("%v", names)
	}
}

func listNames(t *testing.T, answer args) (names []string) {
	t.Helper()
	for _, tool := range at(t, answer, "result", "tools").([]any) {
		names = append(names, at(t, tool, "name").(string))
	}
	return names
}

func TestServe_ListsDependOnRightsOnly(t *testing.T) {
	w := newWorld(t)
	send := w.serve(w.set)
	for _, rights := range []memory.Rights{0, memory.Read, memory.Write, memory.Read | memory.Write, allRights, memory.Owner} {
		var want []string
		for _, tool := range w.set.tools {
			if (memory.Principal{Rights: rights}).Can(tool.Needs) {
				want = append(want, tool.Name)
			}
		}
		slices.Sort(want)
		ada := listNames(t, send(w.as("ada", rights), "tools/list", args{}))
		if diff := cmp.Diff(want, ada); diff != "" && len(want)+len(ada) > 0 {
			t.Errorf("%v: %s", rights, diff)
		}
		if diff := cmp.Diff(ada, listNames(t, send(w.as("bob", rights), "tools/list", args{}))); diff != "" {
			t.Errorf("%v: the list depends on the name: %s", rights, diff)
		}
	}
	answer := send(w.as("ada", memory.Read), "tools/call", args{"name": "engram_create", "arguments": args{"content": "x"}})
	if at(t, answer, "error", "code") != float64(mcp.INVALID_PARAMS) {
		t.Errorf("a reader creates: %v", answer)
	}
}

func TestServe_CallAnswersTwiceAndTimed(t *testing.T) {
	w := newWorld(t)
	send := w.serve(w.set)
	answer := send(w.admin(), "tools/call", args{"name": "engram_create", "arguments": args{"content": "Ada prefers tea"}})
	result := at(t, answer, "result").(args)
	var text any
	if err := json.Unmarshal([]byte(at(t, result, "content", 0, "text").(string)), &text); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result["structuredContent"], text); diff != "" {
		t.Errorf("text and structured content differ: %s", diff)
	}
	if ms, ok := at(t, result, "_meta", "time_ms").(float64); !ok || ms <= 0 {
		t.Errorf("no time in %v", result["_meta"])
	}
}

func TestServe_ErrorsTellTheModelWhatToChange(t *testing.T) {
	w := newWorld(t)
	send := w.serve(w.set)
	answer := send(w.admin(), "tools/call", args{"name": "engram_search", "arguments": args{"limit": "many"}})
	result := at(t, answer, "result").(args)
	want := "engram_search: invalid: limit is \"many\", not a whole number\nhint: e.g. \"limit\": 10"
	if result["isError"] != true || at(t, result, "content", 0, "text") != want || at(t, result, "_meta", "error") != "invalid" {
		t.Errorf("%v", result)
	}
	if result["structuredContent"] != nil {
		t.Error("an error has structured content, which clients check against the schema of an answer")
	}
	for _, name := range []string{"engram_serch", dispatch, ""} {
		if answer := send(w.admin(), "tools/call", args{"name": name, "arguments": args{"tool": "engram_search"}}); at(t, answer, "error", "code") != float64(mcp.INVALID_PARAMS) {
			t.Errorf("%q: %v", name, answer)
		}
	}
	_, err := w.set.Call(w.admin(), "engram_serch", nil)
	if text, kind := Explain(err); kind != "not_found" || !strings.Contains(text, "did you mean engram_search?") {
		t.Error(text)
	}
}

func TestServe_InternalErrorsAreReturnedNotShown(t *testing.T) {
	w := newWorld(t)
	secret := errors.New("secret path /root")
	set := NewSet(New(Tool{Name: "broken", Needs: memory.Read}, func(context.Context, struct{}) (struct{}, error) { return struct{}{}, secret }))
	srv := server.NewMCPServer("engram-mcp", "test")
	Serve(srv, set, w.open)
	var got error
	srv.GetHooks().AddOnError(func(_ context.Context, _ any, _ mcp.MCPMethod, _ any, err error) { got = err })
	w.request(srv, w.admin(), "tools/call", args{"name": "broken"})
	if !errors.Is(got, secret) {
		t.Errorf("the server, which logs it, gets %v", got)
	}
}

func TestServe_ToolsThatComeAndGo(t *testing.T) {
	w := newWorld(t)
	var there atomic.Bool
	there.Store(true)
	// Two spaces have a tool of one name that is not the same tool.
	w.set.Grow(func(ctx context.Context) []Tool {
		caller, _ := memory.PrincipalFrom(ctx)
		if !there.Load() {
			return nil
		}
		t := Tool{Name: "greeter_greet", Title: "Greet", Description: "of " + caller.Space, Needs: memory.Read, In: json.RawMessage(`{"type":"object"}`), Out: json.RawMessage(`{"type":"object"}`)}
		return []Tool{Raw(t, func(_ context.Context, in json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(fmt.Sprintf(`{"from":%q,"in":%s}`, caller.Space, in)), nil
		}), Raw(Tool{Name: "engram_get"}, nil)}
	})
	part := w.defaultProfile()
	send := w.serve(part)
	changes := 0
	defer part.Watch(func() { changes++ })()

	for _, space := range []string{"red", "blue"} {
		ctx := memory.WithPrincipal(t.Context(), memory.Principal{Space: space, Name: "ada", Rights: memory.Read})
		list := at(t, send(ctx, "tools/list", args{}), "result", "tools").([]any)
		i := slices.IndexFunc(list, func(x any) bool { return at(t, x, "name") == "greeter_greet" })
		if i < 0 || at(t, list, i, "description") != "of "+space {
			t.Errorf("%s lists %v", space, list)
		}
		got := send(ctx, "tools/call", args{"name": "greeter_greet", "arguments": args{"big": 1}})
		if diff := cmp.Diff(args{"from": space, "in": args{"big": 1.0}}, at(t, got, "result", "structuredContent")); diff != "" {
			t.Error(diff)
		}
		answer := send(memory.WithPrincipal(t.Context(), memory.Principal{Space: space}), "tools/call", args{"name": "greeter_greet"})
		if at(t, answer, "result", "isError") != true {
			t.Errorf("without rights: %v", answer)
		}
	}
	there.Store(false)
	w.set.Changed()
	if changes != 1 {
		t.Errorf("%d changes were told", changes)
	}
	if answer := send(w.admin(), "tools/call", args{"name": "greeter_greet"}); at(t, answer, "error", "code") != float64(mcp.INVALID_PARAMS) {
		t.Errorf("it is gone: %v", answer)
	}
}

func TestServe_Resources(t *testing.T) {
	w := newWorld(t)
	send := w.serve(w.set)
	id := w.create(w.admin(), args{"content": "Ada prefers tea\u202e"})
	got := send(w.admin(), "resources/read", args{"uri": "engram://" + id})
	if text := at(t, got, "result", "contents", 0, "text").(string); !strings.Contains(text, `"content":"Ada prefers tea"`) {
		t.Error(text)
	}
	got = send(w.admin(), "resources/read", args{"uri": "engram://stats"})
	if text := at(t, got, "result", "contents", 0, "text").(string); !strings.Contains(text, `"engrams":1`) {
		t.Error(text)
	}
	if list := at(t, send(w.admin(), "resources/list", args{}), "result", "resources").([]any); len(list) != 1 {
		t.Errorf("%v", list)
	}
	if list := at(t, send(w.admin(), "resources/templates/list", args{}), "result", "resourceTemplates").([]any); len(list) != 1 || at(t, list, 0, "uriTemplate") != "engram://{id}" {
		t.Errorf("%v", list)
	}
}

// A resource that is missing and one that may not be read are told apart by
// nobody.
func TestServe_MissingResources(t *testing.T) {
	w := newWorld(t)
	srv := server.NewMCPServer("engram-mcp", "test")
	Serve(srv, w.set, w.open)
	var seen []*transport.Error
	srv.GetHooks().AddOnError(func(_ context.Context, _ any, _ mcp.MCPMethod, _ any, err error) {
		if e, ok := errors.AsType[*transport.Error](err); ok {
			e.Data = nil // the address asked for
			seen = append(seen, e)
		} else {
			t.Errorf("%v", err)
		}
	})
	w.call(w.admin(), "context_create", args{"name": "closed", "readers": "ada"})
	hidden := w.create(w.admin(), args{"content": "hidden", "context": "closed"})
	for _, uri := range []string{"engram://0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f", "engram://nonsense", "engram://" + hidden} {
		w.request(srv, w.as("bob", allRights), "resources/read", args{"uri": uri})
	}
	w.request(srv, w.as("bob", memory.Write), "resources/read", args{"uri": "engram://stats"})
	if len(seen) != 4 {
		t.Fatalf("%d errors", len(seen))
	}
	for _, e := range seen {
		if diff := cmp.Diff(&transport.Error{Code: mcp.RESOURCE_NOT_FOUND, Message: "resource not found"}, e); diff != "" {
			t.Error(diff)
		}
	}
}

func TestServe_Prompts(t *testing.T) {
	w := newWorld(t)
	send := w.serve(w.set)
	ctx := w.admin()
	w.create(ctx, args{"content": "Ada prefers tea", "context": "project-x"})
	say := func(name string, in args) string {
		t.Helper()
		answer := send(ctx, "prompts/get", args{"name": name, "arguments": in})
		if answer["error"] != nil {
			t.Fatal(answer["error"])
		}
		return at(t, answer, "result", "messages", 0, "content", "text").(string)
	}
	for _, text := range []string{say("recall", args{"topic": "tea"}), say("recall", args{"topic": "tea", "context": "project-x"}), say("reflect", args{})} {
		if !strings.Contains(text, "Ada prefers tea") || !strings.Contains(text, "data, not instructions") {
			t.Error(text)
		}
	}
	if text := say("recall", args{"topic": "tea", "context": "nowhere"}); strings.Contains(text, "Ada") {
		t.Error(text)
	}
	if text := say("remember", args{"text": "the sky is blue", "context": `a"b`}); !strings.Contains(text, "the sky is blue") || !strings.Contains(text, `context "a\"b"`) {
		t.Error(text)
	}
	if text := say("remember", args{}); !strings.Contains(text, "this conversation") {
		t.Error(text)
	}
	if answer := send(ctx, "prompts/get", args{"name": "recall", "arguments": args{}}); answer["error"] == nil {
		t.Error("a required argument may be left out")
	}
	w.call(ctx, "collection_create", args{"name": "closed", "readers": "carol"})
	answer := send(ctx, "completion/complete", args{"ref": args{"type": "ref/prompt", "name": "recall"}, "argument": args{"name": "context", "value": "Pro"}})
	if diff := cmp.Diff([]any{"project-x"}, at(t, answer, "result", "completion", "values")); diff != "" {
		t.Error(diff)
	}
}

func TestServe_Initialize(t *testing.T) {
	w := newWorld(t)
	answer := w.serve(w.set)(w.admin(), "initialize", args{"protocolVersion": "2025-06-18", "capabilities": args{}, "clientInfo": args{"name": "t", "version": "1"}})
	if at(t, answer, "result", "instructions") != Instructions {
		t.Error("the instructions are not told")
	}
	capabilities := at(t, answer, "result", "capabilities").(args)
	for _, c := range []string{"tools", "resources", "prompts", "completions"} {
		if capabilities[c] == nil {
			t.Errorf("no %s in %v", c, capabilities)
		}
	}
	if at(t, capabilities, "tools", "listChanged") != true {
		t.Error("changes of the list are not announced")
	}
}

// Whoever observes a set sees how each call ended, also of a tool that panicked.
func TestObserve(t *testing.T) {
	w := newWorld(t)
	bad := Raw(Tool{Name: "bad", In: json.RawMessage(`{"type":"object"}`)}, func(context.Context, json.RawMessage) (json.RawMessage, error) { panic("bad") })
	set := NewSet(append(Memory(w.open), bad)...)
	var seen []string
	set.Observe(func(ctx context.Context, c Called) {
		who, _ := memory.PrincipalFrom(ctx)
		seen = append(seen, fmt.Sprintf("%s %s in=%t out=%t failed=%t", who.Name, c.Tool, c.In != nil, c.Out != nil, c.Err != nil))
	})
	send := w.serve(set)
	created := send(w.admin(), "tools/call", args{"name": "engram_create", "arguments": args{"content": "x"}})
	send(w.admin(), "tools/call", args{"name": "engram_get", "arguments": args{}})
	send(w.admin(), "resources/read", args{"uri": engramURI + at(t, created, "result", "structuredContent", "engrams", 0, "id").(string)})
	send(w.admin(), "resources/read", args{"uri": engramURI + "nowhere"})
	send(w.admin(), "prompts/get", args{"name": "recall", "arguments": args{"topic": "x"}})
	send(w.admin(), "tools/call", args{"name": "bad"})
	want := []string{
		"ada engram_create in=true out=true failed=false",
		"ada engram_get in=true out=false failed=true",
		"ada resources/read in=true out=true failed=false",
		"ada resources/read in=true out=false failed=true",
		"ada engram_search in=true out=true failed=false",
		"ada bad in=true out=false failed=true",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}
