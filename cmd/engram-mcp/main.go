// Command engram-mcp is a memory for LLM agents: it serves MCP over stdio and
// HTTP, and is the command line to the same memory.
//
// Each command has a file of its own; wire.go is the only place that knows all
// packages. Data goes to stdout, everything else to stderr. The exit status is
// 0 if all went well, even when nothing was found, 1 if something failed, 2 if
// the command line was wrong, and 3 if doctor found problems.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"engram-mcp/memory"
	"engram-mcp/tools"
	"engram-mcp/vector"
)

// The exit statuses that scripts can rely on.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitProblems = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{in: stdin, out: stdout, err: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errProblems):
		return exitProblems
	}
	complain(stderr, err)
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

// app is what the commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	json     bool
	logLevel slog.Level
	settings
}

// errProblems ends doctor after it has told what it found.
var errProblems = errors.New("problems were found")

// errUsage is the kind of every mistake on the command line.
var errUsage = errors.New("usage")

// A problem is an error of the command line's own, with its remedy.
type problem struct {
	what, hint string
	kind       error // errUsage, or nil
	err        error // the cause, which is shown too; may be nil
}

func (p *problem) Error() string   { return p.what }
func (p *problem) Unwrap() []error { return []error{p.kind, p.err} }

func usage(what, hint string) error { return &problem{what: what, hint: hint, kind: errUsage} }

func failed(what, hint string, cause error) error {
	return &problem{what: what, hint: hint, err: cause}
}

// complain prints err for the person at the terminal: what happened, the cause
// below it, and what to do about it. Unlike a remote caller, whoever owns the
// files may know the cause.
func complain(w io.Writer, err error) {
	what, hint, cause := explain(err)
	fmt.Fprintln(w, "engram-mcp:", what)
	if cause != nil && !strings.Contains(what, cause.Error()) {
		fmt.Fprintln(w, "cause:", cause)
	}
	if hint != "" {
		fmt.Fprintln(w, "hint:", hint)
	}
}

// explain takes an error apart.
func explain(err error) (what, hint string, cause error) {
	if errors.Is(err, context.Canceled) {
		return "interrupted", "", nil
	}
	if p, ok := errors.AsType[*problem](err); ok {
		return p.what, p.hint, p.err
	}
	if e, ok := errors.AsType[*vector.Error](err); ok {
		return e.Error(), e.Hint, e.Cause
	}
	if e, ok := errors.AsType[*memory.Error](err); ok {
		cause = e.Err
	}
	if text, kind := tools.Explain(err); kind != "" {
		what, hint, _ = strings.Cut(text, "\nhint: ")
		return what, hint, cause
	}
	return err.Error(), "", nil
}
