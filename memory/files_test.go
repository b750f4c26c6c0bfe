package memory_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"engram-mcp/memory"

	_ "modernc.org/sqlite"
)

func TestFilesThatAreNotOurs(t *testing.T) {
	raw := func(t *testing.T, dir, stmts string) {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "engram.db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(stmts); err != nil {
			t.Fatal(err)
		}
		db.Close()
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		hint  string
	}{
		"newer":   {func(t *testing.T, dir string) { raw(t, dir, `PRAGMA user_version = 999`) }, "upgrade"},
		"foreign": {func(t *testing.T, dir string) { raw(t, dir, `PRAGMA application_id = 7`) }, "--data"},
		"corrupt": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "engram.db")
			for _, suffix := range []string{"-wal", "-shm"} {
				os.Remove(path + suffix)
			}
			if err := os.WriteFile(path, bytes.Repeat([]byte("garbage!"), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "doctor"},
		"truncated": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "engram.db")
			if err := os.Truncate(path, 20_000); err != nil {
				t.Fatal(err)
			}
		}, "doctor"},
		"a directory": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "engram.db")
			os.Remove(path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "data directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ctx, s := reopen(t, dir, memory.Options{})
			create(t, ctx, s, memory.Create{Content: "x"})
			s.Close()
			c.spoil(t, dir)
			before, _ := os.ReadFile(filepath.Join(dir, "engram.db"))
			s, err := memory.Open(t.Context(), dir, memory.Options{})
			if err == nil {
				defer s.Close()
				_, err = s.Stats(ctx)
			}
			wantHint(t, err, memory.ErrStorage, c.hint)
			if after, _ := os.ReadFile(filepath.Join(dir, "engram.db")); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	_, err := memory.Open(t.Context(), dir, memory.Options{ReadOnly: true})
	wantHint(t, err, memory.ErrStorage, "without --read-only")
	ctx, s := reopen(t, dir, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "apple"})
	s.Close()
	ctx, s = reopen(t, dir, memory.Options{ReadOnly: true})
	if got := search(t, ctx, s, "apple"); !slices.Equal(got, []string{id}) {
		t.Errorf("found %v", got)
	}
	_, err = s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Create{Content: "y"}}})
	wantHint(t, err, memory.ErrDenied, "--read-only")
}

func TestReadOnlyDirectory(t *testing.T) {
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("modes do not bind this user")
	}
	dir := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := memory.Open(t.Context(), dir, memory.Options{})
	wantHint(t, err, memory.ErrStorage, "data directory")
}

// A disk that fills up fails the change that hits it, with words, and loses
// nothing; with room again, writing goes on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	ctx, s := reopen(t, dir, memory.Options{})
	kept := create(t, ctx, s, memory.Create{Content: "kept"})
	if err := memory.LimitPages(s, 80); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		_, err = s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.Create{Content: fmt.Sprint(i, strings.Repeat(" word", 2000))}}})
	}
	wantHint(t, err, memory.ErrStorage, "free some space")
	if e := get(t, ctx, s, kept); e.Content != "kept" {
		t.Error(e)
	}
	healthy(t, ctx, s)
	if err := memory.LimitPages(s, 1<<20); err != nil {
		t.Fatal(err)
	}
	create(t, ctx, s, memory.Create{Content: "goes on"})
	healthy(t, ctx, s)
}

func TestBackupAndRestore(t *testing.T) {
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "b.db")
	ctx, s := reopen(t, dir, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "saved"})
	if err := s.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	wantHint(t, s.Backup(ctx, backup), memory.ErrConflict, "another name")
	saved := digest(t, ctx, s)
	lost := create(t, ctx, s, memory.Create{Content: "after the backup"})
	s.Close()

	_, err := memory.RestoreFile(t.Context(), backup, dir, false)
	wantHint(t, err, memory.ErrConflict, "--replace")
	kept, err := memory.RestoreFile(t.Context(), backup, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, s = reopen(t, dir, memory.Options{})
	if digest(t, ctx, s) != saved {
		t.Error("the restored state differs")
	}
	if got := search(t, ctx, s, "saved"); !slices.Equal(got, []string{id}) {
		t.Errorf("found %v", got)
	}
	if _, missing, _ := s.Get(ctx, []string{lost}, memory.GetOptions{}); len(missing) != 1 {
		t.Error("the restored space knows what came after the backup")
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error("the replaced file was not kept:", err)
	}
	// It is a node of its own: what it and the original do now can be merged.
	create(t, ctx, s, memory.Create{Content: "new here"})
	entries, err := s.Ops(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := entries[0].Origin, entries[len(entries)-1].Origin; a == b {
		t.Error("the restored file goes on under the old origin")
	}
	healthy(t, ctx, s)

	bad := filepath.Join(t.TempDir(), "bad.db")
	if err := os.WriteFile(bad, []byte("not a database, though long enough to look like one ................................................................"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = memory.RestoreFile(t.Context(), bad, t.TempDir(), false)
	wantHint(t, err, memory.ErrStorage, "another backup")
}

func TestExportImport(t *testing.T) {
	h := newHouse(t)
	link := memory.SetLink{Link: memory.Link{From: h.ids["plain"], To: h.ids["open"], Relation: "r", Weight: .25, Metadata: []byte(`{"a":1}`)}}
	do(t, h.ctx, h.s, link, memory.Update{ID: h.ids["open"], Metadata: []byte(`{"big":9007199254740993}`), Tags: ptr([]string{"t"})}, memory.Forget{ID: h.ids["alice-writes"]})
	var file bytes.Buffer
	engrams, links, err := h.s.Export(h.ctx, &file)
	if err != nil || engrams != int64(len(h.ids)) || links != 1 {
		t.Fatal(engrams, links, err)
	}
	ctx, s := open(t, memory.Options{})
	text := file.String()
	half := strings.Join(strings.SplitAfter(text, "\n")[:10], "") // broke off
	if _, err := s.Import(ctx, strings.NewReader(half), memory.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	var calls int
	done, err := s.Import(ctx, strings.NewReader(text), memory.ImportOptions{Progress: func(memory.Imported) { calls++ }})
	if err != nil || calls == 0 || done.Duplicates == 0 || done.Links != 1 {
		t.Fatal(done, calls, err)
	}
	again, err := s.Import(ctx, strings.NewReader(text), memory.ImportOptions{})
	if err != nil || again.Engrams != 0 || again.Groups != 0 {
		t.Errorf("a second import brought %+v, %v", again, err)
	}
	var second bytes.Buffer
	if _, _, err := s.Export(ctx, &second); err != nil {
		t.Fatal(err)
	}
	strip := func(s string) string { // what an import does not keep: who wrote it, when it changed, how often
		for _, key := range []string{`"author":"`, `"updated_at":"`, `"trust":"`} {
			for i := strings.Index(s, key); i >= 0; i = strings.Index(s, key) {
				end := strings.IndexByte(s[i+len(key):], '"')
				s = s[:i] + s[i+len(key)+end+1:]
			}
		}
		return strings.ReplaceAll(strings.ReplaceAll(s, `"version":2`, `"version":N`), `"version":1`, `"version":N`)
	}
	if a, b := strip(text), strip(second.String()); a != b {
		t.Errorf("the second export differs:\n%s\n%s", a, b)
	}
	if got := contents(t, s, as(t, "bob", memory.Read), memory.Query{Text: "lantern", Limit: 50}); slices.Contains(got, "alice-only") {
		t.Error("the lists were not imported")
	}
}

func TestImportSaysWhichLineIsWrong(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	good := `{"engram":{"content":"good"}}` + "\n"
	for name, c := range map[string]struct{ file, want string }{
		"not JSON":       {good + "\n" + "nonsense\n", "line 3"},
		"other JSON":     {good + `{"a":1}`, "line 2"},
		"newer format":   {`{"format":"engram-mcp/9"}`, "line 1"},
		"invalid engram": {good + `{"engram":{"content":""}}`, "line 2"},
		"bad id":         {`{"engram":{"id":"x","content":"y"}}`, "line 1"},
		"huge line":      {good + strings.Repeat("x", 5<<20), "line 2"},
	} {
		_, err := s.Import(ctx, strings.NewReader(c.file), memory.ImportOptions{})
		wantHint(t, err, memory.ErrInvalid, "")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	_, err := s.Import(as(t, "bob", memory.Read|memory.Write), strings.NewReader(good), memory.ImportOptions{})
	wantHint(t, err, memory.ErrDenied, "token")
}

func FuzzImport(f *testing.F) {
	ctx, s := open(f, memory.Options{Durability: memory.Normal})
	f.Add([]byte(`{"format":"engram-mcp/1"}` + "\n" + `{"engram":{"content":"a","valid_from":"2026-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"link":{"from":"a","to":"b","relation":"r"}}`))
	f.Add([]byte(`{"context":{"name":"c","readers":[]}}`))
	f.Add([]byte(`{"engram":{"content":"a","metadata":[],"created_at":"0001-01-01T00:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		before := digest(t, ctx, s)
		done, err := s.Import(ctx, bytes.NewReader(file), memory.ImportOptions{})
		if err != nil && done == (memory.Imported{}) && digest(t, ctx, s) != before {
			t.Error("a failed import left a trace")
		}
	})
}

func TestSpaces(t *testing.T) {
	dir := t.TempDir()
	spaces := memory.OpenSpaces(dir, memory.Options{})
	defer spaces.Close()
	in := func(space string) context.Context {
		return memory.WithPrincipal(t.Context(), memory.Principal{Space: space, Name: "x", Rights: memory.Read | memory.Write})
	}
	a, release, err := spaces.Get(t.Context(), "team-a")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	b, release, err := spaces.Get(t.Context(), "team-b")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	id := create(t, in("team-a"), a, memory.Create{Content: "apple"})
	if again, release, err := spaces.Get(t.Context(), "team-a"); err != nil || again != a {
		t.Errorf("a second Get opened it again (%v)", err)
	} else {
		release()
		release()
	}
	if _, missing, err := b.Get(in("team-b"), []string{id}, memory.GetOptions{}); err != nil || len(missing) != 1 {
		t.Errorf("crossed the space: %v", err)
	}
	_, _, err = b.Get(in("team-a"), []string{id}, memory.GetOptions{})
	wantHint(t, err, memory.ErrDenied, "another space")
	if names, err := spaces.Names(); err != nil || !slices.Equal(names, []string{"team-a", "team-b"}) {
		t.Error(names, err)
	}
	for _, name := range []string{"", "..", "../x", "A", "a/b", ".hidden", strings.Repeat("a", 65), "con:"} {
		_, _, err := spaces.Get(t.Context(), name)
		wantHint(t, err, memory.ErrInvalid, "lower-case")
	}
	if err := spaces.Close(); err != nil {
		t.Error(err)
	}
	_, _, err = spaces.Get(t.Context(), "team-a")
	wantHint(t, err, memory.ErrClosed, "")
}

// What is derived can be lost and made again.
func TestMend(t *testing.T) {
	dir := t.TempDir()
	ctx, s := reopen(t, dir, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "apple"})
	before := digest(t, ctx, s)
	s.Close()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "engram.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO words (words) VALUES ('delete-all'); DELETE FROM analysis; UPDATE space SET engrams = 17`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	ctx, s = reopen(t, dir, memory.Options{})
	problems, err := s.Check(ctx)
	if err != nil || len(problems) != 2 {
		t.Fatalf("%+v, %v", problems, err)
	}
	for _, p := range problems {
		if !strings.Contains(p.Hint, "--mend") {
			t.Errorf("%q hints %q", p.What, p.Hint)
		}
	}
	var calls int64
	if err := s.Mend(ctx, func(done, total int64) { calls += done }); err != nil || calls != 1 {
		t.Fatal(calls, err)
	}
	healthy(t, ctx, s)
	if got := search(t, ctx, s, "apple"); !slices.Equal(got, []string{id}) {
		t.Errorf("found %v", got)
	}
	if digest(t, ctx, s) != before {
		t.Error("mending changed the state")
	}
}
