// Package sandboxtest is the one suite that every sandbox runtime passes.
//
// A runtime brings a [Subject]: how to open it, and a reference agent in its
// language, which [Run] loads through a Manager and puts through the
// behaviours that agents and hosts rely on. The reference agent has these
// actions, with the parameters in parentheses:
//
//	echo         outputs its parameters
//	ask          (op, in) calls the operation, outputs its result; fails with
//	             the error it was given if it was refused
//	remember     (content) creates an engram with that content, source
//	             "reference" and confidence 0.9, and a second one, links the
//	             first to the second, outputs what engram_get gives for the first
//	fail         fails with its parameters, {"message": …}, as the error
//	count        adds one to n of its globals and outputs the globals
//	count-fail   does the same and then fails
//	peek         outputs its globals
//	mark         (value) keeps value in its own variables, outputs what was
//	             kept before, or null
//	spin         loops for ever
//	spin-try     the same, inside whatever the language has to catch errors,
//	             or in whatever other way may be hard to stop
//	bomb         takes memory until there is no more
//	shout        (bytes) outputs a string that is that many bytes of JSON
//	flood        calls engram_search for ever and ignores errors
//	crash        ends itself in the worst way it can
//	log          (text) logs text as a warning
//	reach        tries to read a file, to use the network and to read the
//	             environment; outputs {"reached": [names of what worked]}
//	corrupt      gives its host something malformed, below the level of JSON
package sandboxtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"engram-mcp/sandbox"
)

// Subject is a runtime under test.
type Subject struct {
	// Open makes the runtime. Run closes it.
	Open func(t testing.TB) sandbox.Runtime
	// Code is the reference agent.
	Code []byte
	// Manifest changes the reference manifest, if need be.
	Manifest func(m *sandbox.Manifest)
	// Lacks names actions that the language cannot express, with the reason;
	// what needs them is skipped.
	Lacks map[string]string
	// Loads is how often the agent is loaded and unloaded to find leaks;
	// 0 means 1000.
	Loads int
	// Slow stretches the deadlines, for runtimes that start slowly.
	Slow int
}

var actions = []string{"echo", "ask", "remember", "fail", "count", "count-fail", "peek", "mark", "spin", "spin-try",
	"bomb", "shout", "flood", "crash", "log", "reach", "corrupt"}

// Run runs the suite, once with pooled and once with private instances.
func Run(t *testing.T, s Subject) {
	for _, instances := range []string{"pooled", "private"} {
		t.Run(instances, func(t *testing.T) {
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) {
					for _, a := range row.needs {
						if why := s.Lacks[a]; why != "" {
							t.Skipf("the agent has no action %s: %s", a, why)
						}
					}
					row.check(open(t, s, instances))
				})
			}
		})
	}
}

// bench is one opened runtime with a manager, a memory and the agent "ref".
type bench struct {
	*testing.T
	subject   Subject
	instances string
	runtime   sandbox.Runtime
	manager   *sandbox.Manager
	memory    *store
}

func open(t *testing.T, s Subject, instances string) *bench {
	t.Helper()
	b := &bench{T: t, subject: s, instances: instances, runtime: s.Open(t), memory: newStore()}
	b.manager = sandbox.NewManager(sandbox.Options{Begin: b.memory.begin, Queue: 256}, b.runtime)
	t.Cleanup(func() {
		ctx := context.Background()
		if err := errors.Join(b.manager.Close(ctx), b.runtime.Close(ctx)); err != nil {
			t.Error("close:", err)
		}
	})
	b.load("ref")
	return b
}

// private reports whether instances keep their state.
func (b *bench) private() bool { return b.instances == "private" }

func (b *bench) manifest(name string, edit ...func(*sandbox.Manifest)) sandbox.Manifest {
	m := sandbox.Manifest{
		Name: name, Runtime: b.runtime.Kind(), Instances: b.instances,
		Grants: []string{"engram_create", "engram_get", "engram_link", "engram_search"},
		Limits: sandbox.Limits{TimeMS: 10_000, MemoryMiB: 64},
	}
	for _, a := range actions {
		if b.subject.Lacks[a] == "" {
			m.Actions = append(m.Actions, sandbox.Action{Name: a})
		}
	}
	if b.subject.Manifest != nil {
		b.subject.Manifest(&m)
	}
	for _, e := range edit {
		e(&m)
	}
	return m
}

func (b *bench) load(name string, edit ...func(*sandbox.Manifest)) sandbox.Listing {
	b.Helper()
	l, err := b.manager.Load(b.Context(), b.manifest(name, edit...), b.subject.Code)
	if err != nil {
		b.Fatalf("load: %v (%s)", err, sandbox.HintOf(err))
	}
	return l
}

// limits returns an edit of a manifest's limits.
func limits(edit func(*sandbox.Limits)) func(*sandbox.Manifest) {
	return func(m *sandbox.Manifest) { edit(&m.Limits) }
}

// soon is a time limit for calls that never end by themselves.
func (b *bench) soon() func(*sandbox.Manifest) {
	return limits(func(l *sandbox.Limits) { l.TimeMS = 200 * int64(max(1, b.subject.Slow)) })
}

func (b *bench) run(agent, action, params string) (sandbox.Result, error) {
	return b.runIn(b.Context(), agent, action, params)
}

func (b *bench) runIn(ctx context.Context, agent, action, params string) (sandbox.Result, error) {
	return b.manager.Run(ctx, agent, sandbox.Call{Action: action, Params: json.RawMessage(params), Host: b.memory.host(agent)})
}

// gives checks that an action outputs some JSON value.
func (b *bench) gives(agent, action, params, want string) sandbox.Result {
	b.Helper()
	res, err := b.run(agent, action, params)
	if err != nil {
		b.Errorf("%s %s: %v (%s)", action, brief(params), err, sandbox.HintOf(err))
	} else if !sameJSON(res.Output, []byte(want)) {
		b.Errorf("%s %s: output %s, want %s", action, brief(params), brief(string(res.Output)), brief(want))
	}
	return res
}

// fails checks that an action ends with an error of one of the given kinds,
// and that it has a hint.
func (b *bench) fails(agent, action, params string, kinds ...error) error {
	b.Helper()
	_, err := b.run(agent, action, params)
	if !slices.ContainsFunc(kinds, func(k error) bool { return errors.Is(err, k) }) {
		b.Errorf("%s %s: error %v, want %v", action, brief(params), err, kinds)
	} else if sandbox.HintOf(err) == "" {
		b.Errorf("%s %s: no hint for %v", action, brief(params), err)
	}
	return err
}

// works checks that an agent is usable.
func (b *bench) works(agent string) {
	b.Helper()
	b.gives(agent, "echo", `{"still":"here"}`, `{"still":"here"}`)
}

// eventually is works for agents that are started again after a wait.
func (b *bench) eventually(agent string) {
	b.Helper()
	var err error
	for wait := time.Millisecond; wait < 20*time.Second; wait *= 2 {
		if _, err = b.run(agent, "echo", `{}`); err == nil {
			return
		}
		time.Sleep(wait)
	}
	b.Errorf("the agent did not come back: %v", err)
}

func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, err1 := json.Marshal(x)
	q, err2 := json.Marshal(y)
	return err1 == nil && err2 == nil && string(p) == string(q)
}

func brief(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%s… (%d bytes)", s[:200], len(s))
	}
	return s
}
