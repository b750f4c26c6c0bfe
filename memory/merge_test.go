package memory_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"engram-mcp/memory"

	"pgregory.net/rapid"
)

var convergeChecks = flag.Int("memory.converge", 0, "cases of the convergence property; 0 means 1000, or 100 with -short or -race")

// State is a function of the set of ops: whatever three stores do on their
// own, and in whatever order, how often and in what portions they then get the
// ops of the others, they end with equal digests.
func TestStoresConverge(t *testing.T) {
	n := *convergeChecks
	if n == 0 {
		n = 1000
		if testing.Short() || raceEnabled {
			n = 100
		}
	}
	var world *world
	for i := range n {
		if i%casesPerWorld == 0 {
			world = newWorld(t)
		}
		seed := uint64(i)
		world.run(t, rand.New(rand.NewPCG(seed, 1)))
		if t.Failed() {
			t.Fatalf("case with seed %d", seed)
		}
	}
}

// The same property with rapid choosing, so that a failure shrinks.
func TestStoresConvergeShrinking(t *testing.T) {
	world := newWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		world.run(t, rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 2)))
		if t.Failed() {
			r.FailNow()
		}
	})
}

// world is three stores that go on from case to case: what one case leaves is
// where the next begins, which is cheaper than new files and harsher.
type world struct {
	ctx    context.Context
	stores [3]*memory.Store
	ids    []string
	sent   [3][3]int64 // how far store i has sent its log to store j
}

func newWorld(t *testing.T) *world {
	w := &world{}
	for i := range w.stores {
		w.ctx, w.stores[i] = open(t, memory.Options{Durability: memory.Normal})
	}
	return w
}

const (
	recentIDs     = 6  // changes fall on the engrams created last
	casesPerWorld = 50 // the logs grow, and digests read all of them
)

func (w *world) run(t *testing.T, r *rand.Rand) {
	for range 3 + r.IntN(8) {
		w.change(r)
	}
	// Ops travel in portions, shuffled and repeated, until all have all.
	for range 2 {
		w.exchange(t, r)
	}
	for i := range w.stores {
		for j := range w.stores {
			w.deliver(t, r, i, j, false)
		}
	}
	for i := range w.stores {
		for j := range w.stores {
			w.deliver(t, r, i, j, false)
		}
	}
	first := digest(t, w.ctx, w.stores[0])
	for i, s := range w.stores[1:] {
		if digest(t, w.ctx, s) != first {
			t.Errorf("store %d differs from store 0", i+1)
		}
	}
}

// change makes a random change at a random store. Changes of engrams that a
// store does not have, or has forgotten, are refused: that is part of the game.
func (w *world) change(r *rand.Rand) {
	s := w.stores[r.IntN(len(w.stores))]
	pick := func() string {
		if len(w.ids) == 0 {
			return ""
		}
		return w.ids[max(0, len(w.ids)-recentIDs)+r.IntN(min(recentIDs, len(w.ids)))]
	}
	name := func() string { return fmt.Sprint("g", r.IntN(3)) }
	var c memory.Change
	switch r.IntN(12) {
	case 0, 1:
		out, err := s.Do(w.ctx, memory.Mutation{Changes: []memory.Change{memory.Create{Content: fmt.Sprint("c", r.IntN(5)), Context: name(), Collections: []string{name()}, AllowDuplicate: r.IntN(2) == 0}}})
		if err == nil {
			w.ids = append(w.ids, out[0].Engram.ID)
		}
		return
	case 2, 3:
		c = memory.Update{ID: pick(), Content: ptr(fmt.Sprint("u", r.IntN(100)))}
	case 4:
		c = memory.Update{ID: pick(), Tags: ptr([]string{name()}), Importance: ptr(float64(r.IntN(10)) / 10)}
	case 5:
		c = memory.Update{ID: pick(), Collections: ptr([]string{name(), name()}), Context: ptr(name())}
	case 6:
		c = memory.Forget{ID: pick()}
	case 7:
		c = memory.Restore{ID: pick(), Version: int64(r.IntN(3))}
	case 8:
		c = memory.SetLink{Link: memory.Link{From: pick(), To: pick(), Relation: name(), Weight: float64(r.IntN(10)) / 10}}
	case 9:
		c = memory.Unlink{From: pick(), To: pick()}
	case 10:
		c = memory.SetGroup{Kind: memory.Context, Name: name(), Description: ptr(fmt.Sprint(r.IntN(100))), Readers: ptr([]string{name()})}
	case 11:
		if r.IntN(3) == 0 {
			c = memory.Purge{ID: pick()}
		} else {
			_, _, _ = s.Get(w.ctx, []string{pick()}, memory.GetOptions{})
			_, _ = s.Maintain(w.ctx, memory.Policy{}, false) // writes the access counts
			return
		}
	}
	_, _ = s.Do(w.ctx, memory.Mutation{Changes: []memory.Change{c}})
}

func (w *world) exchange(t *testing.T, r *rand.Rand) {
	for range r.IntN(4) {
		w.deliver(t, r, r.IntN(3), r.IntN(3), true)
	}
}

// deliver sends what j lacks of i's log: some of it, shuffled and with
// repeats, or all of it.
func (w *world) deliver(t *testing.T, r *rand.Rand, i, j int, part bool) {
	t.Helper()
	if i == j {
		return
	}
	var ops []memory.Op
	after := w.sent[i][j]
	for {
		page, err := w.stores[i].Ops(w.ctx, after, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			ops = append(ops, e.Op)
			after = e.Seq
		}
		if len(page) < memory.MaxBatch {
			break
		}
	}
	if len(ops) == 0 {
		return
	}
	r.Shuffle(len(ops), func(a, b int) { ops[a], ops[b] = ops[b], ops[a] })
	if part {
		ops = ops[:r.IntN(len(ops))+1]
		ops = append(ops, ops[:r.IntN(len(ops))]...)
	} else {
		w.sent[i][j] = after
	}
	if _, err := w.stores[j].Apply(w.ctx, ops); err != nil {
		t.Fatal(err)
	}
}
