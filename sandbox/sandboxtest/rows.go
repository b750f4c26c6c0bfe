package sandboxtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"engram-mcp/sandbox"
)

// A row is one behaviour.
type row struct {
	name  string
	needs []string // actions
	check func(b *bench)
}

var rows = []row{
	{"offers what its manifest says", nil, capabilities},
	{"passes JSON through unchanged", []string{"echo"}, echo},
	{"remembers", []string{"remember", "ask"}, remember},
	{"calls operations and gets their errors", []string{"ask"}, operations},
	{"refuses an unknown action", []string{"echo"}, unknownAction},
	{"keeps the message of a failure", []string{"fail", "echo"}, failure},
	{"keeps globals, but not those of a failed call", []string{"count", "count-fail", "peek"}, globals},
	{"keeps agents apart", []string{"count", "peek", "mark"}, apart},
	{"refuses what was not granted", []string{"ask", "remember"}, notGranted},
	{"refuses another collection", []string{"ask"}, otherCollection},
	{"stops an endless loop", []string{"spin", "echo"}, func(b *bench) { endless(b, "spin") }},
	{"stops a loop that catches errors", []string{"spin-try", "echo"}, func(b *bench) { endless(b, "spin-try") }},
	{"bounds memory", []string{"bomb", "echo"}, memory},
	{"bounds output, logs and host calls", []string{"shout", "log", "flood", "echo"}, bounds},
	{"survives a crash", []string{"crash", "echo"}, crash},
	{"obeys a caller who cancels", []string{"spin", "echo"}, cancelled},
	{"runs calls in parallel without mixing them", []string{"echo", "count", "peek"}, parallel},
	{"counts calls, errors and crashes", []string{"echo", "fail", "crash"}, stats},
	{"reaches no file, network or environment", []string{"reach"}, reach},
	{"survives a malformed message", []string{"corrupt", "echo"}, corrupt},
	{"leaks nothing", []string{"echo"}, leaks},
}

func capabilities(b *bench) {
	l, err := b.manager.Agent("ref")
	if err != nil {
		b.Fatal(err)
	}
	want := b.manifest("ref")
	if len(l.Manifest.Actions) != len(want.Actions) {
		b.Fatalf("it offers %d actions, want %d", len(l.Manifest.Actions), len(want.Actions))
	}
	for i, a := range l.Manifest.Actions {
		if a.Name != want.Actions[i].Name {
			b.Errorf("action %d is %s, want %s", i, a.Name, want.Actions[i].Name)
		}
	}
	c, err := b.manager.Context(b.Context(), "ref")
	if err != nil || c.ID != "ref" || len(c.Capabilities) != len(want.Grants) {
		b.Errorf("context %+v, %v", c, err)
	}
	odd := b.manifest("odd", func(m *sandbox.Manifest) { m.SHA256 = strings.Repeat("0", 64) })
	if _, err := b.manager.Load(b.Context(), odd, b.subject.Code); !errors.Is(err, sandbox.ErrBadAgent) {
		b.Errorf("other code than the manifest pins: %v", err)
	}
}

func echo(b *bench) {
	b.load("big", limits(func(l *sandbox.Limits) { l.OutputKiB = 2048 }))
	deep := strings.Repeat(`[`, 500) + `{"x":null}` + strings.Repeat(`]`, 500)
	for _, v := range []string{
		`{}`, `[]`, `null`, `true`, `-0.5e-3`, `""`, `"\u0000"`, `{"a":{"b":[1,2,{"c":"d"}]}}`,
		`"zażółć 日本語 👩‍👩‍👧 \\ \" \n \u0007"`, `9007199254740993`, deep,
		`"` + strings.Repeat("x", 1<<20) + `"`,
	} {
		b.gives("big", "echo", v, v)
	}
}

func remember(b *bench) {
	res, err := b.run("ref", "remember", `{"content":"tea is \"hot\""}`)
	if err != nil {
		b.Fatalf("%v (%s)", err, sandbox.HintOf(err))
	}
	var got struct{ Engrams []engram }
	if err := json.Unmarshal(res.Output, &got); err != nil || len(got.Engrams) != 1 {
		b.Fatalf("output %s, %v", res.Output, err)
	}
	if e := got.Engrams[0]; e.Content != `tea is "hot"` || e.Source != "reference" || e.Author != "ref" || e.Confidence != 0.9 {
		b.Errorf("engram %+v", e)
	}
	if n, links := b.memory.sizes(); n != 2 || links != 1 {
		b.Errorf("%d engrams and %d links are stored, want 2 and 1", n, links)
	}
	if res.Usage.HostCalls != 4 {
		b.Errorf("%d host calls are counted, want 4", res.Usage.HostCalls)
	}
	res, err = b.run("ref", "ask", `{"op":"engram_search","in":{"query":"tea"}}`)
	if err != nil || !strings.Contains(string(res.Output), got.Engrams[0].ID) {
		b.Errorf("a later call finds %s, %v", res.Output, err)
	}
}

func operations(b *bench) {
	b.gives("ref", "ask", `{"op":"engram_create","in":{"content":"a","source":"s","confidence":0.25}}`,
		`{"engrams":[{"id":"e1","content":"a","source":"s","author":"ref","confidence":0.25}]}`)
	b.gives("ref", "ask", `{"op":"engram_get","in":{"ids":["e1","e9"]}}`,
		`{"engrams":[{"id":"e1","content":"a","source":"s","author":"ref","confidence":0.25}],"missing":["e9"]}`)
	err := b.fails("ref", "ask", `{"op":"engram_create","in":{"content":"a","confidence":1.5}}`, sandbox.ErrFailed)
	if err != nil && !strings.Contains(err.Error(), "confidence 1.5") {
		b.Errorf("the agent lost the reason: %v", err)
	}
	if n, _ := b.memory.sizes(); n != 1 {
		b.Errorf("%d engrams are stored, want 1", n)
	}
}

func unknownAction(b *bench) {
	for _, a := range []string{"", "nothing", "echo2", "initialize", "_start", "memory", "../echo"} {
		b.fails("ref", a, `{}`, sandbox.ErrUnknownAction)
	}
	b.works("ref")
}

func failure(b *bench) {
	err := b.fails("ref", "fail", `{"message":"the tea is cold"}`, sandbox.ErrFailed)
	if err != nil && !strings.Contains(err.Error(), "the tea is cold") {
		b.Errorf("the message is lost: %v", err)
	}
	b.works("ref")
}

func globals(b *bench) {
	b.gives("ref", "peek", `{}`, `{}`)
	for i := range 3 {
		b.gives("ref", "count", `{}`, fmt.Sprintf(`{"n":%d}`, i+1))
	}
	b.fails("ref", "count-fail", `{}`, sandbox.ErrFailed)
	b.gives("ref", "peek", `{}`, `{"n":3}`)
	b.load("ref") // the same name again: a new generation
	b.gives("ref", "count", `{}`, `{"n":4}`)
}

func apart(b *bench) {
	b.load("other")
	b.gives("ref", "count", `{}`, `{"n":1}`)
	b.gives("other", "peek", `{}`, `{}`)
	b.gives("ref", "mark", `{"value":"secret"}`, `null`)
	b.gives("other", "mark", `{"value":1}`, `null`)
	want := `null`
	if b.private() {
		want = `"secret"`
	}
	b.gives("ref", "mark", `{"value":2}`, want)
}

func notGranted(b *bench) {
	b.load("poor", func(m *sandbox.Manifest) { m.Grants = []string{"engram_get"} })
	b.gives("poor", "ask", `{"op":"engram_get","in":{"ids":[]}}`, `{"engrams":[],"missing":[]}`)
	calls := b.memory.calls
	for _, op := range []string{"engram_create", "engram_forget", "agent_run", "__yield", "ENGRAM_GET", ""} {
		b.fails("poor", "ask", fmt.Sprintf(`{"op":%q,"in":{"content":"x"}}`, op), sandbox.ErrDenied)
	}
	b.fails("poor", "remember", `{"content":"x"}`, sandbox.ErrDenied)
	if n, _ := b.memory.sizes(); n != 0 || b.memory.calls != calls {
		b.Errorf("%d engrams are stored after %d calls that reached the memory", n, b.memory.calls-calls)
	}
}

func otherCollection(b *bench) {
	b.fails("ref", "ask", `{"op":"engram_create","in":{"content":"x","collections":["secrets"]}}`, sandbox.ErrDenied)
	if n, _ := b.memory.sizes(); n != 0 {
		b.Errorf("%d engrams are stored", n)
	}
	_, err := b.run("ref", "ask", `{"op":"engram_create","in":{"content":"x","collections":["notes"]}}`)
	if err != nil {
		b.Error(err)
	}
}

// hang is how long a call may go on after it should have ended before it
// counts as stuck. A machine at work on other things is slow.
const hang = 10 * time.Second

func endless(b *bench, action string) {
	if !b.runtime.Features().HardKill {
		b.Skip("this runtime cannot stop an agent, and says so in its Features")
	}
	l := b.load("ref", b.soon(), limits(func(l *sandbox.Limits) { l.Fuel = sandbox.MaxLimits.Fuel }))
	start := time.Now()
	b.fails("ref", action, `{}`, sandbox.ErrTimeout)
	late := time.Since(start) - l.Manifest.Limits.Time()
	b.Logf("stopped %v after its deadline", late.Round(time.Microsecond))
	if late > hang {
		b.Errorf("it was stopped %v late", late)
	}
	b.eventually("ref")
	if b.runtime.Features().Fuel {
		b.load("ref", limits(func(l *sandbox.Limits) { l.Fuel, l.TimeMS = 5_000_000, 120_000 }))
		b.fails("ref", action, `{}`, sandbox.ErrFuel)
		b.eventually("ref")
	}
}

func memory(b *bench) {
	if !b.runtime.Features().MemoryLimit {
		b.Skip("this runtime cannot bound memory, and says so in its Features")
	}
	const limit = 64
	b.load("ref", limits(func(l *sandbox.Limits) { l.MemoryMiB = limit }))
	b.works("ref")
	debug.FreeOSMemory()
	before := resident()
	kinds := []error{sandbox.ErrMemory}
	if !b.runtime.Features().Fuel { // a process that is killed tells no reason
		kinds = append(kinds, sandbox.ErrCrashed)
	}
	b.fails("ref", "bomb", `{}`, kinds...)
	if grown := resident() - before; before > 0 && grown > 2*limit<<20 {
		b.Errorf("the host grew by %d MiB for an agent of %d MiB", grown>>20, limit)
	}
	b.eventually("ref")
}

// resident returns the resident memory of this process, or 0 where that
// cannot be told.
func resident() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func bounds(b *bench) {
	b.load("ref", limits(func(l *sandbox.Limits) { l.OutputKiB, l.LogKiB, l.HostCalls = 4, 1, 20 }))
	b.gives("ref", "shout", `{"bytes":4096}`, `"`+strings.Repeat("a", 4094)+`"`)
	b.fails("ref", "shout", `{"bytes":4097}`, sandbox.ErrOutput)
	b.eventually("ref")
	b.fails("ref", "shout", `{"bytes":1000000}`, sandbox.ErrOutput, sandbox.ErrMemory)
	b.eventually("ref")

	res, err := b.run("ref", "log", `{"text":"first"}`)
	if err != nil || len(res.Logs) != 1 || res.Logs[0].Text != "first" || res.Logs[0].Level.String() != "WARN" {
		b.Errorf("logs %v, %v", res.Logs, err)
	}
	res, err = b.run("ref", "log", `{"text":"`+strings.Repeat("x", 100_000)+`"}`)
	total := 0
	for _, l := range res.Logs {
		total += len(l.Text)
	}
	if err != nil || total > 2048 {
		b.Errorf("%d bytes of logs are kept, %v", total, err)
	}

	calls := b.memory.calls
	start := time.Now()
	b.fails("ref", "flood", `{}`, sandbox.ErrFuel)
	if took := time.Since(start); took > hang {
		b.Errorf("a flood of host calls went on for %v", took)
	}
	if n := b.memory.calls - calls; n != 20 {
		b.Errorf("%d calls reached the memory, want 20", n)
	}
	b.eventually("ref")
}

func crash(b *bench) {
	if !b.runtime.Features().CrashIsolated {
		b.Skip("a crash of an agent takes this runtime with it, and its Features say so")
	}
	b.load("other")
	for range 3 {
		b.fails("ref", "crash", `{}`, sandbox.ErrCrashed)
		b.works("other")
		b.eventually("ref")
	}
}

func cancelled(b *bench) {
	if !b.runtime.Features().HardKill {
		b.Skip("this runtime cannot stop an agent, and says so in its Features")
	}
	b.works("ref")
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { _, err := b.runIn(ctx, "ref", "spin", `{}`); ended <- err }()
	time.Sleep(20 * time.Millisecond)
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) || sandbox.HintOf(err) == "" {
			b.Errorf("error %v", err)
		}
	case <-time.After(hang):
		b.Fatal("it did not stop")
	}
	b.eventually("ref")
	if _, err := b.runIn(ctx, "ref", "echo", `{}`); !errors.Is(err, context.Canceled) {
		b.Errorf("a caller who is gone already: %v", err)
	}
}

func parallel(b *bench) {
	const agents, calls = 10, 10
	for i := range agents {
		b.load(fmt.Sprintf("a%d", i))
	}
	var wg sync.WaitGroup
	for i := range agents * calls {
		name := fmt.Sprintf("a%d", i%agents)
		wg.Go(func() {
			v := fmt.Sprintf(`{"call":%d}`, i)
			res, err := b.run(name, "echo", v)
			if err != nil || string(res.Output) != v {
				b.Errorf("%s: %s, %v", name, res.Output, err)
			}
			// A globals conflict is retried once; after that the caller is told.
			for err = sandbox.ErrConflict; errors.Is(err, sandbox.ErrConflict); {
				_, err = b.run(name, "count", `{}`)
			}
			if err != nil {
				b.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	for i := range agents {
		b.gives(fmt.Sprintf("a%d", i), "peek", `{}`, fmt.Sprintf(`{"n":%d}`, calls))
	}
}

func stats(b *bench) {
	for range 3 {
		b.works("ref")
	}
	b.fails("ref", "fail", `{"message":"no"}`, sandbox.ErrFailed)
	b.fails("ref", "no-such", `{}`, sandbox.ErrUnknownAction) // never reaches the agent
	want := sandbox.Stats{Calls: 4, Errors: 1}
	if b.runtime.Features().CrashIsolated {
		b.fails("ref", "crash", `{}`, sandbox.ErrCrashed)
		b.eventually("ref")
		want = sandbox.Stats{Calls: 6, Errors: 2, Crashes: 1}
		if b.private() {
			want.Restarts = 1
		}
	}
	l, err := b.manager.Agent("ref")
	if err != nil {
		b.Fatal(err)
	}
	got := sandbox.Stats{Calls: l.Stats.Calls, Errors: l.Stats.Errors, Crashes: l.Stats.Crashes, Restarts: l.Stats.Restarts}
	if got != want || l.Stats.Time <= 0 || l.Stats.LastError == "" {
		b.Errorf("stats %+v, want %+v and a time and last error", l.Stats, want)
	}
	if b.runtime.Features().Fuel {
		first, err1 := b.run("ref", "echo", `{"same":"work"}`)
		again, err2 := b.run("ref", "echo", `{"same":"work"}`)
		if err1 != nil || err2 != nil || first.Usage.Fuel == 0 || first.Usage.Fuel != again.Usage.Fuel {
			b.Errorf("fuel for the same work: %d and %d (%v, %v)", first.Usage.Fuel, again.Usage.Fuel, err1, err2)
		}
	}
}

func reach(b *bench) {
	if !b.runtime.Features().Sandboxed {
		b.Skip("agents of this runtime are not confined, and its Features say so")
	}
	b.Setenv("SANDBOXTEST_SECRET", "visible")
	b.gives("ref", "reach", `{}`, `{"reached":[]}`)
}

func corrupt(b *bench) {
	b.fails("ref", "corrupt", `{}`, sandbox.ErrCrashed)
	b.eventually("ref")
}

func leaks(b *bench) {
	loads := b.subject.Loads
	if loads == 0 {
		loads = 1000
	}
	if testing.Short() {
		loads = min(loads, 50)
	}
	cycle := func(n int) {
		for range n {
			b.load("brief")
			b.works("brief")
			b.load("brief") // replaced while loaded
			if err := b.manager.Unload(b.Context(), "brief"); err != nil {
				b.Fatal(err)
			}
		}
	}
	cycle(min(5, loads))
	before := measure()
	cycle(loads / 2)
	var after usage
	for range 50 { // timers and finalizers take a moment
		if after = measure(); after.goroutines <= before.goroutines && after.files <= before.files {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.Logf("%d loads: %+v before, %+v after", loads, before, after)
	if after.goroutines > before.goroutines+2 || after.files > before.files+2 || after.heap > before.heap+16<<20 || after.resident > before.resident+128<<20 {
		b.Errorf("%d loads leaked: %+v before, %+v after", loads, before, after)
	}
}

type usage struct {
	goroutines, files int
	heap              uint64
	resident          int64 // heap included; runtimes keep instances outside of it
}

func measure() usage {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd") // empty where there is none
	return usage{runtime.NumGoroutine(), len(files), m.HeapAlloc, resident()}
}
