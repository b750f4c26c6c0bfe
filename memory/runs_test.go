package memory_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"engram-mcp/memory"
)

func installAgent(t *testing.T, ctx context.Context, s *memory.Store, name string) {
	t.Helper()
	if err := s.SetAgent(ctx, memory.AgentRow{Name: name, Manifest: []byte(`{}`), SHA256: "00"}); err != nil {
		t.Fatal(err)
	}
}

func totals(t *testing.T, ctx context.Context, s *memory.Store) map[string]memory.AgentTotal {
	t.Helper()
	got, err := s.AgentTotals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func lines(t *testing.T, ctx context.Context, s *memory.Store, agent string) (texts []string) {
	t.Helper()
	got, err := s.AgentLines(ctx, agent, memory.MaxAgentLines)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range got {
		texts = append(texts, l.Level+": "+l.Text)
	}
	return texts
}

func aRun(agent string, text ...string) memory.AgentRun {
	r := memory.AgentRun{Agent: agent, Action: "go", End: time.Now().Add(time.Millisecond), Time: time.Microsecond, Fuel: 7, HostCalls: 2, HostBytes: 30, PeakMemory: 100}
	for _, s := range text {
		r.Lines = append(r.Lines, memory.AgentLine{Level: "info", Text: s})
	}
	return r
}

// What agents have used and said outlives the process, adds up over several,
// and is no part of the state that stores share.
func TestAgentRunsSurvive(t *testing.T) {
	dir := t.TempDir()
	ctx, s := reopen(t, dir, memory.Options{})
	installAgent(t, ctx, s, "tidy")
	before := digest(t, ctx, s)
	failed := aRun("tidy", "a line")
	failed.Err, failed.Crashed, failed.PeakMemory = "it broke", true, 500
	s.NoteRun(aRun("tidy", "first"))
	s.NoteRun(failed)
	s.NoteRun(aRun("unknown", "of nobody"))
	s.Close()

	ctx, s = reopen(t, dir, memory.Options{})
	_, other := reopen(t, dir, memory.Options{})
	s.NoteRun(aRun("tidy"))
	other.NoteRun(aRun("tidy", "from elsewhere"))
	totals(t, ctx, other) // has it written
	got := totals(t, ctx, s)
	if a := got["tidy"]; a.Calls != 4 || a.Errors != 1 || a.Crashes != 1 || a.Fuel != 28 || a.HostCalls != 8 || a.HostBytes != 120 || a.PeakMemory != 500 ||
		a.Time != 4*time.Microsecond || a.LastTime != time.Microsecond || time.Since(a.LastRun) > time.Minute || a.LastError != "it broke" {
		t.Errorf("%+v", a)
	}
	if len(got) != 1 {
		t.Errorf("totals of agents that are not installed: %v", got)
	}
	if got, want := fmt.Sprint(lines(t, ctx, s, "tidy")), "[info: first info: a line failed: it broke info: from elsewhere]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if digest(t, ctx, s) != before {
		t.Error("they are part of the digest")
	}
}

func TestAgentLinesAreBounded(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	installAgent(t, ctx, s, "chatty")
	installAgent(t, ctx, s, "calm")
	s.NoteRun(aRun("calm", "once"))
	for i := range 3 {
		r := aRun("chatty")
		for n := range 150 {
			r.Lines = append(r.Lines, memory.AgentLine{Level: "info", Text: fmt.Sprint(i, "-", n)})
		}
		s.NoteRun(r)
		lines(t, ctx, s, "chatty") // has it written
	}
	s.NoteRun(aRun("chatty", strings.Repeat("é", 5000)))
	got := lines(t, ctx, s, "chatty")
	if len(got) != memory.MaxAgentLines || got[0] != "info: 1-101" || got[198] != "info: 2-149" {
		t.Errorf("%d lines, from %q to %q", len(got), got[0], got[len(got)-2])
	}
	if last := got[199]; len(last) > 1100 || !strings.HasSuffix(last, "é…") {
		t.Errorf("the long line has %d bytes", len(last))
	}
	if got := lines(t, ctx, s, "calm"); len(got) != 1 {
		t.Errorf("one agent's lines push out those of another: %q", got)
	}
}

// Totals are for who may read the space; what agents say is for its
// administrators, since it can be anything that the agent has read.
func TestAgentRunsRights(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	installAgent(t, ctx, s, "tidy")
	r := aRun("tidy", "secret line")
	r.Err = "secret error"
	s.NoteRun(r)
	as := func(rights memory.Rights) context.Context {
		return memory.WithPrincipal(t.Context(), memory.Principal{Space: "default", Name: "bob", Rights: rights})
	}
	if a := totals(t, as(memory.Read|memory.Write), s)["tidy"]; a.Errors != 1 || a.LastError != "" {
		t.Errorf("%+v", a)
	}
	if a := totals(t, as(memory.Read|memory.Admin), s)["tidy"]; a.LastError != "secret error" {
		t.Errorf("%+v", a)
	}
	if _, err := s.AgentTotals(as(memory.Write)); err == nil {
		t.Error("who may not read sees totals")
	}
	_, err := s.AgentLines(as(memory.Read|memory.Write), "tidy", 10)
	wantHint(t, err, memory.ErrDenied, "with that right")
}

func TestRemovedAgentLeavesNoRuns(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	installAgent(t, ctx, s, "tidy")
	s.NoteRun(aRun("tidy", "written"))
	totals(t, ctx, s)
	s.NoteRun(aRun("tidy", "not written yet"))
	if err := s.RemoveAgent(ctx, "tidy"); err != nil {
		t.Fatal(err)
	}
	installAgent(t, ctx, s, "tidy")
	if got := totals(t, ctx, s); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := lines(t, ctx, s, "tidy"); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// A purge takes with it what agents may have said of what is purged, in
// whatever process they said it, and leaves the figures.
func TestPurgeErasesWhatAgentsSaid(t *testing.T) {
	dir := t.TempDir()
	ctx, s := reopen(t, dir, memory.Options{})
	_, other := reopen(t, dir, memory.Options{})
	id := create(t, ctx, s, memory.Create{Content: "zanzibarite"})
	installAgent(t, ctx, s, "tidy")
	said := aRun("tidy", "it says zanzibarite")
	said.Err, said.End = "zanzibarite again", time.Now()
	s.NoteRun(said)
	totals(t, ctx, s)
	s.NoteRun(said)
	other.NoteRun(said) // written after the purge
	do(t, ctx, s, memory.Purge{ID: id})
	totals(t, ctx, other)
	if a := totals(t, ctx, s)["tidy"]; a.Calls != 3 || a.Errors != 3 || a.LastError != "" {
		t.Errorf("%+v", a)
	}
	if got := lines(t, ctx, s, "tidy"); len(got) != 0 {
		t.Errorf("%q", got)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		if data, err := os.ReadFile(f); err != nil || bytes.Contains(data, []byte("zanzibarite")) {
			t.Errorf("%s still holds it (%v)", filepath.Base(f), err)
		}
	}
	s.NoteRun(aRun("tidy", "what is said afterwards"))
	if got := lines(t, ctx, s, "tidy"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// A file of the first schema is brought up to date when it is opened, and a
// backup of that time can still be restored.
func TestFilesOfTheFirstSchema(t *testing.T) {
	old := filepath.Join(t.TempDir(), "old.db")
	schema, err := os.ReadFile("migration/0001_memory.sql")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+old)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(string(schema) + `; INSERT INTO space (one, origin) VALUES (1, 'x'); PRAGMA application_id = 0x456e6772; PRAGMA user_version = 1`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := memory.RestoreFile(t.Context(), old, dir, false); err != nil {
		t.Fatal(err)
	}
	ctx, s := reopen(t, dir, memory.Options{})
	create(t, ctx, s, memory.Create{Content: "goes on"})
	installAgent(t, ctx, s, "tidy")
	s.NoteRun(aRun("tidy"))
	if got := totals(t, ctx, s); got["tidy"].Calls != 1 {
		t.Errorf("%v", got)
	}
	healthy(t, ctx, s)
}
