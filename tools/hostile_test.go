package tools

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"engram-mcp/memory"
)

// hang is how long something may take before it counts as stuck.
const hang = 30 * time.Second

// Agents that run themselves, and each other, come to an end: their depth is
// bounded, a call within a call waits for nothing, and many at once do not
// lock each other out.
func TestHostile_AgentsThatRunThemselves(t *testing.T) {
	s := newStage(t)
	ctx := s.admin()
	s.engage(ctx, "ouro", nil)
	s.engage(ctx, "boros", args{"limits": args{"time_ms": 60_000, "depth": 8, "concurrency": 2}})
	nested := func(names ...string) args {
		params := steps("engram_create", args{"content": "from the innermost"})
		for i := range 12 {
			params = steps("engram_create", args{"content": fmt.Sprint("from level ", i)}, "agent_run", args{"agent": names[i%len(names)], "action": "fine", "params": params})
		}
		return params
	}
	kept := s.digests()
	start := time.Now()
	for _, names := range [][]string{{"ouro"}, {"boros"}, {"ouro", "boros"}} {
		_, err := s.set.Call(ctx, "agent_run", encoded(t, args{"agent": names[0], "action": "fine", "params": nested(names...)}))
		if err == nil || !strings.Contains(err.Error(), "too deeply") && !strings.Contains(err.Error(), "slots are taken") {
			t.Errorf("%v: %v", names, err)
		}
	}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			name := []string{"ouro", "boros"}[i%2]
			if _, err := s.set.Call(ctx, "agent_run", encoded(t, args{"agent": name, "action": "fine", "params": nested("ouro", "boros")})); err == nil {
				t.Error("there is no end to it")
			}
		})
	}
	all.Wait()
	if took := time.Since(start); took > hang {
		t.Errorf("it took %v", took)
	}
	if s.digests() != kept {
		t.Error("something was written")
	}
	if text, kind := s.knock(ctx, "ouro", "engram_search", args{}); kind != "" {
		t.Errorf("afterwards: %s", text)
	}
}

// What one caller leaves in an agent is not there for the next one.
func TestHostile_NothingIsLeftForTheNextCaller(t *testing.T) {
	s := newStage(t)
	code, err := os.ReadFile("../sandbox/wasm/testdata/reference.wasm")
	if err != nil {
		t.Fatal(err)
	}
	s.call(s.admin(), "agent_install", args{"code_base64": base64.StdEncoding.EncodeToString(code),
		"manifest": args{"name": "ref", "actions": []args{{"name": "mark"}, {"name": "crash"}}, "limits": args{"time_ms": 60_000, "concurrency": 1}}})
	for range 20 {
		mark := func(who context.Context, value string) any {
			return s.call(who, "agent_run", args{"agent": "ref", "action": "mark", "params": args{"value": value}})["output"]
		}
		if was := mark(s.as("ann", memory.Read), "secret of ann"); was != nil {
			t.Fatalf("ann finds %v", was)
		}
		_, _ = s.refused(s.as("ann", memory.Read), "agent_run", args{"agent": "ref", "action": "crash"})
		if was := mark(s.as("bob", memory.Read), "secret of bob"); was != nil {
			t.Fatalf("bob finds %v", was)
		}
	}
}

// A private agent has one instance, and gives each of many callers at once
// what that one asked for.
func TestHostile_ManyCallersOfOneInstance(t *testing.T) {
	s := newStage(t)
	s.engage(s.admin(), "one", args{"instances": "private"})
	everyoneGetsTheirs(t, s, 60, func(int) string { return "one" })
}

// A thousand calls at once on fifty agents are all answered rightly, and what
// each of them has written is there, once.
func TestHostile_ThousandCallsOnFiftyAgents(t *testing.T) {
	calls := 1000
	if testing.Short() {
		calls = 100
	}
	s := newStage(t)
	for i := range 50 {
		s.engage(s.admin(), fmt.Sprint("agent-", i), nil)
	}
	everyoneGetsTheirs(t, s, calls, func(i int) string { return fmt.Sprint("agent-", i%50) })
	if n := s.call(s.admin(), "memory_stats", args{})["engrams"]; n != float64(calls) {
		t.Errorf("%v engrams are stored, want %d", n, calls)
	}
}

// everyoneGetsTheirs makes calls at once, each of which stores something of its
// own, reads it, and outputs it.
func everyoneGetsTheirs(t *testing.T, s *stage, calls int, agent func(i int) string) {
	t.Helper()
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			caller, content := s.as(fmt.Sprint("caller-", i), memory.Read|memory.Write), fmt.Sprintf("of caller %d %s", i, strings.Repeat("z", i%97))
			text, kind := s.knock(caller, agent(i), "engram_create", args{"content": content})
			var made createOut
			if err := json.Unmarshal([]byte(text), &made); kind != "" || err != nil {
				t.Errorf("call %d: %s", i, text)
				return
			}
			e := at(t, s.call(caller, "engram_get", args{"ids": made.Engrams[0].ID}), "engrams", 0).(args)
			if e["content"] != content || e["author"] != fmt.Sprint("caller-", i) {
				t.Errorf("call %d: %v", i, e)
			}
		})
	}
	all.Wait()
}

// Agents that come and go leave no goroutine, file or memory behind.
func TestHostile_ComingAndGoingLeaksNothing(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	s := newStage(t)
	ctx := s.admin()
	cycle := func(n int) {
		for i := range n {
			s.engage(ctx, "brief", args{"version": "1"})
			s.knock(ctx, "brief", "engram_search", args{})
			again := args{"manifest": args{"name": "brief", "version": fmt.Sprint(i), "grants": s.grantable(), "actions": []args{{"name": "fine"}}}, "code_base64": s.code, "replace": true}
			s.call(ctx, "agent_install", again)
			s.knock(ctx, "brief", "engram_search", args{})
			s.call(ctx, "agent_remove", args{"agent": "brief"})
		}
	}
	measure := func() (goroutines, files int, resident int64) {
		runtime.GC()
		open, _ := os.ReadDir("/proc/self/fd") // empty where there is none
		var size, pages int64
		if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
			_, _ = fmt.Sscan(string(statm), &size, &pages)
		}
		return runtime.NumGoroutine(), len(open), pages * int64(os.Getpagesize())
	}
	cycle(5)
	g0, f0, r0 := measure()
	cycle(rounds)
	var g1, f1 int
	var r1 int64
	for range 50 { // what was removed is unloaded in the background
		if g1, f1, r1 = measure(); g1 <= g0 && f1 <= f0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("%d rounds: %d goroutines became %d, %d files %d, %d MiB %d", rounds, g0, g1, f0, f1, r0>>20, r1>>20)
	if g1 > g0+2 || f1 > f0+2 || r1 > r0+128<<20 {
		t.Error("something is left behind")
	}
}
