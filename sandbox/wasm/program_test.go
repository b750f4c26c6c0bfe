package wasm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"engram-mcp/sandbox"
)

// language is a runtime as those of other languages are made: by an
// interpreter that is a Wasm module.
type language struct {
	*Runtime
	interpreter Interpreter
}

func (l language) Load(ctx context.Context, m sandbox.Manifest, program []byte) (sandbox.Agent, error) {
	return l.LoadProgram(ctx, m, l.interpreter, program)
}

func TestLoadProgram(t *testing.T) {
	rt := open(t, Options{Kind: "quine"})
	m := sandbox.NewManager(sandbox.Options{}, language{rt, Interpreter{Wasm: file(t, "testdata/program.wasm")}})
	defer m.Close(context.Background())
	for name, program := range map[string]string{"one": `{"one":1}`, "two": `[2]`} {
		man := manifest(name, func(m *sandbox.Manifest) { m.Runtime = "quine" })
		load(t, m, man, []byte(program))
		for range 2 {
			if res, err := m.Run(t.Context(), name, sandbox.Call{Action: "run"}); err != nil || string(res.Output) != program {
				t.Errorf("%s: %s, %v", name, res.Output, err)
			}
		}
	}
	man := manifest("bad", func(m *sandbox.Manifest) { m.Runtime = "quine" })
	if _, err := m.Load(t.Context(), man, []byte("!")); !errors.Is(err, sandbox.ErrBadAgent) || !strings.Contains(err.Error(), "syntax error") {
		t.Errorf("a program with an error: %v", err)
	}
	if len(rt.code.codes) != 1 {
		t.Errorf("%d modules were compiled for one interpreter", len(rt.code.codes))
	}
}

// Agents of different programs and owners take turns on the same few
// instances. What one leaves, whatever its end, no other finds, and idle
// instances hold nothing of anybody.
func TestProgramsShareInstancesAndNothingElse(t *testing.T) {
	rt := open(t, Options{Kind: "quine", Parallel: 2})
	rt.programs.limit = 1 // every other call finds its program's state dropped
	quine := language{rt, Interpreter{Wasm: file(t, "testdata/program.wasm")}}
	m := sandbox.NewManager(sandbox.Options{Queue: 1000}, quine)
	ends := map[string]error{"?trap": sandbox.ErrCrashed, "@spin": sandbox.ErrFuel, "-1": nil}
	for i := range 8 {
		ends[fmt.Sprintf(`"the secret of %d"`, i)] = nil
	}
	agents := map[string]string{}
	for program := range ends {
		for _, owner := range []string{"a", "b"} {
			name := fmt.Sprintf("%s%d", owner, len(agents))
			agents[name] = program
			load(t, m, manifest(name, func(m *sandbox.Manifest) { m.Runtime, m.Limits.Fuel = "quine", 100_000 }), []byte(program))
		}
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for name, program := range agents { // in an order of its own
				res, err := m.Run(context.Background(), name, sandbox.Call{Action: "run"})
				if want := ends[program]; !errors.Is(err, want) || want == nil && string(res.Output) != program {
					t.Errorf("%s: output %s, %v; want %v", program, res.Output, err, want)
				}
			}
		})
	}
	wg.Wait()
	idle := 0
	for c := range codesOf(rt) {
		base := c.base.Load()
		for _, p := range c.pools {
			idle += len(p.idle)
			for _, g := range p.idle {
				if d := g.beyond(base, len(g.bytes())); len(d.memory.runs) > 0 || d.memory.size != base.memory.size || !slices.Equal(d.globals, base.globals) {
					t.Errorf("an idle instance differs in %d places, its globals are %v", len(d.memory.runs), d.globals)
				}
			}
		}
	}
	if idle == 0 || idle > 8 {
		t.Errorf("%d idle instances, want 1 to 8", idle)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(rt.programs.programs); n > 1 {
		t.Errorf("%d programs are kept without an agent", n)
	}
}

func codesOf(rt *Runtime) iter.Seq[*code] {
	rt.code.mu.Lock()
	defer rt.code.mu.Unlock()
	return maps.Values(maps.Clone(rt.code.codes))
}

// A program that is no longer in memory is made ready again.
func TestStatesOfProgramsAreBounded(t *testing.T) {
	rt := open(t, Options{Kind: "quine"})
	m := sandbox.NewManager(sandbox.Options{}, language{rt, Interpreter{Wasm: file(t, "testdata/program.wasm")}})
	defer m.Close(context.Background())
	rt.programs.limit = 100 << 10
	text := func(i int) string { return fmt.Sprintf("%q", strings.Repeat(string(rune('a'+i)), 10_000)) }
	const programs = 26
	for i := range programs {
		load(t, m, manifest(fmt.Sprintf("p%d", i), func(m *sandbox.Manifest) { m.Runtime = "quine" }), []byte(text(i)))
	}
	for i := range programs {
		if n := rt.programs.size; n > rt.programs.limit {
			t.Errorf("%d bytes are kept", n)
		}
		if res, err := m.Run(t.Context(), fmt.Sprintf("p%d", i), sandbox.Call{Action: "run"}); err != nil || string(res.Output) != text(i) {
			t.Errorf("%d: %s, %v", i, res.Output, err)
		}
	}
	if n := rt.programs.recent.Len(); n < 2 || n > 8 {
		t.Errorf("%d states are kept", n)
	}
}
