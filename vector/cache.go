package vector

import (
	"container/list"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
)

// Cached is an Embedder that remembers the vectors of another one, in memory,
// up to a number of bytes; the least recently used go first. Nothing of a text
// is kept but its SHA-256.
type Cached struct {
	inner    Embedder
	maxBytes int64

	mu    sync.Mutex
	bytes int64
	known map[cacheKey]*list.Element
	order *list.List // of *cacheEntry, most recently used first
}

type cacheKey struct {
	model string
	text  [sha256.Size]byte
}

type cacheEntry struct {
	key cacheKey
	vec []float32
}

// entryBytes is what an entry takes beside its vector.
const entryBytes = 256

// NewCached returns an Embedder that answers as inner does and keeps at most
// maxBytes of its answers.
func NewCached(inner Embedder, maxBytes int64) *Cached {
	return &Cached{inner: inner, maxBytes: maxBytes, known: make(map[cacheKey]*list.Element), order: list.New()}
}

// ID returns the ID of the inner Embedder.
func (c *Cached) ID() string { return c.inner.ID() }

// Dim returns the dimension of the inner Embedder.
func (c *Cached) Dim() int { return c.inner.Dim() }

// Embed asks the inner Embedder, in one call, for the texts that are not
// remembered, each once.
func (c *Cached) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	model := c.inner.ID()
	vecs := make([][]float32, len(texts))
	absent := make(map[cacheKey][]int) // indexes of texts
	var ask []string
	for i, text := range texts {
		key := cacheKey{model, sha256.Sum256([]byte(text))}
		if vecs[i] = c.get(key); vecs[i] != nil {
			continue
		}
		if absent[key] == nil {
			ask = append(ask, text)
		}
		absent[key] = append(absent[key], i)
	}
	if len(ask) == 0 {
		return vecs, nil
	}
	answers, err := c.inner.Embed(ctx, ask)
	if err != nil {
		return nil, err
	}
	if len(answers) != len(ask) {
		return nil, fmt.Errorf("vector: embed: %s gave %d vectors for %d texts", model, len(answers), len(ask))
	}
	for i, text := range ask {
		key := cacheKey{model, sha256.Sum256([]byte(text))}
		c.put(key, slices.Clone(answers[i]))
		for _, at := range absent[key] {
			vecs[at] = slices.Clone(answers[i])
		}
	}
	return vecs, nil
}

// get returns a copy of the vector under key, or nil.
func (c *Cached) get(key cacheKey) []float32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.known[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return slices.Clone(e.Value.(*cacheEntry).vec)
}

// put keeps vec, which it owns from now on, and lets go of what is too much.
func (c *Cached) put(key cacheKey, vec []float32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[key]; ok {
		return // another goroutine asked the same
	}
	c.known[key] = c.order.PushFront(&cacheEntry{key, vec})
	c.bytes += entrySize(vec)
	for c.bytes > c.maxBytes {
		oldest := c.order.Remove(c.order.Back()).(*cacheEntry)
		delete(c.known, oldest.key)
		c.bytes -= entrySize(oldest.vec)
	}
}

func entrySize(vec []float32) int64 { return int64(len(vec))*4 + entryBytes }
