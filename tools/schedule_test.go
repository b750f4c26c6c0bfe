package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

func TestSchedule_NextRun(t *testing.T) {
	for _, tt := range []struct{ every, daily, after, want string }{
		{"15m", "", "2026-03-01T10:00:00Z", "2026-03-01T10:15:00Z"},
		{"15m", "", "2026-03-01T10:14:59.999Z", "2026-03-01T10:15:00Z"},
		{"15m", "", "2026-03-01T12:07:00+02:00", "2026-03-01T10:15:00Z"},
		{"24h", "", "2026-03-01T23:59:59Z", "2026-03-02T00:00:00Z"},
		{"1m", "", "2026-12-31T23:59:30Z", "2027-01-01T00:00:00Z"},
		{"", "03:30", "2026-03-01T03:29:59Z", "2026-03-01T03:30:00Z"},
		{"", "03:30", "2026-03-01T03:30:00Z", "2026-03-02T03:30:00Z"},
		{"", "00:00", "2028-02-28T12:00:00Z", "2028-02-29T00:00:00Z"},
		{"", "23:00", "2026-03-01T23:30:00+02:00", "2026-03-01T23:00:00Z"},
	} {
		after, err := time.Parse(time.RFC3339, tt.after)
		if err != nil {
			t.Fatal(err)
		}
		got := nextRun(sandbox.Schedule{Every: tt.every, DailyAt: tt.daily}, after).Format(time.RFC3339)
		if got != tt.want {
			t.Errorf("%s%s after %s is %s, want %s", tt.every, tt.daily, tt.after, got, tt.want)
		}
	}
}

// scheduled installs and approves an agent whose action go runs by a schedule.
func (w *world) scheduled(name string, entries ...args) {
	w.t.Helper()
	m := args{"name": name, "runtime": "wasm", "grants": []string{"engram_create", "engram_search"}, "actions": []args{{"name": "go"}}, "schedule": entries}
	w.installLocally(encoded(w.t, m), "code of "+name)
	w.approve(name, true)
}

// due is the next run of an entry.
func (w *world) due(place int) memory.Run {
	w.t.Helper()
	runs, err := w.agents.runs(w.owner())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range runs {
		if r.Place == place {
			return r
		}
	}
	w.t.Fatalf("no run of entry %d in %v", place, runs)
	return memory.Run{}
}

func (w *world) runDue(now time.Time) {
	w.t.Helper()
	if err := w.agents.RunDue(w.owner(), now); err != nil {
		w.t.Fatal(err)
	}
}

// says is an action that remembers its params.
func says(params json.RawMessage, call func(string, any) (args, error)) (any, error) {
	return call("engram_create", params)
}

func TestSchedule_RunsWhatIsDueOnce(t *testing.T) {
	w := newWorld(t)
	w.rt.acts["go"] = says
	w.scheduled("clock", args{"every": "1h", "action": "go", "params": args{"content": "tick", "allow_duplicate": true}})
	first := w.due(0).Due
	if wait := time.Until(first); wait <= 0 || wait > time.Hour || !first.Equal(first.Truncate(time.Hour)) {
		t.Errorf("it is due first at %v", first)
	}
	ticks := func() int { return len(w.call(w.admin(), "engram_search", args{"query": "tick"})["hits"].([]any)) }
	w.runDue(first.Add(-time.Millisecond))
	if ticks() != 0 {
		t.Error("it runs before it is due")
	}
	w.runDue(first)
	w.runDue(first)
	if ticks() != 1 {
		t.Errorf("it ran %d times", ticks())
	}
	if r := w.due(0); !r.Due.Equal(first.Add(time.Hour)) || !r.Last.Equal(first) || r.Failures != 0 {
		t.Errorf("%+v", r)
	}
	late := first.Add(50*time.Hour + time.Minute) // nothing served for two days
	w.runDue(late)
	w.runDue(late)
	if ticks() != 2 {
		t.Errorf("missed runs are made up for by %d", ticks()-1)
	}
	if r := w.due(0); !r.Due.Equal(first.Add(51 * time.Hour)) {
		t.Errorf("%+v", r)
	}
	hit := at(t, w.call(w.admin(), "engram_search", args{"query": "tick"}), "hits", 0).(args)
	if hit["author"] != "clock" || hit["trust"] != "agent" {
		t.Errorf("what it wrote is by %v", hit)
	}
}

func TestSchedule_AFailureIsPutOff(t *testing.T) {
	w := newWorld(t)
	fail := true
	w.rt.acts["go"] = func(params json.RawMessage, call func(string, any) (args, error)) (any, error) {
		if _, err := says(params, call); err != nil || !fail {
			return nil, err
		}
		return nil, errors.New("no")
	}
	w.scheduled("clock", args{"daily_at": "03:30", "action": "go", "params": args{"content": "tick"}})
	now, before := w.due(0).Due, w.digest()
	for i, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		w.runDue(now)
		r := w.due(0)
		if want := now.Add(wait * time.Minute); !r.Due.Equal(want) || r.Failures != i+1 {
			t.Fatalf("after failure %d: %+v, want it due at %v", i+1, r, want)
		}
		now = r.Due
	}
	if w.digest() != before {
		t.Error("a failed run has written something")
	}
	fail = false
	w.runDue(now)
	if r := w.due(0); r.Failures != 0 || r.Due.Format("15:04") != "03:30" || !r.Last.Equal(now) {
		t.Errorf("%+v", r)
	}
}

func TestSchedule_WaitsForApproval(t *testing.T) {
	w := newWorld(t)
	ran := 0
	w.rt.acts["go"] = func(json.RawMessage, func(string, any) (args, error)) (any, error) { ran++; return nil, nil }
	w.scheduled("clock", args{"every": "1h", "action": "go"})
	due := w.due(0).Due
	for name, undo := range map[string]func(){
		"revoked": func() { w.approve("clock", false) },
		"replaced": func() {
			again := manifest("clock", nil)
			again["replace"] = true
			w.call(w.admin(), "agent_install", again)
		},
		"removed": func() { w.call(w.admin(), "agent_remove", args{"agent": "clock"}) },
	} {
		w.scheduled("clock", args{"every": "1h", "action": "go"})
		undo()
		w.runDue(due.Add(time.Hour))
		if runs, err := w.agents.runs(w.owner()); ran != 0 || err != nil || len(runs) != 0 {
			t.Errorf("%s: it ran %d times, due are %v, %v", name, ran, runs, err)
		}
	}
}

// Of any number of processes that look at once, one makes each run.
func TestSchedule_EachRunIsMadeByOneProcess(t *testing.T) {
	first := newWorld(t)
	var ran atomic.Int64
	first.rt.acts["go"] = func(params json.RawMessage, call func(string, any) (args, error)) (any, error) {
		ran.Add(1)
		return says(params, call)
	}
	var entries []args
	for i := range 12 {
		entries = append(entries, args{"every": "1h", "action": "go", "params": args{"content": fmt.Sprint("entry ", i), "allow_duplicate": true}})
	}
	first.scheduled("clock", entries...)
	worlds := []*world{first, newProcess(t, first.dir), newProcess(t, first.dir)}
	now := first.due(0).Due
	const rounds = 3
	for range rounds {
		var wg sync.WaitGroup
		for _, w := range worlds {
			w.rt.acts = first.rt.acts
			wg.Go(func() {
				if err := w.agents.RunDue(w.owner(), now); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		now = now.Add(time.Hour)
	}
	if n := first.call(first.admin(), "memory_stats", args{})["engrams"]; n != float64(rounds*len(entries)) || ran.Load() != int64(rounds*len(entries)) {
		t.Errorf("%d runs made %v engrams, want %d", ran.Load(), n, rounds*len(entries))
	}
}

// A process that stops takes back what is under way, and leaves it to others.
// One that dies leaves a claim, which ends.
func TestSchedule_WhatIsCutShortIsDueAgain(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(w.owner())
	w.rt.acts["go"] = func(params json.RawMessage, call func(string, any) (args, error)) (any, error) {
		out, err := says(params, call)
		stop()
		return out, err
	}
	w.scheduled("clock", args{"every": "1h", "action": "go", "params": args{"content": "tick"}})
	due, before := w.due(0), w.digest()
	if err := w.agents.RunDue(ctx, due.Due); err != nil {
		t.Error(err)
	}
	if r := w.due(0); !r.Due.Equal(due.Due) || r.Failures != 0 || w.digest() != before {
		t.Errorf("%+v", r)
	}
	store, release, err := w.open(w.owner())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if mine, err := store.ClaimRun(w.owner(), due, due.Due, due.Due.Add(time.Minute)); err != nil || !mine {
		t.Fatal(mine, err)
	}
	w.rt.acts["go"] = says
	w.runDue(due.Due.Add(time.Minute - time.Millisecond))
	if w.digest() != before {
		t.Error("it runs while another process has claimed it")
	}
	w.runDue(due.Due.Add(time.Minute))
	if r := w.due(0); !r.Due.Equal(due.Due.Add(time.Hour)) {
		t.Errorf("%+v", r)
	}
}

// A process looks into closed spaces without opening them, and finds what is
// due there.
func TestSchedule_IsFoundInClosedSpaces(t *testing.T) {
	w := newWorld(t)
	w.rt.acts["go"] = says
	w.scheduled("clock", args{"every": "1h", "action": "go", "params": args{"content": "tick"}})
	other := newProcess(t, w.dir)
	if due, err := other.spaces.Due(t.Context(), "default"); err != nil || !due.Equal(w.due(0).Due) {
		t.Errorf("%v, %v", due, err)
	}
	if due, err := other.spaces.Due(t.Context(), "nowhere"); err != nil || !due.IsZero() {
		t.Errorf("%v, %v", due, err)
	}
	if due := other.agents.due(t.Context(), other.spaces); len(due) != 0 {
		t.Errorf("%v are due", due)
	}
}
