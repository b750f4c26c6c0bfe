package wasm

import (
	"bytes"
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

// A budget bounds the memory of all guests together.
type budget struct {
	limit int64
	used  atomic.Int64

	mu    sync.Mutex
	pools map[*pool]bool // whose instances may go
}

func newBudget(limit int64) *budget { return &budget{limit: limit, pools: map[*pool]bool{}} }

// take accounts for n more bytes, at the price of idle instances if need be.
func (b *budget) take(n int64) bool {
	for evicted := false; b.used.Add(n) > b.limit; evicted = true {
		b.used.Add(-n)
		if evicted {
			return false
		}
		b.evict()
	}
	return true
}

// give takes n bytes back.
func (b *budget) give(n int64) { b.used.Add(-n) }

// evict closes all idle instances.
func (b *budget) evict() {
	b.mu.Lock()
	pools := slices.Collect(maps.Keys(b.pools))
	b.mu.Unlock()
	for _, p := range pools {
		p.evict()
	}
}

func (b *budget) enrol(p *pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pools[p] = true
}

func (b *budget) leave(p *pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pools, p)
}

// memory is the linear memory of one instance: it stays below the agent's
// limit and remembers when it could not grow. Where the system allows it lies
// outside of Go's heap, with room up to the limit that costs nothing until it
// is touched: growing copies nothing, and the garbage collector's pace does
// not depend on what guests take.
type memory struct {
	budget  *budget
	limit   uint64
	room    []byte // what is reserved
	mapped  bool   // room is not of Go's heap
	size    uint64 // of it in use
	refused bool
	short   bool // the refusal was the budget's, not the agent's own limit
}

var _ experimental.LinearMemory = (*memory)(nil)

// allocator gives wazero m for the one memory of an instance.
func (m *memory) allocator() experimental.MemoryAllocator {
	return experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return m })
}

// Reallocate grows the memory, or returns nil if it may not.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	if size > m.size && !m.budget.take(int64(size-m.size)) {
		m.refused, m.short = true, true
		return nil
	}
	if size > uint64(len(m.room)) {
		m.reserve(size)
	}
	m.size = size
	return m.room[:size:size]
}

// reserve makes room for at least size bytes.
func (m *memory) reserve(size uint64) {
	if m.room == nil {
		if m.room = mapMemory(int(m.limit)); m.room != nil {
			m.mapped = true
			return
		}
	}
	room := make([]byte, min(max(size, 2*m.size), m.limit))
	copy(room, m.room[:m.size])
	m.release()
	m.room = room
}

func (m *memory) release() {
	if m.mapped {
		unmapMemory(m.room)
	}
	m.room, m.mapped = nil, false
}

// Free gives the memory back. Nothing may use it afterwards.
func (m *memory) Free() {
	m.budget.give(int64(m.size))
	m.release()
	m.size = 0
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

var zeros [grain]byte

func takeImage(mem []byte) image {
	img := image{size: len(mem)}
	blank := func(at int) bool {
		part := mem[at:min(at+grain, len(mem))]
		return bytes.Equal(part, zeros[:len(part)])
	}
	for at := 0; at < len(mem); {
		for at < len(mem) && blank(at) {
			at += grain
		}
		from := at
		for at < len(mem) && !blank(at) {
			at += grain
		}
		if at = min(at, len(mem)); from < at {
			img.runs = append(img.runs, run{from, slices.Clone(mem[from:at])})
		}
	}
	return img
}

// takeDifference returns what differs in mem from an image of it that was
// taken earlier. Memory does not shrink.
func takeDifference(mem []byte, earlier *image) image {
	const part = 256 // programs scatter small objects
	img := image{size: len(mem)}
	earlier.each(mem, func(at int, was []byte) {
		for from := at; from < at+grain; from += part {
			if bytes.Equal(mem[from:from+part], was[from-at:][:part]) {
				continue
			}
			if n := len(img.runs); n > 0 && img.runs[n-1].at+len(img.runs[n-1].data) == from {
				img.runs[n-1].data = append(img.runs[n-1].data, mem[from:from+part]...)
			} else {
				img.runs = append(img.runs, run{from, slices.Clone(mem[from:][:part])})
			}
		}
	})
	return img
}

// each calls f for every grain of mem that differs from the image, with what
// it was.
func (img *image) each(mem []byte, f func(at int, was []byte)) {
	next := 0
	for at := 0; at < len(mem); at += grain {
		for next < len(img.runs) && img.runs[next].at+len(img.runs[next].data) <= at {
			next++
		}
		was := zeros[:]
		if next < len(img.runs) && img.runs[next].at <= at {
			was = img.runs[next].data[at-img.runs[next].at:][:grain]
		}
		if !bytes.Equal(mem[at:at+grain], was) {
			f(at, was)
		}
	}
}

// lay writes the image over mem, whose other parts stay.
func (img *image) lay(mem []byte) {
	for _, r := range img.runs {
		copy(mem[r.at:], r.data)
	}
}

// weight is about what the image takes, in bytes.
func (img *image) weight() int {
	n := 0
	for _, r := range img.runs {
		n += cap(r.data) + 40
	}
	return n
}

// restore makes mem, of the same size, what it was.
func (img *image) restore(mem []byte, mapped bool) {
	at := 0
	for _, r := range img.runs {
		wipe(mem[at:r.at], mapped)
		at = r.at + copy(mem[r.at:], r.data)
	}
	wipe(mem[at:], mapped)
}

// wipe zeroes a part of a guest's memory. Of a large part few pages have been
// touched as a rule, and the system knows which.
func wipe(b []byte, mapped bool) {
	const large = 96 << 10
	if len(b) < large || !mapped || !dropPages(b) {
		clear(b)
	}
}
