package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
	"engram-mcp/sandbox/wasm"
)

// inWasm is a set over a new store with approved agents of real WebAssembly.
func inWasm(tb testing.TB, file string, agents ...sandbox.Manifest) (*Set, context.Context) {
	tb.Helper()
	dir := tb.TempDir()
	spaces := memory.OpenSpaces(dir, memory.Options{Durability: memory.Normal})
	open := func(ctx context.Context) (*memory.Store, func(), error) { return spaces.Get(ctx, "default") }
	rt, err := wasm.New(wasm.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	a := NewAgents(open, AgentOptions{Dir: filepath.Join(dir, "modules"), Runtimes: []sandbox.Runtime{rt}, Log: slog.New(slog.DiscardHandler)})
	set := NewSet(append(Memory(open), a.Tools()...)...)
	a.Join(set)
	tb.Cleanup(func() {
		_ = a.Close(context.Background())
		_ = rt.Close(context.Background())
		_ = spaces.Close()
	})
	ctx := memory.WithPrincipal(tb.Context(), memory.Principal{Space: "default", Name: "ada", Rights: allRights})
	code, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	for _, m := range agents {
		m.Runtime = "wasm"
		if _, err := a.Install(ctx, m, code, false); err != nil {
			tb.Fatal(err)
		}
		w, err := a.Wiring(ctx, m.Name)
		if err == nil {
			err = a.Approve(ctx, w, true)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return set, ctx
}

// guarded is a set with the example agent guard wired to the moments on.
func guarded(b *testing.B, on ...string) (*Set, context.Context) {
	b.Helper()
	var agents []sandbox.Manifest
	for i, moment := range on {
		agents = append(agents, sandbox.Manifest{Name: fmt.Sprintf("guard-%d", i), Config: json.RawMessage(`{"word": "zanzibar"}`),
			Actions: []sandbox.Action{{Name: "check"}}, Hooks: []sandbox.Hook{{On: moment, Action: "check", TimeMS: 5000}}})
	}
	return inWasm(b, "../examples/agents/wat/guard/guard.wasm", agents...)
}

func mustCall(b *testing.B, set *Set, ctx context.Context, tool, in string) {
	b.Helper()
	if _, err := set.Call(ctx, tool, json.RawMessage(in)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHooks_Search measures what hooks add to a search: the way past them
// where none is wired, and one warm hook before or after it.
func BenchmarkHooks_Search(b *testing.B) {
	const query = `{"query": "tea in the morning", "limit": 10}`
	fill := func(b *testing.B, set *Set, ctx context.Context) {
		for i := range 100 {
			mustCall(b, set, ctx, "engram_create", fmt.Sprintf(`{"content": "Note %d: tea is taken in the morning, coffee in the afternoon"}`, i))
		}
	}
	for _, moment := range []string{"", "before:engram_search", "after:engram_search"} {
		b.Run("hook="+moment, func(b *testing.B) {
			var on []string
			if moment != "" {
				on = []string{moment}
			}
			set, ctx := guarded(b, on...)
			fill(b, set, ctx)
			tool, _ := set.Find(ctx, "engram_search")
			var bare, through time.Duration
			for range b.N + 50 { // turn by turn, so that both meet the same weather
				start := time.Now()
				if _, err := tool.run(ctx, json.RawMessage(query)); err != nil {
					b.Fatal(err)
				}
				middle := time.Now()
				mustCall(b, set, ctx, "engram_search", query)
				bare, through = bare+middle.Sub(start), through+time.Since(middle)
			}
			n := float64(b.N + 50)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(bare.Microseconds())/n, "µs-bare")
			b.ReportMetric(float64(through.Microseconds())/n, "µs-call")
			b.ReportMetric(float64((through-bare).Nanoseconds())/n/1000, "µs-added")
			b.ReportMetric(float64(through)/float64(bare), "call/bare")
		})
	}
}

// BenchmarkHooks_NoneInstalled is the way past the hooks alone: the tool does
// nothing.
func BenchmarkHooks_NoneInstalled(b *testing.B) {
	set, ctx := guarded(b)
	mustCall(b, set, ctx, "engram_search", `{}`)
	idle := Tool{Name: "engram_idle", Needs: memory.Read, plain: func(json.RawMessage) (json.RawMessage, error) { return nil, nil },
		call: func(context.Context, json.RawMessage) (any, error) { return struct{}{}, nil }}
	bare := perCall(b.N, func() { _, _ = idle.run(ctx, nil) })
	through := perCall(b.N, func() { _, _ = set.around(ctx, idle, nil) })
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(bare, "ns-bare")
	b.ReportMetric(through, "ns-call")
	b.ReportMetric(through/bare, "call/bare")
}

func perCall(n int, f func()) float64 {
	start := time.Now()
	for range n {
		f()
	}
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

// BenchmarkHooks_Creates is 16 clients that create at once, with no hook and
// with two, at normal durability.
func BenchmarkHooks_Creates(b *testing.B) {
	const clients = 16
	median := map[int]time.Duration{}
	for _, hooks := range []int{0, 2} {
		b.Run(fmt.Sprintf("hooks=%d", hooks), func(b *testing.B) {
			set, ctx := guarded(b, []string{"before:engram_create", "after:engram_create"}[:hooks]...)
			mustCall(b, set, ctx, "engram_create", `{"content": "warm"}`)
			times := make([][]time.Duration, clients)
			var wg sync.WaitGroup
			for c := range clients {
				wg.Go(func() {
					for i := range b.N/clients + 20 {
						start := time.Now()
						mustCall(b, set, ctx, "engram_create", fmt.Sprintf(`{"content": "client %d writes line %d"}`, c, i))
						times[c] = append(times[c], time.Since(start))
					}
				})
			}
			wg.Wait()
			all := slices.Sorted(slices.Values(slices.Concat(times...)))
			median[hooks] = all[len(all)/2]
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms-p50")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms-p99")
			if median[0] > 0 {
				b.ReportMetric(float64(median[hooks])/float64(median[0]), "p50/none")
			}
		})
	}
}
