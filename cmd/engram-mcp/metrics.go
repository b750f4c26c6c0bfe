package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"engram-mcp/memory"
	"engram-mcp/tools"
)

// metrics counts the calls of tools by MCP clients, by tool and outcome.
type metrics struct {
	started time.Time
	ours    map[string]bool // tools that are counted by name
	mu      sync.Mutex
	calls   map[callKind]callSum
}

type callKind struct{ tool, result string }

type callSum struct {
	number int64
	time   time.Duration
}

// newMetrics counts the tools of part by name, and those of agents, of which
// there may be any number, as one.
func newMetrics(part *tools.Set) *metrics {
	m := &metrics{started: time.Now(), ours: map[string]bool{}, calls: map[callKind]callSum{}}
	for _, t := range part.Tools(memory.WithPrincipal(context.Background(), memory.Principal{Rights: memory.Owner})) {
		m.ours[t.Name] = true
	}
	return m
}

// note counts and logs a call of a client. A line of the log names the tool and
// the caller, and nothing of what was said.
func (s *service) note(ctx context.Context, c tools.Called) {
	who, _ := memory.PrincipalFrom(ctx)
	result := outcome(c.Err)
	s.log.Info("call", "tool", c.Tool, "result", result, "ms", milliseconds(c.Took), "space", who.Space, "who", who.Name)
	s.audit.write(ctx, c, false)
	if c.Tool == "resources/read" {
		return
	}
	if !s.metrics.ours[c.Tool] {
		c.Tool = "agent"
	}
	s.metrics.add(callKind{c.Tool, result}, c.Took)
}

// outcome is how a call ended, in a word.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	_, kind := tools.Explain(err)
	return cmp.Or(kind, "error")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (m *metrics) add(kind callKind, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := m.calls[kind]
	sum.number++
	sum.time += took
	m.calls[kind] = sum
}

// write answers with the text format that Prometheus reads.
func (m *metrics) write(ctx context.Context, w http.ResponseWriter, s *service) {
	var b strings.Builder
	family := func(name, kind, help string) { fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	gauge := func(name, help string, v float64) {
		family(name, "gauge", help)
		fmt.Fprintf(&b, "%s %g\n", name, v)
	}
	family("engram_build_info", "gauge", "The version that runs.")
	fmt.Fprintf(&b, "engram_build_info{version=%q} 1\n", version())
	gauge("engram_start_time_seconds", "When the process started, in Unix time.", float64(m.started.UnixMilli())/1000)

	m.mu.Lock()
	calls := maps.Clone(m.calls)
	m.mu.Unlock()
	kinds := slices.SortedFunc(maps.Keys(calls), func(x, y callKind) int {
		return cmp.Or(strings.Compare(x.tool, y.tool), strings.Compare(x.result, y.result))
	})
	family("engram_tool_calls_total", "counter", "Calls of tools by MCP clients.")
	for _, k := range kinds {
		fmt.Fprintf(&b, "engram_tool_calls_total{tool=%q,result=%q} %d\n", k.tool, k.result, calls[k].number)
	}
	family("engram_tool_seconds_total", "counter", "Time that these calls took.")
	for _, k := range kinds {
		fmt.Fprintf(&b, "engram_tool_seconds_total{tool=%q,result=%q} %g\n", k.tool, k.result, calls[k].time.Seconds())
	}

	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	gauge("engram_heap_bytes", "Memory in use by objects.", float64(mem.HeapAlloc))
	gauge("engram_goroutines", "Goroutines that exist.", float64(runtime.NumGoroutine()))
	if st, err := s.stats(ctx); err == nil {
		gauge("engram_engrams", "Engrams in the space.", float64(st.Engrams))
		gauge("engram_forgotten", "Forgotten engrams in the space.", float64(st.Forgotten))
		gauge("engram_links", "Links in the space.", float64(st.Links))
		gauge("engram_file_bytes", "Size of the space on disk.", float64(st.FileBytes))
		gauge("engram_pending_vectors", "Engrams that wait for their vector.", float64(st.Pending))
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(b.String())) // the client may be gone
}

// stats counts the space that is served.
func (s *service) stats(ctx context.Context) (memory.Stats, error) {
	ctx = memory.WithPrincipal(ctx, memory.Principal{Space: s.who.Space, Rights: memory.Owner})
	store, release, err := s.open(ctx)
	if err != nil {
		return memory.Stats{}, err
	}
	defer release()
	return store.Stats(ctx)
}
