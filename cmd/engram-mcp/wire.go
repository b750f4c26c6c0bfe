package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
	"engram-mcp/sandbox/wasm"
	"engram-mcp/tools"
	"engram-mcp/vector"
)

// An engine is everything behind the doors: the spaces of the data directory
// and the tools that work on them. Nothing of it touches a disk before the
// first call.
type engine struct {
	spaces   *memory.Spaces
	set      *tools.Set
	agents   *tools.Agents
	runtimes []sandbox.Runtime
}

// engine wires the packages together. passing says that this process only
// passes by, to do one thing: it does not start work that would outlive it, and
// has the time to wait for the index.
func (a *app) engine(log *slog.Logger, passing bool) (*engine, error) {
	return a.engineOn(a.runtimes(log), log, passing)
}

// engineOn is engine with runtimes that the caller has made.
func (a *app) engineOn(runtimes []sandbox.Runtime, log *slog.Logger, passing bool) (*engine, error) {
	opt := memory.Options{
		Durability: memory.Durability(cmp.Or(a.durability, string(memory.Full))),
		Quota:      a.quota,
		ReadOnly:   a.readOnly,
		KeepModel:  passing,
		Log:        warnings(log),
	}
	if passing {
		opt.IndexWait = time.Minute
	}
	words, err := wordTable()
	if err != nil {
		return nil, err
	}
	opt.Lexicon = words
	embedder, err := a.newEmbedder()
	if err != nil {
		return nil, err
	}
	if embedder != nil {
		opt.Embedder, opt.Local = embedder, a.embedder == "static"
		opt.Index = func(dim int) (memory.Index, error) { return vector.NewIndex(dim) }
	}
	e := &engine{spaces: memory.OpenSpaces(a.data, opt), runtimes: runtimes}
	e.agents = tools.NewAgents(e.open, tools.AgentOptions{
		Dir: filepath.Join(a.data, "modules"), InUse: e.spaces.AgentCode, Runtimes: e.runtimes, Languages: languages, Embedded: wasm.ReadManifest, Log: log,
	})
	e.set = tools.NewSet(slices.Concat(tools.Memory(e.open), e.agents.Tools())...)
	e.agents.Join(e.set)
	return e, nil
}

// warnings logs what goes wrong in the background, but for what a memory that
// is being closed has to say of being closed.
func warnings(log *slog.Logger) func(string, ...any) {
	return func(msg string, args ...any) {
		for _, arg := range args {
			if err, ok := arg.(error); ok && errors.Is(err, memory.ErrClosed) {
				return
			}
		}
		log.Warn(msg, args...)
	}
}

// open is the tools' way to the store of whoever calls.
func (e *engine) open(ctx context.Context) (*memory.Store, func(), error) {
	who, _ := memory.PrincipalFrom(ctx)
	return e.spaces.Get(ctx, who.Space)
}

// closeTimeout is how long the calls of agents are waited for at the end; the
// default limit of one is two seconds.
const closeTimeout = 5 * time.Second

// Close finishes what is under way and releases the files. It may be called
// more than once.
func (e *engine) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	errs := []error{e.agents.Close(ctx)}
	for _, rt := range e.runtimes {
		errs = append(errs, rt.Close(ctx))
	}
	return errors.Join(append(errs, e.spaces.Close())...)
}

// embedKey is the variable that may hold the key of an embedding server.
const embedKey = "ENGRAM_EMBED_KEY"

// queryCache is how much memory the vectors of repeated queries may take where
// embedding goes over the network.
const queryCache = 32 << 20

// wordTable is the table that is built in. It is one for all, since what is
// built on its first use takes memory.
var wordTable = sync.OnceValues(vector.NewStatic)

// newEmbedder returns the embedder that the settings choose, or nil for none.
func (s *settings) newEmbedder() (vector.Embedder, error) {
	switch s.embedder {
	case "static":
		return wordTable()
	case "none":
		return nil, nil
	}
	c := vector.Config{BaseURL: s.embedURL, Model: s.embedModel, Dim: s.embedDim}
	if os.Getenv(embedKey) != "" {
		c.KeyEnv = embedKey
	}
	connect := vector.NewOpenAI
	if s.embedder == "ollama" {
		connect = vector.NewOllama
		c.BaseURL = cmp.Or(c.BaseURL, "http://localhost:11434")
	}
	remote, err := connect(c)
	if err != nil {
		if e, ok := errors.AsType[*vector.Error](err); ok {
			return nil, usage("embedder "+s.embedder+": "+e.Detail, e.Hint+"; see --embed-url, --embed-model and --embed-dim")
		}
		return nil, err
	}
	return vector.NewCached(remote, queryCache), nil
}

// owner is the principal of the command line: the person whose files these are.
func (s *settings) owner() memory.Principal {
	name := s.agent
	if name == "" {
		name = "owner"
		if u, err := user.Current(); err == nil && u.Username != "" {
			name = u.Username[strings.LastIndexByte(u.Username, '\\')+1:] // without a Windows domain
		}
	}
	return memory.Principal{Space: s.space, Name: name, Rights: memory.Owner, Trust: memory.TrustUser}
}

// client is the principal of whoever is served the tools of part.
func (s *settings) client(part *tools.Set) memory.Principal {
	p := memory.Principal{Space: s.space, Name: cmp.Or(s.agent, "agent"), Rights: memory.Read, Trust: memory.TrustAgent}
	if s.readOnly {
		return p
	}
	p.Rights |= memory.Write
	all := memory.WithPrincipal(context.Background(), memory.Principal{Rights: memory.Owner})
	for _, t := range part.Tools(all) {
		p.Rights |= t.Needs & memory.Admin
	}
	return p
}

// asOwner opens the engine for one command and runs f as the owner.
func (a *app) asOwner(ctx context.Context, f func(ctx context.Context, e *engine) error) error {
	e, err := a.engine(a.logger(), true)
	if err != nil {
		return err
	}
	return e.closedAfter(f(memory.WithPrincipal(ctx, a.owner()), e))
}

// closedAfter closes the engine and returns err, or what went wrong then.
func (e *engine) closedAfter(err error) error {
	if closing := e.Close(); err == nil && closing != nil {
		err = fmt.Errorf("closing the memory: %w", closing)
	}
	return err
}

// inSpace is asOwner for what works on the store itself.
func (a *app) inSpace(ctx context.Context, f func(ctx context.Context, s *memory.Store) error) error {
	return a.asOwner(ctx, func(ctx context.Context, e *engine) error {
		store, release, err := e.open(ctx)
		if err != nil {
			return err
		}
		defer release()
		return f(ctx, store)
	})
}

// logger writes what an operator must know to stderr: as text for people, as
// JSON for what collects logs.
func (a *app) logger() *slog.Logger {
	opt := &slog.HandlerOptions{Level: a.logLevel}
	if isTerminal(a.err) {
		return slog.New(slog.NewTextHandler(a.err, opt))
	}
	return slog.New(slog.NewJSONHandler(a.err, opt))
}
