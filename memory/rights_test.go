package memory_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"engram-mcp/memory"
)

// house is a space in which every combination of closed and open context and
// collection holds an engram with the word "lantern".
type house struct {
	ctx context.Context // its owner
	s   *memory.Store
	ids map[string]string
}

func newHouse(t *testing.T) *house {
	ctx, s := open(t, memory.Options{})
	h := &house{ctx, s, map[string]string{}}
	alice, bob := ptr([]string{"alice"}), ptr([]string{"bob"})
	do(t, ctx, s,
		memory.SetGroup{Kind: memory.Context, Name: "alice-only", Readers: alice, Writers: alice},
		memory.SetGroup{Kind: memory.Context, Name: "alice-writes", Writers: alice},
		memory.SetGroup{Kind: memory.Context, Name: "open"},
		memory.SetGroup{Kind: memory.Collection, Name: "alices", Readers: alice, Writers: alice},
		memory.SetGroup{Kind: memory.Collection, Name: "bobs", Readers: bob, Writers: bob},
		memory.SetGroup{Kind: memory.Collection, Name: "nobodys", Readers: ptr([]string{}), Writers: ptr([]string{})},
	)
	for _, c := range []struct {
		name, context string
		collections   []string
	}{
		{"plain", "", nil},
		{"open", "open", nil},
		{"alice-only", "alice-only", nil},
		{"alice-writes", "alice-writes", nil},
		{"in alices", "", []string{"alices"}},
		{"in alices and bobs", "", []string{"alices", "bobs"}},
		{"in nobodys", "", []string{"nobodys"}},
		{"open, in alices", "open", []string{"alices"}},
		{"alice-only, in bobs", "alice-only", []string{"bobs"}},
	} {
		h.ids[c.name] = create(t, ctx, s, memory.Create{Content: "lantern " + c.name, Context: c.context, Collections: c.collections})
	}
	return h
}

var houseRights = []struct {
	who         string
	read, write []string
}{
	{"alice",
		[]string{"plain", "open", "alice-only", "alice-writes", "in alices", "in alices and bobs", "open, in alices"},
		[]string{"plain", "open", "alice-only", "alice-writes", "in alices", "open, in alices"}},
	{"bob",
		[]string{"plain", "open", "alice-writes", "in alices and bobs"},
		[]string{"plain", "open"}},
	{"carol",
		[]string{"plain", "open", "alice-writes"},
		[]string{"plain", "open"}},
}

func TestWhatIsReadable(t *testing.T) {
	h := newHouse(t)
	for _, c := range houseRights {
		ctx := as(t, c.who, memory.Read|memory.Write|memory.Admin)
		t.Run(c.who, func(t *testing.T) {
			for name, id := range h.ids {
				can := slices.Contains(c.read, name)
				found, missing, err := h.s.Get(ctx, []string{id}, memory.GetOptions{Links: true})
				if err != nil || (len(found) == 1) != can || (len(missing) == 1) == can {
					t.Errorf("get %q: found %d, missing %v, err %v; readable: %v", name, len(found), missing, err, can)
				}
				if _, _, err := h.s.History(ctx, id, "", 0); (err == nil) != can {
					t.Errorf("history of %q: %v", name, err)
				}
				if _, err := h.s.Walk(ctx, memory.Walk{Start: []string{id}}); (err == nil) != can {
					t.Errorf("walk from %q: %v", name, err)
				}
				for _, l := range found {
					if slices.Contains(l.Collections, "nobodys") || c.who != "bob" && slices.Contains(l.Collections, "bobs") {
						t.Errorf("%q shows collections %v", name, l.Collections)
					}
				}
			}
			for what, f := range map[string]func() []string{
				"search": func() []string { return contents(t, h.s, ctx, memory.Query{Text: "lantern", Limit: 50}) },
				"newest": func() []string { return contents(t, h.s, ctx, memory.Query{Limit: 50}) },
				"by filter": func() []string {
					return contents(t, h.s, ctx, memory.Query{Text: "lantern", Filter: memory.Filter{Kind: "fact"}, Limit: 50})
				},
				"select": func() []string {
					ids, err := h.s.Select(ctx, memory.Filter{}, 0)
					if err != nil {
						t.Fatal(err)
					}
					return h.names(ids)
				},
				"export": func() []string {
					var b bytes.Buffer
					if _, _, err := h.s.Export(ctx, &b); err != nil {
						t.Fatal(err)
					}
					var out []string
					for name := range h.ids {
						if strings.Contains(b.String(), fmt.Sprintf(`"lantern %s"`, name)) {
							out = append(out, name)
						}
					}
					if strings.Contains(b.String(), "nobodys") {
						t.Error("the export names a hidden collection")
					}
					return out
				},
			} {
				got := f()
				slices.Sort(got)
				want := slices.Sorted(slices.Values(c.read))
				if !slices.Equal(got, want) {
					t.Errorf("%s: got %q, want %q", what, got, want)
				}
			}
			st, err := h.s.Stats(ctx)
			if err != nil || st.Engrams != int64(len(c.read)) {
				t.Errorf("stats count %d engrams, want %d (err %v)", st.Engrams, len(c.read), err)
			}
		})
	}
}

func (h *house) names(ids []string) (out []string) {
	for name, id := range h.ids {
		if slices.Contains(ids, id) {
			out = append(out, name)
		}
	}
	return out
}

func contents(t *testing.T, s *memory.Store, ctx context.Context, q memory.Query) (out []string) {
	t.Helper()
	f, err := s.Search(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range f.Hits {
		out = append(out, strings.TrimPrefix(h.Content, "lantern "))
	}
	return out
}

func TestWhatIsWritable(t *testing.T) {
	h := newHouse(t)
	mine := create(t, h.ctx, h.s, memory.Create{Content: "a place to link from"})
	for _, c := range houseRights {
		ctx := as(t, c.who, memory.Read|memory.Write|memory.Admin)
		for name, id := range h.ids {
			reads, writes := slices.Contains(c.read, name), slices.Contains(c.write, name)
			for verb, change := range map[string]memory.Change{
				"update":   memory.Update{ID: id, Importance: ptr(.9)},
				"forget":   memory.Forget{ID: id},
				"link":     memory.SetLink{Link: memory.Link{From: id, To: mine, Relation: "r", Weight: 1}},
				"restore":  memory.Restore{ID: id},
				"unlink":   memory.Unlink{From: id, To: mine},
				"purge":    memory.Purge{ID: id},
				"move out": memory.Update{ID: id, Context: ptr("open"), Collections: ptr([]string{})},
			} {
				before := digest(t, h.ctx, h.s)
				_, err := h.s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Create{Content: "probe " + verb + name + c.who}, change, memory.Update{ID: "undo", Content: ptr("x")}}})
				switch {
				case err == nil:
					t.Fatal("the undo did not fail")
				case !reads:
					if verb == "restore" || !strings.Contains(err.Error(), "item 1") {
						break
					}
					wantHint(t, err, memory.ErrNotFound, "")
				case !writes:
					if strings.Contains(err.Error(), "item 2") {
						t.Errorf("%s may %s %q", c.who, verb, name)
					} else {
						wantHint(t, err, memory.ErrDenied, "")
					}
				}
				if reads && !writes || !reads {
					if !strings.Contains(err.Error(), "item 1") {
						t.Errorf("%s may %s %q: %v", c.who, verb, name, err)
					}
				}
				if digest(t, h.ctx, h.s) != before {
					t.Errorf("%s: %s of %q left a trace", c.who, verb, name)
				}
			}
		}
	}
}

func TestUnreadableAndMissingAreToldApartByNobody(t *testing.T) {
	h := newHouse(t)
	bob := as(t, "bob", memory.Read|memory.Write|memory.Admin)
	secret, none := h.ids["alice-only"], "0197a3c0-5b1e-7c3a-9d2f-1a2b3c4d5e6f"
	answers := func(id string) (out []string) {
		_, _, err := h.s.History(bob, id, "", 0)
		out = append(out, fmt.Sprint(err))
		_, err = h.s.Walk(bob, memory.Walk{Start: []string{id}})
		out = append(out, fmt.Sprint(err))
		for _, c := range []memory.Change{memory.Update{ID: id, IfVersion: 7}, memory.Forget{ID: id}, memory.Restore{ID: id}, memory.Purge{ID: id},
			memory.SetLink{Link: memory.Link{From: h.ids["plain"], To: id, Relation: "r"}}, memory.Unlink{From: id, To: id}} {
			_, err := h.s.Do(bob, memory.Mutation{Changes: []memory.Change{c}})
			out = append(out, fmt.Sprint(err))
		}
		for i := range out {
			out[i] = strings.ReplaceAll(out[i], id, "ID")
		}
		return out
	}
	a, b := answers(secret), answers(none)
	if !slices.Equal(a, b) {
		t.Errorf("an unreadable engram answers\n%q\na missing one\n%q", a, b)
	}
}

func TestAWalkDoesNotPassThroughTheUnreadable(t *testing.T) {
	h := newHouse(t)
	link := func(a, b string) memory.Change {
		return memory.SetLink{Link: memory.Link{From: h.ids[a], To: h.ids[b], Relation: "r", Weight: 1}}
	}
	do(t, h.ctx, h.s, link("plain", "alice-only"), link("alice-only", "open"))
	bob, alice := as(t, "bob", memory.Read), as(t, "alice", memory.Read)
	for _, mode := range []memory.WalkMode{memory.Path, memory.Subgraph, memory.Neighbors} {
		w := memory.Walk{Start: []string{h.ids["plain"]}, Mode: mode}
		if mode == memory.Path {
			w.To = h.ids["open"]
		}
		g, err := h.s.Walk(bob, w)
		if err != nil || len(g.Links) > 0 || len(g.Engrams) > 1 {
			t.Errorf("%s for bob: %d engrams, %d links, %v", mode, len(g.Engrams), len(g.Links), err)
		}
		if g, err := h.s.Walk(alice, w); err != nil || len(g.Links) == 0 {
			t.Errorf("%s for alice: %d links, %v", mode, len(g.Links), err)
		}
	}
	if e := get(t, bob, h.s, h.ids["plain"]); len(e.Links) > 0 {
		t.Errorf("bob sees links %+v", e.Links)
	}
}

func TestHistoryKeepsWhatWasClosedClosed(t *testing.T) {
	h := newHouse(t)
	id := h.ids["alice-only"]
	do(t, h.ctx, h.s, memory.Update{ID: id, Content: ptr("fit for all"), Context: ptr("open")})
	bob := as(t, "bob", memory.Read|memory.Write)
	versions, _, err := h.s.History(bob, id, "", 0)
	if err != nil || len(versions) != 1 || versions[0].Version != 2 {
		t.Errorf("bob sees %+v, %v", versions, err)
	}
	_, err = h.s.Do(bob, memory.Mutation{Changes: []memory.Change{memory.Restore{ID: id, Version: 1}}})
	wantHint(t, err, memory.ErrNotFound, "engram_history")
}

func TestGroupsAndTheirLists(t *testing.T) {
	h := newHouse(t)
	bob := as(t, "bob", memory.Read|memory.Write)
	names := func(ctx context.Context, kind memory.GroupKind) (out []string) {
		cursor := ""
		for {
			page, next, err := h.s.Groups(ctx, kind, cursor, 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range page {
				out = append(out, fmt.Sprint(g.Name, " ", g.Engrams))
			}
			if cursor = next; next == "" {
				return out
			}
		}
	}
	if got, want := names(bob, memory.Context), []string{"alice-writes 1", "open 1"}; !slices.Equal(got, want) {
		t.Errorf("contexts for bob: %q, want %q", got, want)
	}
	if got, want := names(bob, memory.Collection), []string{"bobs 1"}; !slices.Equal(got, want) {
		t.Errorf("collections for bob: %q, want %q", got, want)
	}
	set := func(ctx context.Context, c memory.SetGroup) error {
		_, err := h.s.Do(ctx, memory.Mutation{Changes: []memory.Change{c}})
		return err
	}
	wantHint(t, set(bob, memory.SetGroup{Kind: memory.Context, Name: "alice-writes", Description: ptr("x")}), memory.ErrDenied, "writers")
	wantHint(t, set(bob, memory.SetGroup{Kind: memory.Context, Name: "alice-only", MustExist: true, Description: ptr("x")}), memory.ErrNotFound, "context_list")
	wantHint(t, set(bob, memory.SetGroup{Kind: memory.Context, Name: "no such", MustExist: true}), memory.ErrNotFound, "context_list")
	wantHint(t, set(bob, memory.SetGroup{Kind: memory.Context, Name: "alice-only"}), memory.ErrDenied, "another name")
	wantHint(t, set(bob, memory.SetGroup{Kind: memory.Context, Name: "open", Create: true}), memory.ErrConflict, "context_update")
	wantHint(t, set(bob, memory.SetGroup{Kind: memory.Context, Name: "bobs-own", Writers: ptr([]string{"alice"})}), memory.ErrInvalid, "bob")
	if err := set(bob, memory.SetGroup{Kind: memory.Context, Name: "bobs-own", Readers: ptr([]string{"bob"}), Writers: ptr([]string{"bob"})}); err != nil {
		t.Error(err)
	}
	_, err := h.s.Do(bob, memory.Mutation{Changes: []memory.Change{memory.Create{Content: "x", Context: "alice-writes"}}})
	wantHint(t, err, memory.ErrDenied, "writers")
	_, err = h.s.Do(bob, memory.Mutation{Changes: []memory.Change{memory.Create{Content: "x", Collections: []string{"nobodys"}}}})
	wantHint(t, err, memory.ErrDenied, "another collection")
	if err := set(h.ctx, memory.SetGroup{Kind: memory.Context, Name: "bobs-own", Readers: ptr([]string(nil)), Writers: ptr([]string(nil))}); err != nil {
		t.Error(err)
	}
	if got := names(as(t, "carol", memory.Read), memory.Context); !slices.Contains(got, "bobs-own 0") {
		t.Errorf("an opened context is still closed: %q", got)
	}
}

func TestRightsOfThePrincipal(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "x"})
	foreign := memory.WithPrincipal(t.Context(), memory.Principal{Space: "other", Name: "owner", Rights: memory.Owner})
	reads := func(ctx context.Context) error {
		_, _, err := s.Get(ctx, []string{id}, memory.GetOptions{})
		return err
	}
	writes := func(ctx context.Context) error {
		_, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Create{Content: "y"}}})
		return err
	}
	purges := func(ctx context.Context) error {
		_, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Purge{ID: id}, memory.Forget{ID: "undo"}}})
		return err
	}
	maintains := func(ctx context.Context) error { _, err := s.Maintain(ctx, memory.Policy{}, true); return err }
	owns := func(ctx context.Context) error { _, err := s.Ops(ctx, 0, 1); return err }
	for _, c := range []struct {
		who  string
		ctx  context.Context
		want string // of read, write, purge, maintain, own: what is allowed
	}{
		{"nobody", t.Context(), "-----"},
		{"of another space", foreign, "-----"},
		{"reader", as(t, "r", memory.Read), "r----"},
		{"writer alone", as(t, "w", memory.Write), "-w---"},
		{"reader and writer", as(t, "rw", memory.Read|memory.Write), "rw---"},
		{"admin", as(t, "a", memory.Read|memory.Write|memory.Admin), "rwpm-"},
		{"admin alone", as(t, "a", memory.Admin), "---m-"},
		{"owner", ctx, "rwpmo"},
	} {
		got := []byte("-----")
		for i, f := range []func(context.Context) error{reads, writes, purges, maintains, owns} {
			err := f(c.ctx)
			if i == 2 && err != nil && strings.Contains(err.Error(), "item 1") {
				err = nil // the purge passed
			}
			if err == nil {
				got[i] = "rwpmo"[i]
			} else {
				wantHint(t, err, memory.ErrDenied, "")
			}
		}
		if string(got) != c.want {
			t.Errorf("%s: %s, want %s", c.who, got, c.want)
		}
	}
}

// A scope narrows whatever rights its principal has.
func TestScope(t *testing.T) {
	h := newHouse(t)
	scoped := func(s memory.Scope) context.Context {
		return memory.WithPrincipal(t.Context(), memory.Principal{Space: "default", Name: "alice", Rights: memory.Read | memory.Write, Scope: &s})
	}
	for name, c := range map[string]struct {
		scope memory.Scope
		reads []string
	}{
		"one context":       {memory.Scope{ReadContexts: []string{"open"}}, []string{"open", "open, in alices"}},
		"none":              {memory.Scope{ReadContexts: []string{}}, nil},
		"not alice's":       {memory.Scope{ReadCollections: []string{"bobs"}}, []string{"in alices and bobs"}},
		"context and group": {memory.Scope{ReadContexts: []string{"open"}, ReadCollections: []string{"alices"}}, []string{"open, in alices"}},
		"unknown":           {memory.Scope{ReadContexts: []string{"no such"}}, nil},
		"writing alone":     {memory.Scope{WriteContexts: []string{"open"}}, houseRights[0].read},
	} {
		ctx := scoped(c.scope)
		for _, text := range []string{"lantern", ""} {
			got := contents(t, h.s, ctx, memory.Query{Text: text, Limit: 50})
			slices.Sort(got)
			if !slices.Equal(got, slices.Sorted(slices.Values(c.reads))) {
				t.Errorf("%s, query %q: reads %q, want %q", name, text, got, c.reads)
			}
		}
		for what, id := range h.ids {
			found, _, err := h.s.Get(ctx, []string{id}, memory.GetOptions{Links: true})
			if can := slices.Contains(c.reads, what); err != nil || (len(found) == 1) != can {
				t.Errorf("%s: get %q gives %d, %v", name, what, len(found), err)
			}
			if _, _, err := h.s.History(ctx, id, "", 0); (err == nil) != slices.Contains(c.reads, what) {
				t.Errorf("%s: history of %q: %v", name, what, err)
			}
		}
		if st, err := h.s.Stats(ctx); err != nil || st.Engrams != int64(len(c.reads)) {
			t.Errorf("%s: stats count %d, %v", name, st.Engrams, err)
		}
	}
	in := func(s memory.Scope, c memory.Change) error {
		_, err := h.s.Do(scoped(s), memory.Mutation{Changes: []memory.Change{c}})
		return err
	}
	contexts, groups := memory.Scope{WriteContexts: []string{"open"}}, memory.Scope{WriteCollections: []string{"alices"}}
	for name, c := range map[string]struct {
		err error
		ok  bool
	}{
		"create inside":              {in(contexts, memory.Create{Content: "a", Context: "open"}), true},
		"create outside":             {in(contexts, memory.Create{Content: "b", Context: "alice-only"}), false},
		"create in no context":       {in(contexts, memory.Create{Content: "c"}), false},
		"create in a new context":    {in(contexts, memory.Create{Content: "d", Context: "fresh"}), false},
		"update inside":              {in(contexts, memory.Update{ID: h.ids["open"], Importance: ptr(.1)}), true},
		"update outside":             {in(contexts, memory.Update{ID: h.ids["plain"], Importance: ptr(.1)}), false},
		"move out":                   {in(contexts, memory.Update{ID: h.ids["open"], Context: ptr("alice-only")}), false},
		"forget outside":             {in(contexts, memory.Forget{ID: h.ids["alice-only"]}), false},
		"describe another context":   {in(contexts, memory.SetGroup{Kind: memory.Context, Name: "alice-only", Description: ptr("x")}), false},
		"create in the collection":   {in(groups, memory.Create{Content: "e", Collections: []string{"alices"}}), true},
		"create in no collection":    {in(groups, memory.Create{Content: "f"}), false},
		"create in another as well":  {in(groups, memory.Create{Content: "g", Collections: []string{"alices", "mine"}}), false},
		"update in no collection":    {in(groups, memory.Update{ID: h.ids["plain"], Importance: ptr(.2)}), false},
		"update in the collection":   {in(groups, memory.Update{ID: h.ids["in alices"], Importance: ptr(.2)}), true},
		"take out of the collection": {in(groups, memory.Update{ID: h.ids["in alices"], Collections: ptr([]string{})}), false},
	} {
		if (c.err == nil) != c.ok {
			t.Errorf("%s: %v", name, c.err)
		}
		if c.err != nil {
			wantHint(t, c.err, memory.ErrDenied, "")
		}
	}
}

// Who may write but not read learns nothing of what is there.
func TestWritingBlindly(t *testing.T) {
	h := newHouse(t)
	blind := as(t, "alice", memory.Write)
	out, err := h.s.Do(blind, memory.Mutation{Changes: []memory.Change{memory.Create{Content: "lantern plain"}}})
	if err != nil || out[0].Duplicate {
		t.Errorf("%+v, %v", out, err)
	}
	for _, c := range []memory.Change{memory.Update{ID: h.ids["plain"]}, memory.Forget{ID: h.ids["plain"]}, memory.Create{Content: "x", Links: []memory.Link{{To: h.ids["plain"], Relation: "r"}}}} {
		_, err := h.s.Do(blind, memory.Mutation{Changes: []memory.Change{c}})
		wantHint(t, err, memory.ErrNotFound, "")
	}
}
