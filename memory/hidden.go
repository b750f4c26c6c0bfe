package memory

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// Names are things of a space by what they are called.
type Names struct {
	Engrams     []string // ids
	Contexts    []string
	Collections []string
}

// Hidden returns those of the names that the caller may not read. Engrams that
// are unknown or purged are hidden, forgotten ones are not; groups that are
// unknown are hidden only from a caller whose scope does not list them. names
// is asked only if anything in the space is hidden from the caller. What is
// staged under ctx counts; nothing counts as access. The caller needs Read.
func (s *Store) Hidden(ctx context.Context, names func() Names) (hidden Names, err error) {
	look := s.view
	if st := s.stageOf(ctx); st != nil && st.changesGroups() {
		look = s.stagedView
	}
	var all bool
	err = look(ctx, "look at rights", func(v *view) error { all = v.all(); return nil })
	if err != nil || all {
		return hidden, err
	}
	n := names()
	err = s.stagedView(ctx, "look at rights", func(v *view) error {
		hidden, err = v.hiddenOf(n)
		return err
	})
	return hidden, err
}

// all reports whether nothing in the space is hidden.
func (v *sight) all() bool {
	return len(v.hidden) == 0 && (v.who.Scope == nil || v.who.Scope.ReadContexts == nil && v.who.Scope.ReadCollections == nil)
}

func (v *view) hiddenOf(n Names) (hidden Names, err error) {
	for _, id := range n.Engrams {
		u, err := uuid.Parse(id)
		found := false
		if err == nil {
			if found, err = v.one(`SELECT 1 FROM engram e WHERE e.id = ? AND `+v.readable("e"), []any{u[:]}, new(int)); err != nil {
				return hidden, err
			}
		}
		if !found {
			hidden.Engrams = append(hidden.Engrams, id)
		}
	}
	if hidden.Contexts, err = v.hiddenGroups(Context, n.Contexts); err == nil {
		hidden.Collections, err = v.hiddenGroups(Collection, n.Collections)
	}
	return hidden, err
}

func (v *view) hiddenGroups(kind GroupKind, names []string) (hidden []string, err error) {
	var listed []string
	scoped := false
	if s := v.who.Scope; s != nil {
		listed = s.ReadContexts
		if kind == Collection {
			listed = s.ReadCollections
		}
		scoped = listed != nil
	}
	for _, name := range names {
		var row int64
		if _, err := v.one(`SELECT row FROM grp WHERE kind = ? AND name = ?`, []any{string(kind), name}, &row); err != nil {
			return nil, err
		}
		if v.hidden[row] || scoped && !slices.Contains(listed, name) {
			hidden = append(hidden, name)
		}
	}
	return hidden, nil
}

// changesGroups reports whether readers and writers may be others than those
// that are committed.
func (st *Stage) changesGroups() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, m := range st.staged {
		for _, c := range m.Changes {
			if _, ok := c.(SetGroup); ok {
				return true
			}
		}
	}
	return false
}
