package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The kinds of failure. Compare with errors.Is. A call that its caller
// cancelled matches context.Canceled instead.
var (
	// ErrBadAgent means that the manifest or the code cannot be loaded.
	ErrBadAgent = errors.New("not an agent that can be loaded")
	// ErrNotFound means that no agent of that name is loaded.
	ErrNotFound = errors.New("no such agent")
	// ErrUnknownAction means that the agent has no action of that name.
	ErrUnknownAction = errors.New("no such action")
	// ErrDenied means that the agent asked for what it was not granted.
	ErrDenied = errors.New("the agent may not do this")
	// ErrFailed means that the agent itself reported an error.
	ErrFailed = errors.New("the agent reported an error")
	// ErrTimeout means that the time limit or the caller's deadline passed.
	ErrTimeout = errors.New("the agent ran past its time limit")
	// ErrFuel means that the agent used up its fuel or its host calls.
	ErrFuel = errors.New("the agent used up its budget")
	// ErrMemory means that the agent died because it got no more memory.
	ErrMemory = errors.New("the agent ran out of memory")
	// ErrCrashed means that the agent stopped by itself in an irregular way.
	ErrCrashed = errors.New("the agent crashed")
	// ErrOutput means that the agent's output is too large or not JSON.
	ErrOutput = errors.New("the agent's output was refused")
	// ErrBusy means that the agent has as many calls as it may hold.
	ErrBusy = errors.New("the agent is busy")
	// ErrConflict means that another call changed the globals meanwhile.
	ErrConflict = errors.New("the agent's globals changed during the call")
	// ErrClosed means that the Manager or Runtime is closed.
	ErrClosed = errors.New("the sandbox is closed")
)

// An Error says what failed, for which agent, of which kind, and what can be
// done about it.
type Error struct {
	Op    string // load, run, call NAME, …
	Agent string // may be empty
	Kind  error  // one of the Err values, or context.Canceled
	Err   error  // more about the cause; may be nil
	Hint  string // the remedy, one sentence
}

// Error returns the error in one line, without the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Agent != "" {
		fmt.Fprintf(&b, " agent %q", e.Agent)
	}
	if e.Kind != nil {
		b.WriteString(": " + e.Kind.Error())
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// HintOf returns the hint of the outermost Error in err that has one.
func HintOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// EncodeError returns err as agents of every runtime are told of it:
// {"code", "message", "hint"}. The code is one word, such as denied; an error
// that is not of this package chooses its own with a method Code() string.
func EncodeError(err error) []byte {
	e := struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Hint    string `json:"hint,omitempty"`
	}{"failed", shorten(err.Error(), 2000), HintOf(err)}
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		e.Code = coded.Code()
	} else {
		for _, c := range codes {
			if errors.Is(err, c.kind) {
				e.Code = c.code
				break
			}
		}
	}
	out, _ := json.Marshal(e) // strings always encode
	return out
}

var codes = []struct {
	kind error
	code string
}{
	{ErrDenied, "denied"}, {ErrNotFound, "not_found"}, {ErrUnknownAction, "unknown_action"},
	{ErrTimeout, "timeout"}, {context.Canceled, "cancelled"}, {context.DeadlineExceeded, "timeout"},
	{ErrFuel, "budget"}, {ErrMemory, "memory"}, {ErrOutput, "output"},
	{ErrBusy, "busy"}, {ErrConflict, "conflict"}, {ErrCrashed, "crashed"}, {ErrBadAgent, "bad_agent"}, {ErrClosed, "closed"},
}

// shorten cuts s to at most n bytes, on a rune's border.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
