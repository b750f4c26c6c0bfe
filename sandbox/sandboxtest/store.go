package sandboxtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"engram-mcp/sandbox"
)

// store is a memory with just enough tools for the suite, and with staging:
// what a call writes can be read by its id in the same call, and is found by
// others when the call has succeeded.
type store struct {
	mu      sync.Mutex
	next    int
	engrams map[string]engram
	links   int
	calls   int // of any operation
}

type engram struct {
	ID         string  `json:"id"`
	Content    string  `json:"content"`
	Source     string  `json:"source"`
	Author     string  `json:"author"`
	Confidence float64 `json:"confidence"`
}

func newStore() *store { return &store{engrams: map[string]engram{}} }

// batch is what one call has written so far.
type batch struct {
	outer   *batch
	engrams map[string]engram
	links   int
}

type batchKey struct{}

func (s *store) begin(ctx context.Context) (context.Context, func(context.Context) error, func()) {
	b := &batch{engrams: map[string]engram{}}
	b.outer, _ = ctx.Value(batchKey{}).(*batch)
	commit := func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		into, links := s.engrams, &s.links
		if b.outer != nil {
			into, links = b.outer.engrams, &b.outer.links
		}
		for id, e := range b.engrams {
			into[id] = e
		}
		*links += b.links
		return nil
	}
	return context.WithValue(ctx, batchKey{}, b), commit, func() {}
}

// host returns the memory's tools as called by an agent.
func (s *store) host(agent string) sandbox.Host {
	return func(ctx context.Context, op string, in []byte) ([]byte, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls++
		b, _ := ctx.Value(batchKey{}).(*batch)
		if b == nil {
			return nil, fmt.Errorf("called without the context of the call")
		}
		switch op {
		case "engram_create":
			return s.create(b, agent, in)
		case "engram_get":
			return s.get(b, in)
		case "engram_link":
			b.links++
			return []byte(`{"links":[{}]}`), nil
		case "engram_search":
			return s.search(in)
		}
		return nil, &sandbox.Error{Op: op, Kind: sandbox.ErrNotFound, Hint: "there is no such tool"}
	}
}

func (s *store) create(b *batch, agent string, in []byte) ([]byte, error) {
	var p struct {
		Content, Source string
		Confidence      *float64
		Collections     []string
	}
	if err := json.Unmarshal(in, &p); err != nil {
		return nil, err
	}
	for _, c := range p.Collections {
		if c != "notes" {
			return nil, &sandbox.Error{Op: "engram_create", Kind: sandbox.ErrDenied, Err: fmt.Errorf("collection %q", c), Hint: "write to notes"}
		}
	}
	e := engram{Content: p.Content, Source: p.Source, Author: agent, Confidence: 1}
	if p.Confidence != nil {
		e.Confidence = *p.Confidence
	}
	if e.Confidence < 0 || e.Confidence > 1 {
		return nil, &sandbox.Error{Op: "engram_create", Kind: sandbox.ErrFailed, Err: fmt.Errorf("confidence %v is not between 0 and 1", e.Confidence), Hint: "give 0 to 1"}
	}
	s.next++
	e.ID = fmt.Sprintf("e%d", s.next)
	b.engrams[e.ID] = e
	return json.Marshal(map[string]any{"engrams": []engram{e}})
}

func (s *store) get(b *batch, in []byte) ([]byte, error) {
	var p struct{ IDs []string }
	if err := json.Unmarshal(in, &p); err != nil {
		return nil, err
	}
	found, missing := []engram{}, []string{}
	for _, id := range p.IDs {
		e, ok := s.engrams[id]
		for l := b; l != nil && !ok; l = l.outer {
			e, ok = l.engrams[id]
		}
		if ok {
			found = append(found, e)
		} else {
			missing = append(missing, id)
		}
	}
	return json.Marshal(map[string]any{"engrams": found, "missing": missing})
}

func (s *store) search(in []byte) ([]byte, error) {
	var p struct{ Query string }
	if err := json.Unmarshal(in, &p); err != nil {
		return nil, err
	}
	hits := []engram{}
	for i := range s.next {
		if e, ok := s.engrams[fmt.Sprintf("e%d", i+1)]; ok && p.Query != "" && strings.Contains(e.Content, p.Query) {
			hits = append(hits, e)
		}
	}
	return json.Marshal(map[string]any{"hits": hits})
}

// sizes returns how many engrams and links are committed.
func (s *store) sizes() (engrams, links int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.engrams), s.links
}
