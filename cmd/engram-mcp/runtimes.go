package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/js"
	"engram-mcp/sandbox/lua"
	"engram-mcp/sandbox/wasm"
	"engram-mcp/tools"
)

// runtimes are those that agents of the engine can run on. None is made before
// an agent needs it.
func (s *settings) runtimes(log *slog.Logger) []sandbox.Runtime {
	engine := later("wasm", func() (sandbox.Runtime, error) {
		var opt wasm.Options
		if !s.readOnly {
			opt.CacheDir = filepath.Join(s.data, "cache")
		}
		rt, err := wasm.New(opt)
		if err != nil { // it is a cache: slower without, not broken
			log.Warn("compiled agents are not kept", "err", err)
			rt, err = wasm.New(wasm.Options{})
		}
		return rt, err
	})
	return []sandbox.Runtime{
		engine,
		on(engine, "lua", func(e *wasm.Runtime) sandbox.Runtime { return lua.New(e) }),
		on(engine, "js", func(e *wasm.Runtime) sandbox.Runtime { return js.New(e) }),
	}
}

// languages are what script_run takes.
var languages = []tools.Language{
	{Name: "lua", Kind: "lua", File: "program.lua", Agent: lua.Body},
	{Name: "js", Kind: "js", File: "program.js", Agent: js.Body},
}

// A laterRuntime is a runtime that is made when it is first used.
type laterRuntime struct {
	kind string
	make func() (sandbox.Runtime, error)

	mu   sync.Mutex
	made sandbox.Runtime
	done bool // it was closed
}

func later(kind string, make func() (sandbox.Runtime, error)) *laterRuntime {
	return &laterRuntime{kind: kind, make: make}
}

// on returns a runtime whose interpreter runs on the engine, within its bounds.
func on(engine *laterRuntime, kind string, make func(*wasm.Runtime) sandbox.Runtime) *laterRuntime {
	return later(kind, func() (sandbox.Runtime, error) {
		rt, err := engine.runtime()
		if err != nil {
			return nil, err
		}
		return make(rt.(*wasm.Runtime)), nil
	})
}

func (l *laterRuntime) runtime() (sandbox.Runtime, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return nil, sandbox.ErrClosed
	}
	var err error
	if l.made == nil {
		l.made, err = l.make()
	}
	return l.made, err
}

func (l *laterRuntime) Kind() string { return l.kind }

func (l *laterRuntime) Features() sandbox.Features {
	rt, err := l.runtime()
	if err != nil {
		return sandbox.Features{}
	}
	return rt.Features()
}

func (l *laterRuntime) Load(ctx context.Context, m sandbox.Manifest, code []byte) (sandbox.Agent, error) {
	rt, err := l.runtime()
	if err != nil {
		return nil, err
	}
	return rt.Load(ctx, m, code)
}

func (l *laterRuntime) Close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	if l.made == nil {
		return nil
	}
	return l.made.Close(ctx)
}
