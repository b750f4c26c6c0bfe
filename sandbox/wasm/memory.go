package wasm

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"
)

const (
	pageSize  = 64 << 10
	hardPages = 1024 << 20 / pageSize // sandbox.MaxLimits.MemoryMiB
)

// A budget bounds the linear memory of all guests and keeps freed buffers for
// the next.
type budget struct {
	limit int64
	used  atomic.Int64

	mu     sync.Mutex
	free   map[int][][]byte // by capacity, all zero
	kept   int64            // bytes in free
	agents map[*agent]bool  // that may have idle instances
}

// maxKept bounds the buffers that are kept for reuse, in bytes.
const maxKept = 64 << 20

func newBudget(limit int64) *budget {
	return &budget{limit: limit, free: map[int][][]byte{}, agents: map[*agent]bool{}}
}

// take returns a zeroed buffer of capacity n, or nil if the budget is used up.
func (b *budget) take(n int) []byte {
	for evicted := false; b.used.Add(int64(n)) > b.limit; evicted = true {
		b.used.Add(-int64(n))
		if evicted {
			return nil
		}
		b.evict()
	}
	if buf := b.reuse(n); buf != nil {
		return buf
	}
	return make([]byte, 0, n)
}

// evict closes the idle instances of all agents.
func (b *budget) evict() {
	b.mu.Lock()
	agents := slices.Collect(maps.Keys(b.agents))
	b.mu.Unlock()
	for _, a := range agents {
		if !a.man.Private() { // whose instance is its state
			a.evict()
		}
	}
}

func (b *budget) enrol(a *agent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.agents[a] = true
}

func (b *budget) leave(a *agent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.agents, a)
}

func (b *budget) reuse(n int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.free[n]
	if len(l) == 0 {
		return nil
	}
	b.free[n] = l[:len(l)-1]
	b.kept -= int64(n)
	return l[len(l)-1]
}

// give takes a buffer back.
func (b *budget) give(buf []byte) {
	n := cap(buf)
	b.used.Add(-int64(n))
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept+int64(n) > maxKept {
		return
	}
	clear(buf)
	b.free[n] = append(b.free[n], buf[:0])
	b.kept += int64(n)
}

// memory is the linear memory of one instance: it stays below the agent's
// limit and remembers when it could not grow.
type memory struct {
	budget  *budget
	limit   uint64
	buf     []byte
	refused bool
	short   bool // the refusal was the budget's, not the agent's own limit
}

var _ experimental.LinearMemory = (*memory)(nil)

// allocator gives wazero m for the one memory of an instance.
func (m *memory) allocator() experimental.MemoryAllocator {
	return experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return m })
}

// Reallocate grows the memory, with room to spare, since every move copies.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	if size <= uint64(cap(m.buf)) {
		m.buf = m.buf[:size]
		return m.buf
	}
	want := size
	if len(m.buf) > 0 {
		want = min(max(size, 2*uint64(len(m.buf))), m.limit)
	}
	next := m.budget.take(int(want))
	if next == nil && want > size {
		next = m.budget.take(int(size))
	}
	if next == nil {
		m.refused, m.short = true, true
		return nil
	}
	next = append(next, m.buf...)[:size]
	m.budget.give(m.buf)
	m.buf = next
	return next
}

// Free gives the memory back. Nothing may use it afterwards.
func (m *memory) Free() {
	m.budget.give(m.buf)
	m.buf = nil
}

// An image is what a memory held at some moment, without its empty parts.
type image struct {
	size int
	runs []run
}

type run struct {
	at   int
	data []byte
}

// grain is the smallest empty part that an image leaves out.
const grain = 4 << 10

func takeImage(mem []byte) image {
	img := image{size: len(mem)}
	for at := 0; at < len(mem); {
		for at < len(mem) && empty(mem[at:min(at+grain, len(mem))]) {
			at += grain
		}
		from := at
		for at < len(mem) && !empty(mem[at:min(at+grain, len(mem))]) {
			at += grain
		}
		if at = min(at, len(mem)); from < at {
			img.runs = append(img.runs, run{from, slices.Clone(mem[from:at])})
		}
	}
	return img
}

// restore makes mem, of the same size, what it was.
func (img *image) restore(mem []byte) {
	at := 0
	for _, r := range img.runs {
		clear(mem[at:r.at])
		at = r.at + copy(mem[r.at:], r.data)
	}
	clear(mem[at:])
}

func empty(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
