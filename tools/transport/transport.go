// Package transport serves the Model Context Protocol over stdio and over
// streamable HTTP. It knows protocol and clients, and nothing of what is served.
//
// There is one central type, [Server]. It wraps the MCPServer of mcp-go, which
// decodes methods and runs handlers, and does itself what lies between a client
// and that: reading, bounding, authenticating, cancelling, answering. A server
// speaks on a pair of streams with [Server.ServeStdio] and over HTTP with
// [Server.Handler] and [Server.Serve]; both may be used at once. Who calls over
// HTTP is decided by an [Authenticator], which yields an [Identity].
//
// Handlers use [Notify] and [Progress] to speak before they answer, and return an
// [Error] to choose the JSON-RPC error that the client gets. Every other error
// and every panic is logged under an id, and the client is shown that id only.
//
// Both protocol eras are served everywhere: revisions 2024-11-05 to 2025-11-25,
// which begin with initialize, and 2026-07-28, where each request stands alone.
// DESIGN.md says why each piece exists.
package transport

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Options configures a Server. The zero value works.
type Options struct {
	// Name and Version tell clients what they talk to.
	Name, Version string

	// Instructions are given to clients when they connect.
	Instructions string

	// MCP holds further options of mcp-go: capabilities, icons, cache hints.
	// Recovery must not be among them, as that of mcp-go shows panics to clients.
	MCP []server.ServerOption

	// Logger takes what an operator must know; nil means slog.Default().
	Logger *slog.Logger

	// CallTimeout bounds one request by its context, which handlers must heed;
	// 0 means 5 minutes. Streams that a client listens on are not bounded.
	CallTimeout time.Duration

	// MaxMessage bounds one message from a client in bytes; 0 means 8 MiB.
	MaxMessage int

	// MaxConcurrent bounds the requests that run at once for one stdio
	// connection or one HTTP identity; 0 means 16. More are kept waiting.
	MaxConcurrent int

	// MaxConnections bounds the connections of one Serve; 0 means 1024. For one
	// more, a stranger's is closed, or that of a client that is quiet; it waits
	// while all are being served.
	MaxConnections int

	// DrainTimeout bounds the wait for running requests when a server is told
	// to stop; 0 means 10 seconds.
	DrainTimeout time.Duration
}

// Server is an MCP server that any number of clients may talk to at once. Create
// it with [New]. All methods are safe for concurrent use.
type Server struct {
	mcp  *server.MCPServer
	log  *slog.Logger
	opts Options

	listeners sync.Map     // clients that notifications may be sent to at any time: client → struct{}
	serial    atomic.Int64 // numbers sessions that no client ever names
}

// New returns a server without tools. Register them on [Server.MCP].
func New(o Options) *Server {
	o.CallTimeout = cmp.Or(o.CallTimeout, 5*time.Minute)
	o.MaxMessage = cmp.Or(o.MaxMessage, 8<<20)
	o.MaxConcurrent = cmp.Or(o.MaxConcurrent, 16)
	o.MaxConnections = cmp.Or(o.MaxConnections, 1024)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 10*time.Second)
	s := &Server{log: cmp.Or(o.Logger, slog.Default()), opts: o}

	// The first middleware is the outermost one, and hooks given by the caller
	// replace ours, so that the error hook is added to whichever set is in use.
	mcpOptions := append([]server.ServerOption{
		server.WithHooks(&server.Hooks{}),
		server.WithToolHandlerMiddleware(s.guardTool),
		server.WithPromptHandlerMiddleware(s.guardPrompt),
		server.WithInstructions(o.Instructions),
	}, o.MCP...)
	s.mcp = server.NewMCPServer(o.Name, o.Version, mcpOptions...)
	s.mcp.GetHooks().AddOnError(noteFailure)
	return s
}

// MCP returns the server of mcp-go, for AddTool, AddPrompt, AddResource and
// their like. Tools, prompts and resources may come and go while clients are
// connected; those that can be told are told.
func (s *Server) MCP() *server.MCPServer { return s.mcp }

var (
	errCancelled = errors.New("cancelled by the client")
	errStopped   = errors.New("the server is stopping")
	errGone      = errors.New("the client cannot be reached")
)

// handle runs a started request to its end and returns the answer. Notifications
// that its handler sent have been delivered when handle returns.
func (s *Server) handle(c *call) (resp response) {
	defer c.drop()
	ctx := c.ctx
	if !c.listening {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, s.opts.CallTimeout, errTimeout{s.opts.CallTimeout})
		defer stop()
	}
	c.ctx = ctx
	defer c.flush()
	defer func() {
		if p := recover(); p != nil {
			resp = c.fail(s.internalError(ctx, c, panicked(p)))
		}
	}()

	if c.listening {
		if err := s.listen(c); err != nil {
			return c.fail(s.internalError(ctx, c, err))
		}
		defer s.unlisten(c)
	}
	answer := s.mcp.HandleMessage(s.mcp.WithContext(ctx, c), c.msg.raw)
	switch r := answer.(type) {
	case mcp.JSONRPCResponse:
		return response{ID: c.msg.id, Result: r.Result}
	case mcp.JSONRPCError:
		return c.fail(s.clientError(ctx, c, r.Error))
	}
	if !c.msg.isRequest() {
		return response{}
	}
	return c.fail(s.internalError(ctx, c, fmt.Errorf("mcp-go answers with %T", answer)))
}

// cancelOne takes back the request that a notifications/cancelled names.
func (f *inflight) cancelOne(m message) {
	var params struct {
		RequestID json.RawMessage `json:"requestId"`
	}
	if json.Unmarshal(m.params, &params) == nil {
		f.cancel(string(params.RequestID))
	}
}

// listen makes a client known as one that can be notified at any time.
func (s *Server) listen(client listener) error {
	if err := s.mcp.RegisterSession(context.Background(), client); err != nil {
		return err
	}
	s.listeners.Store(client, struct{}{})
	return nil
}

func (s *Server) unlisten(client listener) {
	s.listeners.Delete(client)
	s.mcp.UnregisterSession(context.Background(), client.SessionID())
}

// response is one JSON-RPC answer. A nil ID is sent as null.
type response struct {
	ID     json.RawMessage
	Result any
	Error  *Error
}

// encode renders a response, or, when its result cannot be rendered, an error in
// its place.
func (s *Server) encode(c *call, r response) []byte {
	b, err := r.marshal()
	if err != nil {
		b, _ = c.fail(s.internalError(c.ctx, c, err)).marshal()
	}
	return b
}

func (r response) marshal() ([]byte, error) {
	return json.Marshal(struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  any             `json:"result,omitempty"`
		Error   *Error          `json:"error,omitempty"`
	}{"2.0", r.ID, r.Result, r.Error})
}
