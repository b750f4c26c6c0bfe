package wasm

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"engram-mcp/sandbox"
)

// A gate lets a bounded number of guests compute at once and gives the others
// their turn in the order in which they came. A guest that has computed for a
// while while others wait goes to the end of the line, so that a few endless
// ones cannot keep out the rest.
type gate struct {
	turns   chan struct{}
	queue   int64
	inside  atomic.Int64 // calls under way
	waiting atomic.Int64 // calls that want to compute and do not
}

// turnTime is how long a guest computes before it lets a waiting one in.
const turnTime = 5 * time.Millisecond

func newGate(parallel, queue int) *gate {
	return &gate{turns: make(chan struct{}, parallel), queue: int64(queue)}
}

// enter admits a call, without a turn yet.
func (g *gate) enter() error {
	if g.inside.Add(1) > g.queue {
		g.inside.Add(-1)
		return &sandbox.Error{Op: "run", Kind: sandbox.ErrBusy, Err: errors.New("too many agents are at work"), Hint: "try again shortly"}
	}
	return nil
}

func (g *gate) leave() { g.inside.Add(-1) }

// A turn is one guest's place at the gate.
type turn struct {
	gate *gate

	mu    sync.Mutex // with the clock of away
	since time.Time
	held  bool
	out   bool // a host operation runs for the guest
	clock *time.Timer
}

// take waits for a turn, at most until ctx is done.
func (t *turn) take(ctx context.Context) error {
	select {
	case t.gate.turns <- struct{}{}:
	default:
		t.gate.waiting.Add(1)
		defer t.gate.waiting.Add(-1)
		select {
		case t.gate.turns <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held, t.since = true, time.Now()
	return nil
}

// give ends the turn, if there is one.
func (t *turn) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end()
}

func (t *turn) end() {
	if t.held {
		t.held = false
		<-t.gate.turns
	}
}

// away is called before the host works for the guest. Its work counts as the
// guest's own, so that guests cannot keep the machine busy by asking for much;
// but an operation that takes longer waits for something, and others may have
// the turn meanwhile.
func (t *turn) away() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = true
	if t.clock == nil {
		t.clock = time.AfterFunc(turnTime, t.late)
	} else {
		t.clock.Reset(turnTime)
	}
}

func (t *turn) late() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out {
		t.end()
	}
}

// back is called after away, and waits for a turn if there is none any more.
func (t *turn) back(ctx context.Context) error {
	t.mu.Lock()
	t.out = false
	t.clock.Stop()
	held := t.held
	t.mu.Unlock()
	if !held {
		return t.take(ctx)
	}
	return t.rotate(ctx)
}

// share gives others a chance, and returns ctx's error if it is done.
func (t *turn) share(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The garbage collector and timers wait while a guest computes.
	runtime.Gosched()
	return t.rotate(ctx)
}

// rotate lets the next one in if the turn has lasted for its time.
func (t *turn) rotate(ctx context.Context) error {
	if t.gate.waiting.Load() == 0 || time.Since(t.since) < turnTime {
		return nil
	}
	t.give()
	return t.take(ctx)
}
