package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"engram-mcp/sandbox"
)

// A tape records one run of an agent: what it asked the memory, what it was
// answered, and how it ended. Played again, it answers another run of the same
// action with the same answers, so that the two must be equal to the last unit
// of fuel, though ids and times in a memory never are.
type tape struct {
	mu     sync.Mutex
	calls  []exchange
	at     int    // while it is played: the next of calls
	played bool   // it answers instead of recording
	astray string // the first question that was not the one on the tape
	ran    bool
	output []byte
	fuel   int64
	time   time.Duration
	err    error
}

type exchange struct {
	op      string
	in, out []byte
	err     error
}

type tapeKey struct{}

func withTape(ctx context.Context, t *tape) context.Context {
	return context.WithValue(ctx, tapeKey{}, t)
}

// again is a tape that answers as t was answered.
func (t *tape) again() *tape { return &tape{calls: t.calls, played: true} }

// host is what the agent asks instead of real.
func (t *tape) host(real sandbox.Host) sandbox.Host {
	return func(ctx context.Context, op string, in []byte) ([]byte, error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.played {
			return t.play(op, in)
		}
		out, err := real(ctx, op, in)
		t.calls = append(t.calls, exchange{op, slices.Clone(in), slices.Clone(out), err})
		return out, err
	}
}

func (t *tape) play(op string, in []byte) ([]byte, error) {
	asked := fmt.Sprintf("call %d is %s %s", t.at+1, op, short(in))
	if t.at < len(t.calls) {
		if c := t.calls[t.at]; c.op == op && bytes.Equal(c.in, in) {
			t.at++
			return slices.Clone(c.out), c.err
		} else if t.astray == "" {
			t.astray = fmt.Sprintf("%s, it was %s %s", asked, c.op, short(c.in))
		}
	} else if t.astray == "" {
		t.astray = asked + ", and there was none"
	}
	return nil, errors.New("the example went another way")
}

// compare tells how another run of the same differs.
func (t *tape) compare(other *tape) (list []string) {
	if other.astray != "" {
		return []string{other.astray}
	}
	if other.at < len(t.calls) {
		list = append(list, fmt.Sprintf("it makes %d of its %d calls", other.at, len(t.calls)))
	}
	switch {
	case (t.err == nil) != (other.err == nil), t.err != nil && t.err.Error() != other.err.Error():
		list = append(list, fmt.Sprintf("it ends with %v, it was %v", other.err, t.err))
	case !bytes.Equal(t.output, other.output):
		list = append(list, fmt.Sprintf("output is %s, it was %s", short(other.output), short(t.output)))
	}
	if t.fuel != other.fuel {
		list = append(list, fmt.Sprintf("it uses %s units of fuel, it was %s", thousands(other.fuel), thousands(t.fuel)))
	}
	return list
}

// taped is a runtime whose agents run on the tape that their context carries.
type taped struct{ sandbox.Runtime }

func (r taped) Load(ctx context.Context, m sandbox.Manifest, code []byte) (sandbox.Agent, error) {
	inner, err := r.Runtime.Load(ctx, m, code)
	if err != nil {
		return nil, err
	}
	return tapedAgent{inner}, nil
}

type tapedAgent struct{ sandbox.Agent }

func (g tapedAgent) Execute(ctx context.Context, c sandbox.Call) (sandbox.Result, error) {
	t, _ := ctx.Value(tapeKey{}).(*tape)
	if t == nil {
		return g.Agent.Execute(ctx, c)
	}
	c.Host = t.host(c.Host)
	start := time.Now()
	r, err := g.Agent.Execute(withTape(ctx, nil), c) // an agent inside this one is an answer to it
	t.ran, t.output, t.fuel, t.time, t.err = true, slices.Clone(r.Output), r.Usage.Fuel, time.Since(start), err
	return r, err
}
