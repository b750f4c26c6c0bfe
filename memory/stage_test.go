package memory_test

import (
	"slices"
	"strings"
	"testing"

	"engram-mcp/memory"
)

func TestAStageIsSeenByItselfAloneUntilItIsCommitted(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	old := create(t, ctx, s, memory.Create{Content: "old apple"})
	before := digest(t, ctx, s)

	in, stage := s.Stage(ctx)
	id := create(t, in, s, memory.Create{Content: "new apple"})
	do(t, in, s, memory.SetLink{Link: memory.Link{From: id, To: old, Relation: "r", Weight: 1}}, memory.Update{ID: id, Tags: ptr([]string{"t"})})
	do(t, in, s, memory.Forget{ID: old})
	if e := get(t, in, s, id); e.Content != "new apple" || e.Version != 2 || !slices.Equal(e.Tags, []string{"t"}) {
		t.Errorf("the stage sees %+v", e)
	}
	if _, missing, _ := s.Get(in, []string{old}, memory.GetOptions{}); len(missing) != 1 {
		t.Error("the stage still sees what it forgot")
	}
	if got := search(t, in, s, "apple"); !slices.Equal(got, []string{old}) {
		t.Errorf("search under a stage shows %v", got)
	}
	if r := do(t, in, s, memory.Create{Content: "new apple"})[0]; !r.Duplicate || r.Engram.ID != id {
		t.Error("the stage does not know its own duplicate")
	}
	if digest(t, ctx, s) != before {
		t.Error("others see what is staged")
	}
	if err := stage.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := search(t, ctx, s, "apple"); !slices.Equal(got, []string{id}) {
		t.Errorf("after the commit: %v", got)
	}
	_, err := s.Do(in, memory.Mutation{Changes: []memory.Change{memory.Create{Content: "late"}}})
	wantHint(t, err, memory.ErrClosed, "")
}

func TestAStageThatIsDroppedLeavesNothing(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	before := digest(t, ctx, s)
	in, _ := s.Stage(ctx)
	create(t, in, s, memory.Create{Content: "x"})
	if digest(t, ctx, s) != before {
		t.Error("something is left")
	}
}

func TestAStageIsCheckedAgainAtCommit(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "x"})
	in, stage := s.Stage(ctx)
	create(t, in, s, memory.Create{Content: "of the stage"})
	do(t, in, s, memory.Update{ID: id, IfVersion: 1, Content: ptr("mine")})
	do(t, ctx, s, memory.Update{ID: id, Content: ptr("theirs")})
	before := digest(t, ctx, s)
	wantHint(t, stage.Commit(ctx), memory.ErrConflict, "engram_get")
	if digest(t, ctx, s) != before {
		t.Error("part of the stage was committed")
	}
}

func TestAStageIsBounded(t *testing.T) {
	ctx, s := open(t, memory.Options{Durability: memory.Normal})
	in, _ := s.Stage(ctx)
	var many []memory.Change
	for range memory.MaxBatch {
		many = append(many, memory.Create{Content: strings.Repeat("x", 10)}) // duplicates after the first
	}
	var err error
	for i := 0; err == nil && i < 11; i++ {
		_, err = s.Do(in, memory.Mutation{Changes: many})
	}
	wantHint(t, err, memory.ErrInvalid, "several calls")
}

func TestRightsHoldUnderAStage(t *testing.T) {
	h := newHouse(t)
	bob := as(t, "bob", memory.Read|memory.Write)
	in, stage := h.s.Stage(bob)
	create(t, in, h.s, memory.Create{Content: "bob was here"})
	if _, missing, _ := h.s.Get(in, []string{h.ids["alice-only"]}, memory.GetOptions{}); len(missing) != 1 {
		t.Error("the stage reads what bob may not")
	}
	_, err := h.s.Do(in, memory.Mutation{Changes: []memory.Change{memory.Forget{ID: h.ids["alice-writes"]}}})
	wantHint(t, err, memory.ErrDenied, "")
	if err := stage.Commit(bob); err != nil {
		t.Error("a refused change spoiled the stage:", err)
	}
}
