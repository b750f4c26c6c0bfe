package wasm

import (
	"sync"
	"time"
)

// A pool keeps idle instances for the next call that needs one. All of them
// are in one state, which holds nothing of any call.
type pool struct {
	keep    int  // at most
	lasting bool // kept until they are taken or evicted, however long

	mu     sync.Mutex
	idle   []*guest // the newest last
	sweep  *time.Timer
	closed bool
}

// idleTime is how long an instance is kept for the next call.
const idleTime = time.Minute

// take returns an instance that nobody else has, or nil.
func (p *pool) take() *guest {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	g := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return g
}

// put keeps an instance, or closes it if there are enough.
func (p *pool) put(g *guest) {
	g.idle = time.Now()
	p.mu.Lock()
	full := p.closed || len(p.idle) >= p.keep
	if !full {
		p.idle = append(p.idle, g)
		if p.sweep == nil && !p.lasting {
			p.sweep = time.AfterFunc(idleTime, p.sweepIdle)
		}
	}
	p.mu.Unlock()
	if full {
		g.close()
	}
}

// sweepIdle closes instances that nobody has used for a while.
func (p *pool) sweepIdle() {
	p.mu.Lock()
	var old []*guest
	for len(p.idle) > 0 && time.Since(p.idle[0].idle) >= idleTime {
		old = append(old, p.idle[0])
		p.idle = p.idle[1:]
	}
	if p.sweep = nil; len(p.idle) > 0 && !p.closed {
		p.sweep = time.AfterFunc(idleTime, p.sweepIdle)
	}
	p.mu.Unlock()
	for _, g := range old {
		g.close()
	}
}

// evict closes the idle instances.
func (p *pool) evict() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, g := range idle {
		g.close()
	}
}

// close evicts, and lets nothing in any more.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	p.mu.Unlock()
	p.evict()
}
