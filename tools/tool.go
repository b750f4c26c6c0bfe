// Package tools is the vocabulary of the memory: whatever can be done with it
// is a [Tool], which is a name, two JSON schemas and a function, and all tools
// stand in one [Set]. MCP clients, agents in the sandbox, the command line and
// the page call the same tools through it, so that a new tool appears at every
// door at once.
//
// Each noun has a file of its own. mcp.go puts a Set onto an MCP server;
// [Agents] run what others wrote, with the same tools. DESIGN.md says why.
package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"engram-mcp/memory"
)

// The bounds of one call.
const (
	MaxArguments = 8 << 20 // bytes of arguments
	MaxAnswer    = 2 << 20 // bytes of an answer, more than any model reads
)

// A Tool is one verb of the vocabulary.
type Tool struct {
	Name        string // [a-z][a-z0-9_-]*, noun before verb
	Title       string // for people
	Description string // for models, at most 2 KB, the most telling words first

	// The facts that clients decide by. They are always all told.
	ReadOnly    bool // changes nothing
	Destructive bool // may change or remove what was there before
	Idempotent  bool // a second call with the same arguments changes nothing more
	OpenWorld   bool // may reach beyond the memory

	Quotes bool // answers with what somebody stored, or what code of others made

	Profile string        // the family it is shown with, one of the Profile names
	Default bool          // shown when no profile is asked for
	Needs   memory.Rights // without which it is neither shown nor run

	In, Out json.RawMessage // JSON Schemas of the arguments and of the answer, both objects

	call func(ctx context.Context, in json.RawMessage) (any, error)
	// plain is in as the tool understands it, see batcher. It is nil for tools
	// that come and go.
	plain func(in json.RawMessage) (json.RawMessage, error)
}

// A batcher is arguments that can be written in several ways; batch is the one
// with all items in one list.
type batcher[In any] interface{ batch() In }

// New completes t with the schemas of In and Out and with f, which does the
// work. In is a struct whose field tags say what each argument is (see arg);
// f receives arguments that have passed every check those tags ask for.
// New panics if In or Out cannot be described: a mistake of the programmer.
func New[In, Out any](t Tool, f func(context.Context, In) (Out, error)) Tool {
	in := shapeFor[In]()
	t.In, t.Out = in.inputSchema(), outputSchema[Out]()
	t.call = func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args In
		if err := in.read(raw, &args); err != nil {
			return nil, err
		}
		return f(ctx, args)
	}
	t.plain = func(raw json.RawMessage) (json.RawMessage, error) {
		var args In
		if err := in.read(raw, &args); err != nil {
			return nil, err
		}
		if b, ok := any(args).(batcher[In]); ok {
			args = b.batch()
		}
		return marshal(args)
	}
	return t
}

// Raw completes t with f, which checks its arguments itself; t brings its own
// schemas.
func Raw(t Tool, f func(ctx context.Context, in json.RawMessage) (json.RawMessage, error)) Tool {
	t.call = func(ctx context.Context, raw json.RawMessage) (any, error) { return f(ctx, raw) }
	return t
}

// An Opener gives the store of the caller's space, which stays open until
// release is called.
type Opener func(ctx context.Context) (store *memory.Store, release func(), err error)

// on makes a function on the store of the caller's space into one that finds
// the store itself.
func on[In, Out any](open Opener, f func(context.Context, *memory.Store, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (out Out, err error) {
		store, release, err := open(ctx)
		if err != nil {
			return out, err
		}
		defer release()
		return f(ctx, store, in)
	}
}

// A Set is the tools by name, in order. It is safe for concurrent use.
type Set struct {
	tools    []Tool
	index    map[string]int
	source   func(ctx context.Context) []Tool
	around   func(ctx context.Context, t Tool, in json.RawMessage) (json.RawMessage, error)
	observer func(ctx context.Context, c Called)

	mu       sync.Mutex
	watchers map[*func()]struct{}
}

// NewSet returns the set of tools in their order. It panics if two have the
// same name.
func NewSet(tools ...Tool) *Set {
	s := &Set{tools: tools, index: make(map[string]int, len(tools)), watchers: map[*func()]struct{}{}}
	for i, t := range tools {
		if _, twice := s.index[t.Name]; twice {
			panic("two tools are called " + t.Name)
		}
		s.index[t.Name] = i
	}
	return s
}

// Grow lets source add tools that come and go, such as the actions of agents.
// It is asked at each list and call with the caller's context, must be fast
// and safe for concurrent use, and cannot replace a tool of the set. Grow must
// be called before the set is shared.
func (s *Set) Grow(source func(ctx context.Context) []Tool) { s.source = source }

// Called is a call of a tool that has ended. In and Out must not be changed.
type Called struct {
	Tool    string
	In, Out json.RawMessage // Out is nil if the call failed
	Err     error
	Took    time.Duration
}

// Observe lets f see every call through s that comes to a tool, in the goroutine
// of its caller before that has its answer. Calls through a part of s are seen
// by who observes the part. Observe must be called before the set is shared.
func (s *Set) Observe(f func(ctx context.Context, c Called)) { s.observer = f }

// observed runs do, and shows it to whoever observes s.
func (s *Set) observed(ctx context.Context, name string, in json.RawMessage, do func() (json.RawMessage, error)) (json.RawMessage, error) {
	if s.observer == nil {
		return do()
	}
	c := Called{Tool: name, In: in, Err: errPanicked}
	start := time.Now()
	defer func() {
		c.Took = time.Since(start)
		s.observer(ctx, c)
	}()
	c.Out, c.Err = do()
	return c.Out, c.Err
}

// errPanicked is how a call ended that did not come back.
var errPanicked = errors.New("the tool panicked")

// Watch calls f, from any goroutine, whenever the list of tools may have
// changed, until stop is called.
func (s *Set) Watch(f func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers[&f] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, &f)
	}
}

// Changed tells everyone who watches that the list of tools may have changed.
func (s *Set) Changed() {
	s.mu.Lock()
	watchers := make([]func(), 0, len(s.watchers))
	for f := range s.watchers {
		watchers = append(watchers, *f)
	}
	s.mu.Unlock()
	for _, f := range watchers {
		f()
	}
}

// Tools returns the tools that the caller carried by ctx has the rights to
// use, those of the source last.
func (s *Set) Tools(ctx context.Context) []Tool {
	list := slices.Clone(s.tools)
	if s.source != nil {
		for _, t := range s.source(ctx) {
			if _, taken := s.index[t.Name]; !taken {
				list = append(list, t)
			}
		}
	}
	caller, _ := memory.PrincipalFrom(ctx)
	return slices.DeleteFunc(list, func(t Tool) bool { return !caller.Can(t.Needs) })
}

// Find returns the tool called name, whatever rights it needs.
func (s *Set) Find(ctx context.Context, name string) (Tool, bool) {
	if i, ok := s.index[name]; ok {
		return s.tools[i], true
	}
	if s.source != nil {
		for _, t := range s.source(ctx) {
			if t.Name == name {
				return t, true
			}
		}
	}
	return Tool{}, false
}

// Call runs the tool called name with in, a JSON object, as the caller carried
// by ctx, and returns its answer, a JSON object without control characters.
// What the caller did wrong is an error with a hint that says what to change.
func (s *Set) Call(ctx context.Context, name string, in json.RawMessage) (json.RawMessage, error) {
	tool, ok := s.Find(ctx, name)
	if !ok {
		return nil, s.unknown(ctx, name)
	}
	return s.observed(ctx, tool.Name, in, func() (json.RawMessage, error) {
		if s.around != nil && tool.hookable() {
			return s.around(ctx, tool, in)
		}
		return tool.run(ctx, in)
	})
}

// Host is Call with the signature of an agent's door to the outside.
func (s *Set) Host(ctx context.Context, op string, in []byte) ([]byte, error) {
	return s.Call(ctx, op, in)
}

// run checks the rights, does the work and encodes the answer.
func (t Tool) run(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
	if caller, ok := memory.PrincipalFrom(ctx); !ok || !caller.Can(t.Needs) {
		return nil, &memory.Error{Op: t.Name, Kind: memory.ErrDenied, Ref: "missing right " + t.Needs.String(),
			Hint: "use a token with that right, or start the server without --read-only"}
	}
	out, err := t.call(ctx, in)
	if err != nil {
		return nil, named(t.Name, err)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, fmt.Errorf("%s: encode the answer: %w", t.Name, err)
	}
	if buf.Len() > MaxAnswer {
		return nil, invalid(t.Name, fmt.Sprintf("the answer has %d bytes, the most is %d", buf.Len(), MaxAnswer),
			"ask for fewer at once: fewer ids, or a smaller limit")
	}
	return clean(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))), nil
}

// unknown answers a call of a tool that is not there, with the nearest name
// among those that the caller may use.
func (s *Set) unknown(ctx context.Context, name string) error {
	var names []string
	for _, t := range s.Tools(ctx) {
		names = append(names, t.Name)
	}
	hint := "the tools are " + strings.Join(names, ", ")
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	return &memory.Error{Op: "call", Kind: memory.ErrNotFound, Ref: "tool " + quote(name), Hint: hint}
}

// The profiles that a list of tools can be narrowed to.
const (
	ProfileDefault = "default" // what a model needs every day
	ProfileAll     = "all"     // everything but compat
	ProfileMemory  = "memory"
	ProfileGraph   = "graph"
	ProfileAgents  = "agents"
	ProfileAdmin   = "admin"
	ProfileCompat  = "compat"
)

var profiles = []string{ProfileDefault, ProfileMemory, ProfileGraph, ProfileAgents, ProfileAdmin, ProfileAll, ProfileCompat}

// ByProfile returns the part of the set that the profiles name together; a
// tool's own name stands for the tool. No profile is ProfileDefault. Tools of
// the source belong to every profile but compat alone. The part sees the
// changes of the whole.
func (s *Set) ByProfile(names ...string) (*Set, error) {
	if len(names) == 0 {
		names = []string{ProfileDefault}
	}
	for _, n := range names {
		if _, isTool := s.index[n]; !isTool && !slices.Contains(profiles, n) {
			return nil, &memory.Error{Op: "tools", Kind: memory.ErrInvalid, Ref: "profile " + quote(n),
				Hint: "name tools, or profiles: " + strings.Join(profiles, ", ")}
		}
	}
	var kept []Tool
	for _, t := range s.tools {
		if slices.ContainsFunc(names, t.belongs) {
			kept = append(kept, t)
		}
	}
	part := NewSet(kept...)
	part.around = s.around
	if !slices.Equal(names, []string{ProfileCompat}) {
		part.source = s.source
	}
	s.Watch(part.Changed)
	return part, nil
}

func (t Tool) belongs(name string) bool {
	switch name {
	case ProfileDefault:
		return t.Default
	case ProfileAll:
		return t.Profile != ProfileCompat
	default:
		return name == t.Profile || name == t.Name
	}
}

func invalid(op, ref, hint string) *memory.Error {
	return &memory.Error{Op: op, Kind: memory.ErrInvalid, Ref: ref, Hint: hint}
}

// named makes an error of the memory speak of the tool that was called rather
// than of the method behind it.
func named(tool string, err error) error {
	if e, ok := err.(*memory.Error); ok { //nolint:errorlint // only the outermost may be renamed
		renamed := *e
		renamed.Op = tool
		return &renamed
	}
	return err
}

// Memory returns the tools of the memory itself, in the order in which they
// are documented: everything but agents.
func Memory(open Opener) []Tool {
	return slices.Concat(Engrams(open), Search(open), Links(open), History(open), Groups(open), Admin(open), Compat(open))
}
