package memory

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// Full text drives every text query: SQLite must not walk the engrams and
// probe the index once for each.
func TestFullTextIsTheOuterLoop(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, f := range map[string]Filter{
		"no filter": {},
		"context":   {Context: "x"},
		"all":       {Context: "x", Collections: []string{"c"}, Tags: []string{"t"}, Kind: "k", Source: "s", After: time.Unix(1, 0), ValidAt: time.Unix(1, 0), MinConfidence: .1},
	} {
		err := s.snapshot(t.Context(), func(v *view) error {
			k := &seeker{view: v, Query: Query{Filter: f}}
			cond, args, err := f.sql(v, "search")
			if err != nil {
				return err
			}
			plan, err := explain(v, k.wordsQuery(cond), append(append([]any{"apple"}, args...), 10)...)
			if err != nil {
				return err
			}
			loops := slices.DeleteFunc(plan, func(l string) bool { return !strings.HasPrefix(l, "SCAN") && !strings.HasPrefix(l, "SEARCH") })
			if len(loops) < 2 || !strings.Contains(loops[0], "words") || !strings.Contains(loops[1], "SEARCH e USING INTEGER PRIMARY KEY") {
				t.Errorf("%s: the plan is %q", name, plan)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func explain(v *view, query string, args ...any) (plan []string, err error) {
	rows, err := v.query(`EXPLAIN QUERY PLAN `+query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return nil, err
		}
		plan = append(plan, detail)
	}
	return plan, rows.Err()
}

// A panic in one mutation is that mutation's failure alone.
func TestPanicInAWriteIsItsOwn(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	who := Principal{Space: "default", Name: "x", Rights: Owner}
	ctx := WithPrincipal(context.Background(), who)
	if err := s.write(ctx, "boom", who, func(*txn) error { panic("secret") }); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Do(ctx, Mutation{Changes: []Change{Create{Content: "after"}}}); err != nil {
		t.Error(err)
	}
}
