package transport

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Error is a JSON-RPC error. A handler of a tool, prompt or resource that returns
// one, wrapped or not, chooses what the client gets, word for word. Codes from
// -32019 to -32000 are free for such use. For a resource that does not exist a
// handler returns ErrResourceNotFound of mcp-go, of which the code depends on the
// protocol revision.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"` // must be marshallable; nil is left out
}

func (e *Error) Error() string { return e.Message }

// codeBusy says that a client asks for more at once than it may.
const codeBusy = -32000

func invalidRequest(format string, args ...any) *Error {
	return &Error{Code: mcp.INVALID_REQUEST, Message: fmt.Sprintf(format, args...)}
}

func invalidParams(format string, args ...any) *Error {
	return &Error{Code: mcp.INVALID_PARAMS, Message: fmt.Sprintf(format, args...)}
}

// errTimeout is the cause of a context that ran out of its call's time.
type errTimeout struct{ after time.Duration }

func (e errTimeout) Error() string {
	return fmt.Sprintf("the request took longer than %v and was stopped; ask for less at once", e.after)
}

// panicError keeps the stack of a panic for the log.
type panicError struct {
	value any
	stack []byte
}

func panicked(value any) error { return &panicError{value, debug.Stack()} }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// internalError logs err and returns what the client may know of it: an id by
// which an operator finds the log line. Interruptions are named and not logged.
func (s *Server) internalError(ctx context.Context, c *call, err error) *Error {
	if e := interruption(ctx, err); e != nil {
		return e
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // crypto/rand.Read never fails
	id := hex.EncodeToString(random[:])
	attrs := []slog.Attr{slog.String("id", id), slog.String("method", c.msg.method), slog.Any("err", err)}
	var p *panicError
	if errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	s.log.LogAttrs(ctx, slog.LevelError, "request failed", attrs...)
	return &Error{Code: mcp.INTERNAL_ERROR, Message: "internal error (id " + id + ")"}
}

// interruption returns what to tell when a request ended because its context
// did, and nil otherwise.
func interruption(ctx context.Context, err error) *Error {
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) && !errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	return &Error{Code: mcp.REQUEST_INTERRUPTED, Message: context.Cause(ctx).Error()}
}

// noteFailure is a hook of mcp-go. It keeps the error behind an error response,
// of which mcp-go itself passes on the text only. Without an id it is called for
// something else, and from anywhere.
func noteFailure(ctx context.Context, id any, _ mcp.MCPMethod, _ any, err error) {
	if c := callFrom(ctx); c != nil && id != nil {
		c.failure = err
	}
}

// clientError decides what the client gets for an error response of mcp-go.
func (s *Server) clientError(ctx context.Context, c *call, details mcp.JSONRPCErrorDetails) *Error {
	out := &Error{Code: details.Code, Message: details.Message, Data: details.Data}
	if chosen := protocolError(c.failure); chosen != nil {
		return chosen
	}
	var unread *server.UnparsableMessageError
	switch {
	case c.failure == nil:
		return out
	case errors.Is(c.failure, server.ErrResourceNotFound):
		return noResource(c)
	case errors.Is(c.failure, server.ErrToolNotFound):
		return invalidParams("there is no tool %q; tools/list tells which there are", c.param("name"))
	case errors.Is(c.failure, server.ErrPromptNotFound):
		return invalidParams("there is no prompt %q; prompts/list tells which there are", c.param("name"))
	case errors.As(c.failure, &unread):
		return invalidParams("the params of %s have a wrong shape: %s", c.msg.method, shapeProblem(unread))
	case details.Code == mcp.INTERNAL_ERROR:
		return s.internalError(ctx, c, c.failure)
	}
	return out
}

// noResource says that the resource which c asks for does not exist, in the way of
// the revision that c speaks.
func noResource(c *call) *Error {
	code, uri := mcp.RESOURCE_NOT_FOUND, c.param("uri")
	if c.msg.modern() {
		code = mcp.INVALID_PARAMS
	}
	return &Error{
		Code:    code,
		Message: fmt.Sprintf("there is no resource %q; resources/list and resources/templates/list tell what there is", uri),
		Data:    map[string]string{"uri": uri},
	}
}

// protocolError returns the JSON-RPC error that err asks for, or nil.
func protocolError(err error) *Error {
	var chosen *Error
	if errors.As(err, &chosen) {
		return chosen
	}
	var missing mcp.MissingRequiredClientCapabilityError
	if errors.As(err, &missing) {
		return &Error{
			Code:    mcp.MISSING_REQUIRED_CLIENT_CAPABILITY,
			Message: missing.Error(),
			Data:    map[string]any{"requiredCapabilities": map[string]any{missing.Capability: struct{}{}}},
		}
	}
	return nil
}

// shapeProblem words a decoding error without naming Go types of this program.
func shapeProblem(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Sprintf("%s has the wrong type: %s", wrong.Field, wrong.Value)
	}
	return "see the schema of the method"
}

// guardTool is the outermost middleware of tools: whatever goes wrong in a tool
// becomes a result that the model sees, except errors that ask for a JSON-RPC
// error and the end of a call that nobody waits for.
func (s *Server) guardTool(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (res *mcp.CallToolResult, err error) {
		defer func() {
			if p := recover(); p != nil {
				res, err = s.toolFailure(ctx, panicked(p))
			}
		}()
		if res, err = next(ctx, req); err != nil {
			return s.toolFailure(ctx, err)
		}
		return res, nil
	}
}

// toolFailure words the end of a tool call that failed.
func (s *Server) toolFailure(ctx context.Context, err error) (*mcp.CallToolResult, error) {
	c := callFrom(ctx)
	var url mcp.URLElicitationRequiredError
	if c == nil || protocolError(err) != nil || errors.As(err, &url) || errors.Is(context.Cause(ctx), errCancelled) {
		return nil, err
	}
	return mcp.NewToolResultError(s.internalError(ctx, c, err).Message), nil
}

// guardPrompt refuses prompts that lack a required argument, which mcp-go leaves
// to handlers.
func (s *Server) guardPrompt(next server.PromptHandlerFunc) server.PromptHandlerFunc {
	return func(ctx context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		if p := s.mcp.ListPrompts()[req.Params.Name]; p != nil {
			for _, arg := range p.Prompt.Arguments {
				if _, given := req.Params.Arguments[arg.Name]; arg.Required && !given {
					return nil, invalidParams("prompt %q needs the argument %q", req.Params.Name, arg.Name)
				}
			}
		}
		return next(ctx, req)
	}
}
