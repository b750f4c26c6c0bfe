package memory_test

import (
	"encoding/json"
	"testing"
	"time"

	"engram-mcp/memory"
)

func TestAnApprovalIsOfWhatWasShown(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	due := []time.Time{time.UnixMilli(1000), time.UnixMilli(500)}
	install := func(manifest string) memory.AgentRow {
		t.Helper()
		if err := s.SetAgent(ctx, memory.AgentRow{Name: "a", Manifest: json.RawMessage(manifest), SHA256: "1"}); err != nil {
			t.Fatal(err)
		}
		rows, err := s.Agents(ctx)
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		return rows[0]
	}
	approved := func(want bool, runs int) {
		t.Helper()
		rows, err := s.Agents(ctx)
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Schedule(ctx)
		if err != nil || rows[0].Approved != want || len(list) != runs {
			t.Errorf("approved %v, %d runs, %v; want %v, %d", rows[0].Approved, len(list), err, want, runs)
		}
	}
	row := install(`{"v":1}`)
	approved(false, 0)
	row.Approved = true
	if err := s.ApproveAgent(ctx, row, due); err != nil {
		t.Fatal(err)
	}
	approved(true, 2)
	install(`{"v":1}`)
	approved(true, 2)
	install(`{"v":2}`)
	approved(false, 0)
	wantHint(t, s.ApproveAgent(ctx, row, due), memory.ErrConflict, "look at it again")
	wantHint(t, s.ApproveAgent(as(t, "bob", memory.Read|memory.Write), row, due), memory.ErrDenied, "")
	row = install(`{"v":1}`)
	row.Approved = true
	if err := s.ApproveAgent(ctx, row, due); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveAgent(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Schedule(ctx); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestARunIsClaimedOnceAndEndsOnce(t *testing.T) {
	ctx, s := open(t, memory.Options{})
	row := memory.AgentRow{Name: "a", Manifest: json.RawMessage(`{}`), SHA256: "1", Approved: true}
	if err := s.SetAgent(ctx, row); err != nil {
		t.Fatal(err)
	}
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	if err := s.ApproveAgent(ctx, row, []time.Time{at(1000)}); err != nil {
		t.Fatal(err)
	}
	run := func() memory.Run {
		t.Helper()
		list, err := s.Schedule(ctx)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		return list[0]
	}
	claim := func(r memory.Run, now int64, want bool) {
		t.Helper()
		if mine, err := s.ClaimRun(ctx, r, at(now), at(now+100)); err != nil || mine != want {
			t.Errorf("at %d: %v, %v", now, mine, err)
		}
	}
	first := run()
	claim(first, 1000, true)
	claim(first, 1099, false)
	claim(first, 1100, true)
	if err := s.PutOffRun(ctx, first, at(2000), 1); err != nil {
		t.Fatal(err)
	}
	claim(first, 5000, false)
	second := run()
	if second.Failures != 1 || !second.Due.Equal(at(2000)) {
		t.Errorf("%+v", second)
	}
	do(t, ctx, s, memory.EndRun{Run: second, Next: at(3000), At: at(2001)})
	if r := run(); r.Failures != 0 || !r.Due.Equal(at(3000)) || !r.Last.Equal(at(2001)) {
		t.Errorf("%+v", r)
	}
	_, err := s.Do(ctx, memory.Mutation{Changes: []memory.Change{memory.EndRun{Run: second, Next: at(4000)}}})
	wantHint(t, err, memory.ErrConflict, "another process")
}
