package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// patience catches hangs; nothing that works comes near it.
const patience = 20 * time.Second

const secret = "secret /root/path"

// newTestServer returns a server with a tool for each behaviour under test, and
// what it logs.
func newTestServer(t testing.TB, o Options) (*Server, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	o.Name, o.Version = "test", "1"
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	o.MCP = append(o.MCP,
		server.WithToolCapabilities(true),
		server.WithPromptCapabilities(true),
		server.WithResourceCapabilities(true, true),
		server.WithLogging())
	s := New(o)
	tool := func(name string, h server.ToolHandlerFunc) {
		s.MCP().AddTool(mcp.NewTool(name, mcp.WithDescription(name)), h)
	}
	tool("echo", func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(r.GetString("text", "")), nil
	})
	tool("slow", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		select {
		case <-time.After(time.Duration(r.GetInt("ms", 100)) * time.Millisecond):
			return mcp.NewToolResultText("done"), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	tool("panic", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { panic(secret) })
	tool("fail", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, errors.New(secret)
	})
	tool("code", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, fmt.Errorf("wrapped: %w", &Error{Code: -32007, Message: "chosen", Data: map[string]int{"n": 1}})
	})
	tool("capability", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, mcp.MissingRequiredClientCapabilityError{Capability: "sampling"}
	})
	tool("unrenderable", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultStructured(make(chan int), "a channel is not JSON"), nil
	})
	tool("burst", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		n := r.GetInt("n", 3)
		for i := range n {
			if err := Progress(ctx, float64(i), float64(n), ""); err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("sent"), nil
	})
	tool("mcpgoburst", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for i := range r.GetInt("n", 3) {
			err := s.MCP().SendNotificationToClient(ctx, "notifications/message", map[string]any{"level": "info", "data": i})
			if err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("sent"), nil
	})
	tool("ask", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		result, err := s.MCP().RequestElicitation(ctx, mcp.ElicitationRequest{Params: mcp.ElicitationParams{
			Message: "name?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}},
		}})
		if err != nil {
			return nil, err
		}
		return mcp.NewToolResultText(fmt.Sprint(result.Action)), nil
	})
	s.MCP().AddResource(mcp.NewResource("test://panic", "panic"), func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		panic(secret)
	})
	s.MCP().AddResourceTemplate(mcp.NewResourceTemplate("item://{id}", "item"), func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		return nil, fmt.Errorf("item: %w", server.ErrResourceNotFound)
	})
	s.MCP().AddPrompt(mcp.NewPrompt("needs", mcp.WithArgument("what", mcp.RequiredArgument())), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{}, nil
	})
	s.MCP().AddPrompt(mcp.NewPrompt("fail"), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return nil, errors.New(secret)
	})
	return s, log
}

// logBuffer is a log that tests read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// wire is a message as a test sees it.
type wire struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *Error          `json:"error"`
}

// text returns the text of a tool result.
func (w wire) text() string {
	var r struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	}
	if json.Unmarshal(w.Result, &r) != nil || len(r.Content) == 0 {
		return ""
	}
	return r.Content[0].Text
}

// era is a protocol era: how a client of it writes requests.
type era struct {
	name string
	meta string // members of _meta in each request
}

var (
	legacy = era{name: "legacy"}
	modern = era{name: "modern", meta: `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`}
	eras   = []era{legacy, modern}
)

// request writes a request. params are the members of its params, without _meta.
func (e era) request(id, method, params string) string { return e.requestMeta(id, method, params, "") }

func (e era) requestMeta(id, method, params, meta string) string {
	meta = strings.Trim(e.meta+","+meta, ",")
	if meta != "" {
		params = strings.Trim(params+`,"_meta":{`+meta+`}`, ",")
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":{%s}}`, id, method, params)
}

func (e era) call(id, tool, args string) string {
	return e.request(id, "tools/call", fmt.Sprintf(`"name":%q,"arguments":{%s}`, tool, args))
}

const initialize = `{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"t","version":"1"}}}`

// client is the other end of a stdio connection.
type client struct {
	t      testing.TB
	in     *io.PipeWriter
	lines  chan wire
	served chan error
	stop   context.CancelCauseFunc
}

// dial serves s on pipes. A legacy client has initialized when dial returns.
func dial(t testing.TB, s *Server, e era) *client {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ctx, stop := context.WithCancelCause(t.Context())
	c := &client{t: t, in: inW, lines: make(chan wire, 100_000), served: make(chan error, 1), stop: stop}
	go func() {
		c.served <- s.ServeStdio(ctx, inR, outW)
		outW.Close()
	}()
	go func() {
		defer close(c.lines)
		for r := bufio.NewReader(outR); ; {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			var w wire
			if err := json.Unmarshal(line, &w); err != nil {
				t.Errorf("server wrote %q: %v", line, err)
			}
			c.lines <- w
		}
	}()
	t.Cleanup(func() { inW.Close(); stop(nil) })
	if e.name == legacy.name {
		c.send(initialize)
		if w := c.next(); w.Error != nil {
			t.Fatalf("initialize: %v", w.Error)
		}
		c.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	}
	return c
}

func (c *client) send(lines ...string) {
	c.t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(c.in, line+"\n"); err != nil {
			c.t.Fatalf("send: %v", err)
		}
	}
}

// next returns the next message of the server.
func (c *client) next() wire {
	c.t.Helper()
	select {
	case w, ok := <-c.lines:
		if !ok {
			c.t.Fatal("the server ended the connection")
		}
		return w
	case <-time.After(patience):
		c.t.Fatal("no message from the server")
	}
	panic("unreachable")
}

// end closes the input and returns what the server still writes.
func (c *client) end() []wire {
	c.t.Helper()
	c.in.Close()
	var rest []wire
	for w := range c.lines {
		rest = append(rest, w)
	}
	c.wait(nil)
	return rest
}

// wait waits for ServeStdio to return want.
func (c *client) wait(want error) {
	c.t.Helper()
	select {
	case err := <-c.served:
		if !errors.Is(err, want) {
			c.t.Errorf("ServeStdio returned %v, want %v", err, want)
		}
	case <-time.After(patience):
		c.t.Fatal("ServeStdio does not return")
	}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func eachEra(t *testing.T, test func(t *testing.T, e era)) {
	for _, e := range eras {
		t.Run(e.name, func(t *testing.T) { test(t, e) })
	}
}
