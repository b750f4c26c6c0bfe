package lua

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"engram-mcp/sandbox"
)

// tenant keeps something of its own in globals and leaves traces of itself
// wherever a script can.
const tenant = `function tool_run(p)
	assert(mark == nil and string.mark == nil and ("").mark == nil, "somebody has been here")
	mark, string.mark = p.name, p.name
	globals.name = globals.name or p.name
	globals.n = (globals.n or 0) + 1
	return { globals.name, globals.n }
end`

// Ten thousand agents live on a few interpreters. Each finds its own globals
// and nothing of the others, however many call at once.
func TestTenThousandAgents(t *testing.T) {
	agents, calls, callers := 10_000, 100_000, 16
	if testing.Short() {
		agents, calls = 500, 5_000
	}
	m := newManager(t, sandbox.Options{MaxAgents: agents + 20})
	script := func(i int) string { return fmt.Sprintf("%s -- script %d", tenant, i%10) }
	name := func(i int) string { return fmt.Sprintf("tenant-%d", i) }
	for i := range 20 { // the interpreters and all scripts are there before
		install(t, m, fmt.Sprintf("first-%d", i), script(i))
	}
	before := heap()
	for i := range agents {
		install(t, m, name(i), script(i))
	}
	grown := heap() - before
	t.Logf("%d agents take %.1f MB, %d bytes each", agents, float64(grown)/1e6, grown/int64(agents))
	if grown > 20_000_000 {
		t.Errorf("%d agents take %d bytes", agents, grown)
	}
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for k := c; k < calls; k += callers {
				i := k % agents
				i -= i%callers - c // an agent of this caller's own
				if i < 0 || i >= agents {
					i = c
				}
				start := time.Now()
				res, err := m.Run(context.Background(), name(i), sandbox.Call{Action: "run", Params: fmt.Appendf(nil, `{"name":%q}`, name(i))})
				took[c] = append(took[c], time.Since(start))
				var got []any
				if err == nil {
					err = json.Unmarshal(res.Output, &got)
				}
				if err != nil || len(got) != 2 || got[0] != name(i) {
					t.Errorf("%s: %s, %v", name(i), res.Output, err)
					return
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for i := range agents {
		ctx, err := m.Context(t.Context(), name(i))
		var g struct {
			Name string
			N    int
		}
		if err == nil && string(ctx.Globals) != "{}" {
			err = json.Unmarshal(ctx.Globals, &g)
			if g.Name != name(i) {
				t.Errorf("%s has the globals %s", name(i), ctx.Globals)
			}
		}
		if err != nil {
			t.Error(err)
		}
		total += g.N
	}
	if total != calls {
		t.Errorf("the globals count %d calls, want %d", total, calls)
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	t.Logf("%d calls by %d callers: %v at the median, %v for 99 of 100", calls, callers, all[len(all)/2], all[len(all)*99/100])
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
