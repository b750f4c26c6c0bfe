package wasm

import (
	"context"
	"errors"
	"runtime"
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

// A turn is one guest's place at the gate. It belongs to one goroutine.
type turn struct {
	gate  *gate
	since time.Time
	held  bool
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
	t.held, t.since = true, time.Now()
	return nil
}

// give ends the turn, if there is one.
func (t *turn) give() {
	if t.held {
		t.held = false
		<-t.gate.turns
	}
}

// share gives others a chance, and returns ctx's error if it is done.
func (t *turn) share(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The garbage collector and timers wait while a guest computes.
	runtime.Gosched()
	if t.gate.waiting.Load() == 0 || time.Since(t.since) < turnTime {
		return nil
	}
	t.give()
	return t.take(ctx)
}
