package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A generation is one load of one agent's code. It is closed when it has been
// retired and its last call is over.
type generation struct {
	m      *Manager
	man    Manifest
	rt     Runtime
	agent  Agent
	hash   string
	number int
	loaded time.Time
	done   func() // called when closed

	slots   chan struct{} // one for each call that runs
	waiting atomic.Int64

	mu      sync.Mutex
	users   int
	retired bool
	drained chan struct{} // made by retire, closed with the agent

	// Of a private agent: touched only by the holder of its one slot.
	gone    bool      // the instance must be made anew
	crashes int       // in a row
	restart time.Time // not before
}

// offer sets the actions: those of the manifest, which the code must have, or
// all of the code's when the manifest names none.
func (g *generation) offer(capable []Action) error {
	if len(g.man.Actions) == 0 {
		g.man.Actions = append([]Action(nil), capable...)
		if len(capable) == 0 {
			return badManifest("actions", "name at least one action", "neither the manifest nor the code offers any")
		}
		return g.man.Check()
	}
	has := map[string]bool{}
	for _, a := range capable {
		has[a.Name] = true
	}
	for i, a := range g.man.Actions {
		if !has[a.Name] {
			return badManifest(fmt.Sprintf("actions[%d]", i), "take it out of the manifest or add it to the code; the code has "+actionNames(capable),
				"the code has no action %q", a.Name)
		}
	}
	return nil
}

// setupTime is what initializing may take at least: a hook's time limit is
// made for calls, not for starting a language's runtime.
const setupTime = 2 * time.Second

func (g *generation) initialize(ctx context.Context, stats Stats) error {
	value, _, err := g.m.globals.load(ctx, g.man.Name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, max(g.man.Limits.Time(), setupTime))
	defer cancel()
	return g.agent.Initialize(ctx, &Context{ID: g.man.Name, Globals: value, Capabilities: sortedGrants(&g.man), Stats: stats})
}

// enter counts a user in, or reports that the generation is retired.
func (g *generation) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.retired {
		return false
	}
	g.users++
	return true
}

func (g *generation) leave() {
	g.mu.Lock()
	g.users--
	last := g.retired && g.users == 0
	g.mu.Unlock()
	if last {
		g.close()
	}
}

// retire takes no more users and closes the agent when the last has left.
func (g *generation) retire() <-chan struct{} {
	g.mu.Lock()
	if g.retired {
		g.mu.Unlock()
		return g.drained
	}
	g.retired, g.drained = true, make(chan struct{})
	idle := g.users == 0
	g.mu.Unlock()
	if idle {
		g.close()
	}
	return g.drained
}

func (g *generation) close() {
	_ = g.agent.Close(context.Background()) // nobody is left who could act on the error
	close(g.drained)
	g.done()
}

// acquire takes a slot, waiting in a bounded queue. A call from inside
// another agent never waits: it could be waiting for its own caller.
func (g *generation) acquire(ctx context.Context, nested bool) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	busy := &Error{Op: "run", Agent: g.man.Name, Kind: ErrBusy, Hint: "try again shortly, or raise limits.concurrency in the manifest"}
	if nested {
		busy.Err = fmt.Errorf("all %d of its slots are taken and a nested call does not wait", cap(g.slots))
		return busy
	}
	if g.waiting.Add(1) > int64(g.m.opts.Queue) {
		g.waiting.Add(-1)
		busy.Err = fmt.Errorf("%d calls wait already", g.m.opts.Queue)
		return busy
	}
	defer g.waiting.Add(-1)
	// Long enough for a full queue ahead, bounded whatever the caller does.
	patience := time.NewTimer(max(g.man.Limits.Time(), 10*time.Second))
	defer patience.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return stopped(ctx, "run", g.man.Name)
	case <-patience.C:
		busy.Err = errors.New("no slot became free in time")
		return busy
	}
}

// revive makes a private agent's instance anew after a failure that took it,
// slower with every crash in a row.
func (g *generation) revive(ctx context.Context, s *slot) error {
	if !g.gone {
		return nil
	}
	if wait := time.Until(g.restart); wait > 0 {
		return &Error{Op: "run", Agent: g.man.Name, Kind: ErrCrashed, Err: fmt.Errorf("it crashed %d times in a row", g.crashes),
			Hint: fmt.Sprintf("it is started again in %v; read its logs meanwhile", wait.Round(time.Millisecond))}
	}
	s.statsMu.Lock()
	s.stats.Restarts++
	stats := s.stats
	s.statsMu.Unlock()
	if err := g.initialize(ctx, stats); err != nil {
		g.fell(ErrCrashed)
		return &Error{Op: "restart", Agent: g.man.Name, Kind: ErrCrashed, Err: err, Hint: "its initialize fails; install a corrected version"}
	}
	g.gone = false
	return nil
}

// fell notes how a private agent's call ended.
func (g *generation) fell(err error) {
	if !g.man.Private() {
		return
	}
	switch {
	case err == nil:
		g.crashes = 0
		return
	case errors.Is(err, ErrFailed):
		return
	}
	g.gone = true
	if errors.Is(err, ErrCrashed) {
		// The first crash may be an accident and costs no wait.
		if g.crashes > 0 {
			g.restart = time.Now().Add(min(30*time.Second, 100*time.Millisecond<<min(g.crashes-1, 9)))
		}
		g.crashes++
	}
}

// stopped is the error for a context that is done.
func stopped(ctx context.Context, op, agent string) error {
	cause := context.Cause(ctx)
	var e *Error
	switch {
	case errors.As(cause, &e):
		return e
	case errors.Is(cause, context.Canceled):
		return &Error{Op: op, Agent: agent, Kind: context.Canceled, Hint: "nothing was changed; call again if it is still wanted"}
	}
	return &Error{Op: op, Agent: agent, Kind: ErrTimeout, Err: context.DeadlineExceeded, Hint: "ask for less at once, or raise limits.time_ms in the manifest"}
}

// known returns the kind of ours that err matches, or nil.
func known(err error) error {
	for _, k := range []error{ErrTimeout, ErrFuel, ErrMemory, ErrOutput, ErrDenied, ErrUnknownAction, ErrConflict, ErrBusy, ErrCrashed, ErrFailed, ErrBadAgent, ErrClosed, context.Canceled} {
		if errors.Is(err, k) {
			return k
		}
	}
	return nil
}

func hintFor(kind error, man *Manifest) string {
	switch {
	case errors.Is(kind, ErrFuel):
		return "ask for less at once, or raise limits.fuel or limits.host_calls in the manifest"
	case errors.Is(kind, ErrMemory):
		return "ask for less at once, or raise limits.memory_mib in the manifest"
	case errors.Is(kind, ErrOutput):
		return "let the agent return less, as JSON, or raise limits.output_kib in the manifest"
	case errors.Is(kind, ErrUnknownAction):
		return "its actions: " + shorten(actionNames(man.Actions), 400)
	case errors.Is(kind, ErrDenied):
		return "grant it in the manifest, and call as somebody who has the right; granted: " + shorten(strings.Join(sortedGrants(man), ", "), 400)
	case errors.Is(kind, ErrFailed):
		return "the message is the agent's own; its logs may say more"
	case errors.Is(kind, ErrConflict):
		return "call again"
	}
	return "this is a fault of the agent; its logs may say more"
}
