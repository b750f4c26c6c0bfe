package vector

import "slices"

// hit is a row with its score and, while the index is locked, its slot.
type hit struct {
	score float32
	row   int64
	slot  int
}

// compare orders hits best first: the higher score, among equals the lower row.
func compare(a, b hit) int {
	switch {
	case a.score > b.score:
		return -1
	case a.score < b.score:
		return 1
	case a.row < b.row:
		return -1
	case a.row > b.row:
		return 1
	}
	return 0
}

// top keeps the best limit hits it was offered. Since compare is a total order
// over distinct rows, what it keeps does not depend on the order of the offers.
type top struct {
	limit int
	hits  []hit // a heap with the worst hit first
}

func newTop(limit int) *top {
	return &top{limit: limit, hits: make([]hit, 0, limit)}
}

func (t *top) full() bool { return len(t.hits) == t.limit }

// offer takes h if it is among the best so far.
func (t *top) offer(h hit) {
	if !t.full() {
		t.hits = append(t.hits, h)
		for i := len(t.hits) - 1; i > 0; {
			parent := (i - 1) / 2
			if compare(t.hits[i], t.hits[parent]) < 0 {
				return
			}
			t.hits[i], t.hits[parent] = t.hits[parent], t.hits[i]
			i = parent
		}
		return
	}
	if compare(h, t.hits[0]) > 0 {
		return
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(t.hits) {
			break
		}
		if right := child + 1; right < len(t.hits) && compare(t.hits[right], t.hits[child]) > 0 {
			child = right
		}
		if compare(h, t.hits[child]) > 0 {
			break
		}
		t.hits[i] = t.hits[child]
		i = child
	}
	t.hits[i] = h
}

// sorted returns the hits best first and ends the use of t.
func (t *top) sorted() []hit {
	slices.SortFunc(t.hits, compare)
	return t.hits
}
