package memory_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// A guess answers at once; if it was wrong, the stage is stale and nothing of
// it is made.
func TestAStageCanGuess(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	old := create(t, ctx, s, memory.Create{Content: "known"})
	for name, tt := range map[string]struct {
		change memory.Change
		right  bool
	}{
		"new":          {memory.Create{Content: "unknown"}, true},
		"a duplicate":  {memory.Create{Content: "known"}, false},
		"not a guess":  {memory.Update{ID: old, Confidence: ptr(0.5)}, true},
		"with a link":  {memory.Create{Content: "linked", Links: []memory.Link{{To: old, Relation: "r", Weight: 1}}}, true},
		"invalid, too": {memory.Create{Content: "linked", Links: []memory.Link{{To: "x", Relation: "r", Weight: 1}}}, false},
	} {
		before := digest(t, ctx, s)
		in, stage := s.Stage(ctx)
		results, err := s.Do(stage.Guess(in), memory.Mutation{Changes: []memory.Change{tt.change}})
		if err == nil {
			err = stage.Commit(ctx)
		}
		if (err == nil) != tt.right || !tt.right && digest(t, ctx, s) != before {
			t.Errorf("%s: %v", name, err)
		}
		if name == "a duplicate" && !stage.Stale() {
			t.Error("a wrong guess is not noticed")
		}
		if tt.right && results[0].Engram.Version != get(t, ctx, s, results[0].Engram.ID).Version {
			t.Errorf("%s: it was told of version %d", name, results[0].Engram.Version)
		}
	}
	// Whoever builds on a wrong guess notices before the commit.
	in, stage := s.Stage(ctx)
	results := do(t, stage.Guess(in), s, memory.Create{Content: "known"})
	if _, _, err := s.Get(in, []string{results[0].Engram.ID}, memory.GetOptions{}); err == nil || !stage.Stale() {
		t.Error("what was guessed is shown as if it was there:", err)
	}
}

func TestARequestThatIsMadeMeanwhileSpoilsAStage(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	m := memory.Mutation{RequestID: "0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f", Changes: []memory.Change{memory.Create{Content: "once"}}}
	in, stage := s.Stage(ctx)
	if _, err := s.Do(in, m); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Do(ctx, m); err != nil {
		t.Fatal(err)
	}
	wantHint(t, stage.Commit(ctx), memory.ErrConflict, "call again")
}

func TestAnInquiryChangesNothing(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	m := memory.Mutation{RequestID: "0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f", Changes: []memory.Change{memory.Create{Content: "once"}}}
	other := memory.Mutation{RequestID: m.RequestID, Changes: []memory.Change{memory.Create{Content: "something else"}}}
	before := digest(t, ctx, s)
	in, q := memory.Inquire(ctx)
	if _, err := s.Do(in, m); !errors.Is(err, memory.ErrInquired) || q.Known() || digest(t, ctx, s) != before {
		t.Errorf("%v, known %v", err, q.Known())
	}
	made, err := s.Do(q.As(ctx), other) // in the place of m
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Do(ctx, m)
	if err != nil || again[0].Engram.ID != made[0].Engram.ID {
		t.Errorf("the request is not known by what was inquired about: %v", err)
	}
	if _, err := s.Do(in, m); !errors.Is(err, memory.ErrInquired) || !q.Known() {
		t.Errorf("%v, known %v", err, q.Known())
	}
	if _, err := s.Do(as(t, "bob", memory.Read|memory.Write), other); err != nil {
		t.Error("the request of another principal is in the way:", err)
	}
}

// What is hidden is told by the lists and the scope of the caller, with what is
// staged.
func TestHidden(t *testing.T) {
	h := newHouse(t)
	all := memory.Names{Engrams: []string{h.ids["open"], h.ids["alice-only"], "0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f"}, Contexts: []string{"alice-only", "open", "nowhere", ""}}
	ask := func(ctx context.Context) memory.Names {
		t.Helper()
		hidden, err := h.s.Hidden(ctx, func() memory.Names { return all })
		if err != nil {
			t.Fatal(err)
		}
		return hidden
	}
	bob := as(t, "bob", memory.Read|memory.Write)
	if diff := cmp.Diff(memory.Names{Engrams: all.Engrams[1:], Contexts: []string{"alice-only"}}, ask(bob)); diff != "" {
		t.Error(diff)
	}
	p, _ := memory.PrincipalFrom(bob)
	p.Scope = &memory.Scope{ReadContexts: []string{"open"}}
	if diff := cmp.Diff(memory.Names{Engrams: all.Engrams[1:], Contexts: []string{"alice-only", "nowhere", ""}}, ask(memory.WithPrincipal(bob, p))); diff != "" {
		t.Error(diff)
	}
	ctx, s := open(t, memory.Options{})
	if _, err := s.Hidden(ctx, func() memory.Names { t.Error("it asks, although nothing is hidden"); return memory.Names{} }); err != nil {
		t.Error(err)
	}
	admin := as(t, "root", memory.Read|memory.Write|memory.Admin)
	staged, _ := s.Stage(admin)
	do(t, staged, s, memory.SetGroup{Kind: memory.Context, Name: "closed", Readers: ptr([]string{"somebody"})})
	hidden, err := s.Hidden(staged, func() memory.Names { return memory.Names{Contexts: []string{"closed"}} })
	if err != nil || len(hidden.Contexts) != 1 {
		t.Errorf("what is staged is not seen: %v, %v", hidden, err)
	}
}
