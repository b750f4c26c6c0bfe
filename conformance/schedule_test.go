package conformance

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to set the clock of a schedule back

	"engram-mcp/conformance/binary"
)

// Three servers of one space start together and find many runs due: each run
// is made once, whoever makes it.
func TestDueRunsAreMadeOnceByThreeProcesses(t *testing.T) {
	const entries, servers = 40, 3
	data, agent := t.TempDir(), t.TempDir()
	code, err := os.ReadFile("../examples/agents/wat/save/save.wasm")
	if err != nil {
		t.Fatal(err)
	}
	var schedule []map[string]any
	for i := range entries {
		schedule = append(schedule, map[string]any{"every": "24h", "action": "note", "params": map[string]any{"content": fmt.Sprint("run of entry ", i), "allow_duplicate": true}})
	}
	manifest, err := json.Marshal(map[string]any{"name": "clock", "runtime": "wasm", "entry": "save.wasm", "grants": []string{"engram_create"},
		"actions": []any{map[string]any{"name": "note"}}, "schedule": schedule})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"agent.json": manifest, "save.wasm": code} {
		if err := os.WriteFile(filepath.Join(agent, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := binary.Command(t, data, "agent", "install", agent, "--approve").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	setDue(t, data, time.Now().Add(-100*time.Hour))

	running := make([]*binary.Stdio, servers)
	for i := range running {
		running[i] = binary.Start(t, data)
	}
	for _, s := range running {
		s.Begin(t) // the runs begin with the first answer
	}
	count := func() (n int) {
		var stats struct{ Engrams int }
		out, err := binary.Command(t, data, "stats", "--json").Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &stats); err != nil {
			t.Fatal(err)
		}
		return stats.Engrams
	}
	for end := time.Now().Add(time.Minute); count() < entries && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	for _, s := range running {
		s.Close(t)
	}
	out, err := binary.Command(t, data, "search", "run of entry", "--limit", "200", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var found struct {
		Hits []struct{ Content, Author string }
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, h := range found.Hits {
		times[h.Content]++
		if h.Author != "clock" {
			t.Errorf("%q is by %q", h.Content, h.Author)
		}
	}
	for i := range entries {
		if n := times[fmt.Sprint("run of entry ", i)]; n != 1 {
			t.Errorf("entry %d ran %d times", i, n)
		}
	}
}

// setDue makes every run due at a time.
func setDue(t *testing.T, data string, due time.Time) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "spaces", "default", "engram.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), `UPDATE schedule SET due = ?`, due.UnixMilli()); err != nil {
		t.Fatal(err)
	}
}
