package wasm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"engram-mcp/sandbox"
)

func search(context.Context, string, []byte) ([]byte, error) { return []byte(`{"hits":[]}`), nil }

// manifest is one for a guest whose actions are its exports tool_….
func manifest(name string, edit ...func(*sandbox.Manifest)) sandbox.Manifest {
	m := sandbox.Manifest{Name: name, Runtime: "wasm", Grants: []string{"engram_search", "engram_create"}}
	for _, e := range edit {
		e(&m)
	}
	return m
}

func manager(t testing.TB, opts Options) *sandbox.Manager {
	t.Helper()
	rt := open(t, opts)
	m := sandbox.NewManager(sandbox.Options{Queue: 2000}, rt)
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func load(t testing.TB, m *sandbox.Manager, man sandbox.Manifest, code []byte) sandbox.Listing {
	t.Helper()
	l, err := m.Load(t.Context(), man, code)
	if err != nil {
		t.Fatalf("%v (%s)", err, sandbox.HintOf(err))
	}
	return l
}

// How guests that never end by themselves are ended, on either engine: by the
// clock, unless they run into something else first.
var endless = map[string][]error{
	"loop": nil, "hot": nil, "divide": nil, "twice": nil, "tail": nil, "indirect": nil,
	"fill": nil, "copy": nil, "fills": nil, "grow-zero": nil,
	"log": nil, "emit": nil, "emit-large": nil, "output": nil, "read": nil, "config": nil,
	"print": nil, "random": nil, "sleep": nil, "clock": nil,
	"call": {sandbox.ErrFuel}, "call-large": {sandbox.ErrFuel},
	"grow": {sandbox.ErrMemory}, "deep": {sandbox.ErrCrashed},
}

// Other ends.
var deadly = map[string]error{
	"fine": nil, "exit-well": nil, "grow-table": nil,
	"unreachable": sandbox.ErrCrashed, "load": sandbox.ErrCrashed, "zero": sandbox.ErrCrashed, "null": sandbox.ErrCrashed,
	"exit":           sandbox.ErrFailed,
	"pointer-output": sandbox.ErrCrashed, "pointer-call": sandbox.ErrCrashed, "pointer-read": sandbox.ErrCrashed,
	"pointer-print": sandbox.ErrCrashed, "pointer-poll": sandbox.ErrCrashed,
}

// Every hostile guest runs at the same time as all others, and meanwhile a
// well-behaved agent is served.
func TestHostileGuestsAreStopped(t *testing.T) {
	for _, engine := range []string{"compiler", "interpreter"} {
		t.Run(engine, func(t *testing.T) {
			m := manager(t, Options{})
			limit := 300 * time.Millisecond
			code := file(t, "testdata/hostile.wasm")
			l := load(t, m, manifest("hostile", func(m *sandbox.Manifest) {
				m.Engine = engine
				m.Limits = sandbox.Limits{TimeMS: limit.Milliseconds(), MemoryMiB: 16, Concurrency: 64, Fuel: sandbox.MaxLimits.Fuel, HostCalls: 50}
			}), code)
			if want := len(endless) + len(deadly); len(l.Manifest.Actions) != want {
				t.Fatalf("the module has %d actions, this test knows %d", len(l.Manifest.Actions), want)
			}
			load(t, m, manifest("good"), code)
			ctx, cancel := context.WithCancel(t.Context())
			served, slowest := serve(ctx, t, m)
			var attacks sync.WaitGroup
			var mu sync.Mutex
			var worst time.Duration
			for action, kinds := range endless {
				attacks.Go(func() {
					start := time.Now()
					_, err := m.Run(t.Context(), "hostile", sandbox.Call{Action: action, Params: []byte(`"` + strings.Repeat("x", 100_000) + `"`), Host: search})
					late := time.Since(start) - limit
					if !slices.ContainsFunc(append(kinds, sandbox.ErrTimeout), func(k error) bool { return errors.Is(err, k) }) || sandbox.HintOf(err) == "" {
						t.Errorf("%s: %v, want a timeout or %v, with a hint", action, err, kinds)
					}
					if late > 3*time.Second {
						t.Errorf("%s: stopped %v late", action, late)
					}
					mu.Lock()
					defer mu.Unlock()
					worst = max(worst, late)
				})
			}
			attacks.Wait()
			cancel()
			t.Logf("%d attacks at once: the last was over %v after its limit; meanwhile %d calls were served, the slowest in %v",
				len(endless), worst.Round(time.Millisecond), <-served, (<-slowest).Round(time.Millisecond))
			load(t, m, manifest("hostile", func(m *sandbox.Manifest) {
				m.Engine = engine
				m.Limits = sandbox.Limits{TimeMS: 20_000, MemoryMiB: 16, HostCalls: 50}
			}), code)
			for action, kinds := range endless {
				if kinds == nil {
					continue
				}
				if _, err := m.Run(t.Context(), "hostile", sandbox.Call{Action: action, Host: search}); !errors.Is(err, kinds[0]) {
					t.Errorf("%s alone: %v, want %v", action, err, kinds[0])
				}
			}
			for action, want := range deadly {
				_, err := m.Run(t.Context(), "hostile", sandbox.Call{Action: action, Host: search})
				if !errors.Is(err, want) || (err == nil) != (want == nil) {
					t.Errorf("%s: %v, want %v", action, err, want)
				}
			}
		})
	}
}

// serve calls the agent good until ctx is done, and tells how often and how
// long the slowest call took.
func serve(ctx context.Context, t *testing.T, m *sandbox.Manager) (count chan int, slowest chan time.Duration) {
	count, slowest = make(chan int, 1), make(chan time.Duration, 1)
	go func() {
		n, top := 0, time.Duration(0)
		for ctx.Err() == nil {
			start := time.Now()
			if _, err := m.Run(context.WithoutCancel(ctx), "good", sandbox.Call{Action: "fine"}); err != nil {
				t.Errorf("a good agent beside hostile ones: %v", err)
			}
			top = max(top, time.Since(start))
			n++
		}
		if n == 0 {
			t.Error("no good agent was served")
		}
		count <- n
		slowest <- top
	}()
	return count, slowest
}

// The same work costs the same fuel on either engine, in a new instance and in
// one that was put back, also after it was stopped in the middle.
func TestFuelIsDeterministic(t *testing.T) {
	reference := file(t, "testdata/reference.wasm")
	hostile := file(t, "testdata/hostile.wasm")
	fuel := map[string]int64{}
	for _, engine := range []string{"compiler", "interpreter"} {
		for range 2 { // runtimes
			m := manager(t, Options{})
			load(t, m, manifest("ref", func(m *sandbox.Manifest) { m.Engine, m.Limits.TimeMS = engine, 60_000 }), reference)
			load(t, m, manifest("hostile", func(m *sandbox.Manifest) { m.Engine, m.Limits.Fuel, m.Limits.TimeMS = engine, 3_000_003, 60_000 }), hostile)
			for round := range 3 {
				for _, params := range []string{`{}`, `[1,2,3]`, `"` + strings.Repeat("y", 5000) + `"`} {
					res, err := m.Run(t.Context(), "ref", sandbox.Call{Action: "echo", Params: []byte(params)})
					if err != nil {
						t.Fatal(err)
					}
					same(t, fuel, fmt.Sprintf("echo of %d bytes", len(params)), res.Usage.Fuel)
				}
				for _, action := range []string{"twice", "fills", "hot", "clock"} {
					res, err := m.Run(t.Context(), "hostile", sandbox.Call{Action: action})
					if !errors.Is(err, sandbox.ErrFuel) {
						t.Fatalf("%s: %v", action, err)
					}
					same(t, fuel, action, res.Usage.Fuel)
				}
				_, _ = m.Run(t.Context(), "ref", sandbox.Call{Action: "crash"})
				if round == 1 {
					_, _ = m.Run(t.Context(), "ref", sandbox.Call{Action: "bomb"})
				}
			}
		}
	}
}

func same(t *testing.T, seen map[string]int64, what string, n int64) {
	t.Helper()
	if n == 0 {
		t.Errorf("%s: no fuel counted", what)
	}
	if before, ok := seen[what]; ok && before != n {
		t.Errorf("%s: fuel %d, before %d", what, n, before)
	}
	seen[what] = n
}

// What one caller leaves in memory, globals and variables is not there for
// the next, whatever ended the first call.
func TestNothingIsLeftBehind(t *testing.T) {
	m := manager(t, Options{})
	load(t, m, manifest("ref", func(m *sandbox.Manifest) { m.Limits.Concurrency = 1; m.Limits.TimeMS = 100 }), file(t, "testdata/reference.wasm"))
	for _, end := range []string{"echo", "fail", "crash", "spin", "spin-try", "bomb", "corrupt", "shout"} {
		if _, err := m.Run(t.Context(), "ref", sandbox.Call{Action: "mark", Params: []byte(`{"value":"secret of a"}`)}); err != nil {
			t.Fatal(err)
		}
		_, _ = m.Run(t.Context(), "ref", sandbox.Call{Action: end, Params: []byte(`{"secret of b":1}`)})
		res, err := m.Run(t.Context(), "ref", sandbox.Call{Action: "mark", Params: []byte(`{"value":0}`)})
		if err != nil || string(res.Output) != "null" {
			t.Errorf("after %s: %s, %v", end, res.Output, err)
		}
	}
}

func TestManyCallsOnManyAgents(t *testing.T) {
	const agents, calls = 50, 1000
	m := manager(t, Options{})
	code := file(t, "testdata/reference.wasm")
	for i := range agents {
		load(t, m, manifest(fmt.Sprintf("a%d", i), func(m *sandbox.Manifest) { m.Limits.TimeMS = 60_000 }), code)
	}
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			name, v := fmt.Sprintf("a%d", i%agents), fmt.Sprintf(`{"op":"engram_search","in":{"call":%d,"pad":%q}}`, i, strings.Repeat("z", i%97))
			res, err := m.Run(t.Context(), name, sandbox.Call{Action: "ask", Params: []byte(v), Host: func(_ context.Context, _ string, in []byte) ([]byte, error) {
				return slices.Clone(in), nil
			}})
			want := v[len(`{"op":"engram_search","in":`) : len(v)-1]
			if err != nil || string(res.Output) != want {
				t.Errorf("%s: %s, %v", name, res.Output, err)
			}
		})
	}
	wg.Wait()
}

// A program that prints without end is stopped by the limit of its output.
func TestEndlessPrinting(t *testing.T) {
	body := []byte{0x41, 4, 0x41, 0x80, 0x80, 0x04, 0x36, 2, 0, // (i32.store (i32.const 4) (i32.const 65536))
		0x03, 0x40, 0x41, 1, 0x41, 0, 0x41, 1, 0x41, 16, 0x10, 0, 0x1a, 0x0c, 0, 0x0b, 0x0b} // (loop (drop (call $fd_write …)) (br 0))
	printer := module(
		section(1, 2, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f, 0x60, 0, 0),
		section(2, append(append([]byte{1}, append(name("wasi_snapshot_preview1"), name("fd_write")...)...), 0, 0)...),
		section(3, 1, 1), section(5, 1, 0, 1),
		section(7, append(append(append([]byte{2}, append(name("memory"), 2, 0)...), name("_start")...), 0, 1)...),
		section(10, append([]byte{1, byte(len(body) + 1), 0}, body...)...))
	m := manager(t, Options{})
	load(t, m, manifest("printer", func(m *sandbox.Manifest) { m.Limits.TimeMS = 60_000 }), printer)
	start := time.Now()
	res, err := m.Run(t.Context(), "printer", sandbox.Call{Action: "run"})
	if !errors.Is(err, sandbox.ErrOutput) || len(res.Output) > 0 || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v, with %d bytes", err, time.Since(start), len(res.Output))
	}
}
