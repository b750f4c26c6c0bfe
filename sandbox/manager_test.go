package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func allow(context.Context, string, []byte) ([]byte, error) { return []byte(`{"ok":true}`), nil }

func load(t *testing.T, m *Manager, man Manifest) Listing {
	t.Helper()
	l, err := m.Load(t.Context(), man, []byte("code"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRunEnforcesGrants(t *testing.T) {
	var called []string
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){
		"ask": func(ctx context.Context, c Call) (Result, error) {
			var p struct{ Op string }
			_ = json.Unmarshal(c.Params, &p)
			out, err := c.Host(ctx, p.Op, nil)
			if err != nil {
				return Result{}, fmt.Errorf("%w: %v", ErrFailed, err)
			}
			return Result{Output: out}, nil
		},
	}}
	m := NewManager(Options{}, f)
	load(t, m, f.manifest("asker"))
	host := func(_ context.Context, op string, in []byte) ([]byte, error) {
		called = append(called, op+string(in))
		return []byte(`1`), nil
	}
	for _, tc := range []struct {
		op   string
		host Host
		want error
	}{
		{"engram_create", host, nil},
		{"engram_forget", host, ErrDenied},
		{"globals_get", nil, nil},
		{"engram_create", nil, ErrDenied},
		{"", host, ErrDenied},
	} {
		_, err := m.Run(t.Context(), "asker", Call{Action: "ask", Params: fmt.Appendf(nil, `{"op":%q}`, tc.op), Host: tc.host})
		if !errors.Is(err, tc.want) {
			t.Errorf("op %q: error %v, want %v", tc.op, err, tc.want)
		}
		if err != nil && HintOf(err) == "" {
			t.Errorf("op %q: no hint in %v", tc.op, err)
		}
	}
	if d := cmp.Diff([]string{"engram_create{}"}, called); d != "" {
		t.Error("the host was called otherwise than granted:", d)
	}
}

func TestRunStagesWrites(t *testing.T) {
	outcome := map[string]error{"well": nil, "refuse": ErrFailed, "trap": ErrCrashed, "slow": ErrTimeout}
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){}}
	for name := range outcome {
		f.acts[name] = func(ctx context.Context, c Call) (Result, error) {
			if _, err := c.Host(ctx, "engram_create", nil); err != nil {
				return Result{}, err
			}
			if _, err := c.Host(ctx, "globals_set", []byte(`{"by":"`+name+`"}`)); err != nil {
				return Result{}, err
			}
			if name == "slow" {
				<-ctx.Done()
				return Result{}, ctx.Err()
			}
			return Result{}, outcome[name]
		}
	}
	type key struct{}
	var committed, rolled []string
	m := NewManager(Options{Begin: func(ctx context.Context) (context.Context, func(context.Context) error, func()) {
		staged := new([]string)
		return context.WithValue(ctx, key{}, staged),
			func(context.Context) error { committed = append(committed, *staged...); return nil },
			func() { rolled = append(rolled, *staged...) }
	}}, f)
	load(t, m, f.manifest("writer", func(m *Manifest) { m.Limits.TimeMS = 30 }))
	for _, name := range []string{"refuse", "trap", "slow", "well"} {
		host := func(ctx context.Context, op string, _ []byte) ([]byte, error) {
			s := ctx.Value(key{}).(*[]string)
			*s = append(*s, name)
			return nil, nil
		}
		if _, err := m.Run(t.Context(), "writer", Call{Action: name, Host: host}); !errors.Is(err, outcome[name]) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if d := cmp.Diff([][]string{{"well"}, {"refuse", "trap", "slow"}}, [][]string{committed, rolled}); d != "" {
		t.Error("committed and rolled back:", d)
	}
	c, err := m.Context(t.Context(), "writer")
	if err != nil || string(c.Globals) != `{"by":"well"}` {
		t.Errorf("globals %s, %v", c.Globals, err)
	}
	if c.Stats.Calls != 4 || c.Stats.Errors != 3 || c.Stats.Crashes != 1 {
		t.Errorf("stats %+v", c.Stats)
	}
}

func TestGlobalsConflictIsRetriedOnce(t *testing.T) {
	var m *Manager
	rivals := 0
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){"count": count}}
	f.acts["raced"] = func(ctx context.Context, c Call) (Result, error) {
		res, err := count(ctx, c)
		if rivals > 0 {
			rivals--
			if _, err := m.Run(t.Context(), "counter", Call{Action: "count"}); err != nil {
				return Result{}, err
			}
		}
		return res, err
	}
	m = NewManager(Options{}, f)
	load(t, m, f.manifest("counter"))
	rivals = 1
	if res, err := m.Run(t.Context(), "counter", Call{Action: "raced"}); err != nil || string(res.Output) != `{"N":2}` {
		t.Errorf("with one rival: %s, %v", res.Output, err)
	}
	rivals = 2
	if _, err := m.Run(t.Context(), "counter", Call{Action: "raced"}); !errors.Is(err, ErrConflict) {
		t.Errorf("with a rival each time: %v, want ErrConflict", err)
	}
	c, err := m.Context(t.Context(), "counter")
	if err != nil || string(c.Globals) != `{"N":4}` || c.Stats.Retries != 2 {
		t.Errorf("%s %+v %v", c.Globals, c.Stats, err)
	}
}

func TestCallsInParallelLoseNoCount(t *testing.T) {
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){"count": count}}
	m := NewManager(Options{Queue: 1000}, f)
	load(t, m, f.manifest("serial", func(m *Manifest) { m.Instances = "private" }))
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := m.Run(t.Context(), "serial", Call{Action: "count"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c, _ := m.Context(t.Context(), "serial"); string(c.Globals) != `{"N":200}` {
		t.Errorf("globals %s", c.Globals)
	}
}

func TestNestedCalls(t *testing.T) {
	var m *Manager
	var host Host = func(ctx context.Context, op string, in []byte) ([]byte, error) {
		if op != "agent_run" {
			return []byte(`{}`), nil
		}
		var p struct{ Agent, Action string }
		if err := json.Unmarshal(in, &p); err != nil {
			return nil, err
		}
		res, err := m.Run(ctx, p.Agent, Call{Action: p.Action, Host: allow})
		return res.Output, err
	}
	nest := func(agent, action string, rest error) func(context.Context, Call) (Result, error) {
		return func(ctx context.Context, c Call) (Result, error) {
			_, err := c.Host(ctx, "agent_run", fmt.Appendf(nil, `{"agent":%q,"action":%q}`, agent, action))
			if err == nil {
				err = rest
			}
			return Result{}, err
		}
	}
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){
		"count": count,
		"write": func(ctx context.Context, c Call) (Result, error) {
			_, err := c.Host(ctx, "engram_create", nil)
			return Result{}, err
		},
		"count-other":      nest("inner", "count", nil),
		"count-then-fail":  nest("inner", "count", ErrFailed),
		"write-via-other":  nest("inner", "write", nil),
		"call-itself":      nil,
		"call-itself-busy": nil,
	}}
	f.acts["call-itself"] = func(ctx context.Context, c Call) (Result, error) {
		_, err := host(ctx, "agent_run", []byte(`{"agent":"outer","action":"call-itself"}`))
		return Result{}, err
	}
	m = NewManager(Options{}, f)
	load(t, m, f.manifest("inner"))
	load(t, m, f.manifest("outer", func(m *Manifest) { m.Grants = []string{"agent_run"} }))
	load(t, m, f.manifest("alone", func(m *Manifest) { m.Instances = "private" }))
	f.acts["call-itself-busy"] = nest("alone", "call-itself-busy", nil)

	for _, tc := range []struct {
		why, agent, action string
		want               error
		globals            string
	}{
		{"an inner call's globals take effect with the outer", "outer", "count-other", nil, `{"N":1}`},
		{"and not without it", "outer", "count-then-fail", ErrFailed, `{"N":1}`},
		{"rights only shrink", "outer", "write-via-other", ErrDenied, `{"N":1}`},
		{"an outer agent with the right may", "inner", "write-via-other", nil, `{"N":1}`},
		{"depth is bounded", "outer", "call-itself", ErrDenied, `{"N":1}`},
		{"a private agent cannot wait for itself", "alone", "call-itself-busy", ErrBusy, `{"N":1}`},
	} {
		_, err := m.Run(t.Context(), tc.agent, Call{Action: tc.action, Host: host})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", tc.why, err, tc.want)
		}
		if c, _ := m.Context(t.Context(), "inner"); string(c.Globals) != tc.globals {
			t.Errorf("%s: globals %s, want %s", tc.why, c.Globals, tc.globals)
		}
	}
}

func TestLimitsOfOneCall(t *testing.T) {
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){
		"flood": func(ctx context.Context, c Call) (Result, error) {
			for ctx.Err() == nil {
				_, _ = c.Host(ctx, "engram_create", nil)
			}
			return Result{}, ctx.Err()
		},
		"shout": func(ctx context.Context, c Call) (Result, error) {
			for range 100_000 {
				c.Log(LogLine{Text: "aa\x1b[2Jaa"})
			}
			return Result{}, nil
		},
		"bulk": func(context.Context, Call) (Result, error) {
			return Result{Output: []byte(strings.Repeat("1", 2<<10))}, nil
		},
		"prose": func(context.Context, Call) (Result, error) { return Result{Output: []byte("hello")}, nil },
		"mute":  func(context.Context, Call) (Result, error) { return Result{}, nil },
	}}
	m := NewManager(Options{}, f)
	load(t, m, f.manifest("a", func(m *Manifest) { m.Limits = Limits{HostCalls: 50, LogKiB: 1, OutputKiB: 1} }))
	for action, want := range map[string]error{"flood": ErrFuel, "shout": nil, "bulk": ErrOutput, "prose": ErrOutput, "mute": nil} {
		res, err := m.Run(t.Context(), "a", Call{Action: action, Host: allow})
		if !errors.Is(err, want) || err != nil && HintOf(err) == "" {
			t.Errorf("%s: error %v, want %v with a hint", action, err, want)
		}
		switch action {
		case "flood":
			if res.Usage.HostCalls != 50 {
				t.Errorf("%d host calls were served, want 50", res.Usage.HostCalls)
			}
		case "shout":
			if n := len(res.Logs); n < 40 || n > 60 || res.Logs[0].Text != "aa[2Jaa" || !strings.Contains(res.Logs[n-1].Text, "log cut") {
				t.Errorf("%d log lines, first %q, last %q", n, res.Logs[0].Text, res.Logs[n-1].Text)
			}
		case "mute":
			if string(res.Output) != "null" {
				t.Errorf("no output is %q", res.Output)
			}
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	release := make(chan struct{})
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){
		"hold": func(context.Context, Call) (Result, error) { <-release; return Result{}, nil },
	}}
	m := NewManager(Options{Queue: 3}, f)
	load(t, m, f.manifest("a", func(m *Manifest) { m.Limits.Concurrency = 2 }))
	var busy, fine atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch _, err := m.Run(t.Context(), "a", Call{Action: "hold"}); {
			case err == nil:
				fine.Add(1)
			case errors.Is(err, ErrBusy):
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	for busy.Load() < 15 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	if fine.Load() != 5 || busy.Load() != 15 {
		t.Errorf("%d served, %d refused; want 5 and 15", fine.Load(), busy.Load())
	}
}

func TestCancelledCallerAppliesNothing(t *testing.T) {
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){}}
	ctx, cancel := context.WithCancel(t.Context())
	f.acts["go-on"] = func(context.Context, Call) (Result, error) { cancel(); return Result{}, nil }
	rolled := false
	m := NewManager(Options{Begin: func(ctx context.Context) (context.Context, func(context.Context) error, func()) {
		return ctx, func(context.Context) error { t.Error("committed"); return nil }, func() { rolled = true }
	}}, f)
	load(t, m, f.manifest("a"))
	if _, err := m.Run(ctx, "a", Call{Action: "go-on"}); !errors.Is(err, context.Canceled) || !rolled {
		t.Errorf("error %v, rolled back %v", err, rolled)
	}
}

func TestReloadDrains(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){
		"hold":  func(context.Context, Call) (Result, error) { close(started); <-release; return Result{}, nil },
		"count": count,
	}}
	m := NewManager(Options{}, f)
	load(t, m, f.manifest("a"))
	if _, err := m.Run(t.Context(), "a", Call{Action: "count"}); err != nil {
		t.Fatal(err)
	}
	held := make(chan error)
	go func() { _, err := m.Run(t.Context(), "a", Call{Action: "hold"}); held <- err }()
	<-started
	if l := load(t, m, f.manifest("a")); l.Generation != 2 || l.Stats.Calls != 1 {
		t.Errorf("generation %d with %d calls", l.Generation, l.Stats.Calls)
	}
	if _, err := m.Load(t.Context(), f.manifest("a"), []byte("broken")); !errors.Is(err, ErrBadAgent) || HintOf(err) == "" {
		t.Errorf("broken code: %v", err)
	}
	if n := f.open.Load(); n != 2 {
		t.Errorf("%d agents open while the old one runs, want 2", n)
	}
	if res, err := m.Run(t.Context(), "a", Call{Action: "count"}); err != nil || string(res.Output) != `{"N":2}` {
		t.Errorf("globals after reload: %s %v", res.Output, err)
	}
	close(release)
	if err := <-held; err != nil {
		t.Error("the call on the old generation:", err)
	}
	if err := m.Unload(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if n := f.open.Load(); n != 0 {
		t.Errorf("%d agents open at the end", n)
	}
	if _, err := m.Run(t.Context(), "a", Call{Action: "count"}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := m.Load(t.Context(), f.manifest("a"), nil); !errors.Is(err, ErrClosed) {
		t.Error("load after close:", err)
	}
}

func TestPrivateAgentIsRestarted(t *testing.T) {
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){
		"crash": func(context.Context, Call) (Result, error) { return Result{}, errors.New("signal: killed") },
		"fail":  func(context.Context, Call) (Result, error) { return Result{}, ErrFailed },
		"fine":  func(context.Context, Call) (Result, error) { return Result{}, nil },
	}}
	m := NewManager(Options{}, f)
	load(t, m, f.manifest("a", func(m *Manifest) { m.Instances = "private" }))
	run := func(action string) error {
		_, err := m.Run(t.Context(), "a", Call{Action: action})
		return err
	}
	for _, step := range []struct {
		action string
		want   error
		inits  int
	}{
		{"fine", nil, 1}, {"fail", ErrFailed, 1}, {"fine", nil, 1},
		{"crash", ErrCrashed, 1}, {"fine", nil, 2},
		{"crash", ErrCrashed, 2}, {"crash", ErrCrashed, 3},
		{"fine", ErrCrashed, 3}, // the second in a row costs a wait
	} {
		if err := run(step.action); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.action, err, step.want)
		}
		if f.inits != step.inits {
			t.Errorf("after %s: initialized %d times, want %d", step.action, f.inits, step.inits)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); run("fine") != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came back")
		}
	}
	if c, _ := m.Context(t.Context(), "a"); c.Stats.Restarts != 3 || c.Stats.Crashes < 4 {
		t.Errorf("stats %+v", c.Stats)
	}
}

func TestLoadChecksActions(t *testing.T) {
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){"b": nil}, capabilities: []Action{{Name: "a"}, {Name: "c"}}}
	m := NewManager(Options{}, f)
	if _, err := m.Load(t.Context(), f.manifest("x"), nil); !errors.Is(err, ErrBadAgent) || !strings.Contains(HintOf(err), "a, c") {
		t.Errorf("declared but absent: %v (%s)", err, HintOf(err))
	}
	if f.open.Load() != 0 || len(m.Agents()) != 0 {
		t.Error("a failed load left something behind")
	}
	l := load(t, m, f.manifest("x", func(m *Manifest) { m.Actions = nil }))
	if len(l.Manifest.Actions) != 2 || l.Manifest.Limits != DefaultLimits {
		t.Errorf("%+v", l.Manifest)
	}
}

func TestLoadChecksTheHash(t *testing.T) {
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){"a": nil}}
	m := NewManager(Options{}, f)
	man := f.manifest("x", func(m *Manifest) { m.SHA256 = strings.Repeat("0", 64) })
	if _, err := m.Load(t.Context(), man, []byte("code")); !errors.Is(err, ErrBadAgent) {
		t.Error(err)
	}
	man.SHA256 = "5694d08a2e53ffcae0c3103e5ad6f6076abd960eb1f8a56577040bc1028f702b" // printf code | sha256sum
	if _, err := m.Load(t.Context(), man, []byte("code")); err != nil {
		t.Error(err)
	}
}

func TestPolicyCutsLimits(t *testing.T) {
	p := Policy{Default: Limits{TimeMS: 100}, Max: Limits{MemoryMiB: 16, Fuel: 1 << 62}}
	got := p.Resolve(Limits{MemoryMiB: 64, Depth: 8, HostCalls: 7})
	want := DefaultLimits
	want.TimeMS, want.MemoryMiB, want.Depth, want.HostCalls = 100, 16, 8, 7
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOnceLeavesNothingBehind(t *testing.T) {
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){"count": count}}
	m := NewManager(Options{}, f)
	load(t, m, f.manifest("x"))
	for range 2 {
		if res, err := m.Once(t.Context(), f.manifest("x"), nil, Call{Action: "count"}); err != nil || string(res.Output) != `{"N":1}` {
			t.Errorf("%s %v", res.Output, err)
		}
	}
	if f.open.Load() != 1 {
		t.Errorf("%d agents open", f.open.Load())
	}
	if c, _ := m.Context(t.Context(), "x"); string(c.Globals) != `{}` {
		t.Errorf("globals %s", c.Globals)
	}
}

func TestPanicInTheHostIsKeptFromTheAgent(t *testing.T) {
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){
		"ask": func(ctx context.Context, c Call) (Result, error) {
			_, err := c.Host(ctx, "engram_create", nil)
			return Result{}, err
		},
	}}
	m := NewManager(Options{}, f)
	load(t, m, f.manifest("a"))
	_, err := m.Run(t.Context(), "a", Call{Action: "ask", Host: func(context.Context, string, []byte) ([]byte, error) { panic("a secret path") }})
	if !errors.Is(err, ErrFailed) || strings.Contains(err.Error(), "secret") || HintOf(err) == "" {
		t.Error(err)
	}
}

// Loads, unloads and calls of one name in any order leave nothing behind.
func TestConcurrentLoadsOfOneName(t *testing.T) {
	f := &fake{acts: map[string]func(context.Context, Call) (Result, error){"count": count}}
	m := NewManager(Options{Queue: 100}, f)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			var err error
			switch i % 4 {
			case 0:
				_, err = m.Load(t.Context(), f.manifest("a"), []byte("code"))
			case 1:
				if _, err = m.Load(t.Context(), f.manifest("a"), []byte("broken")); errors.Is(err, ErrBadAgent) {
					err = nil
				}
			case 2:
				err = m.Unload(t.Context(), "a")
			case 3:
				for err = ErrConflict; errors.Is(err, ErrConflict); {
					_, err = m.Run(t.Context(), "a", Call{Action: "count"})
				}
			}
			if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := f.open.Load(); n != 0 {
		t.Errorf("%d agents are open", n)
	}
}
