package meter_test

import (
	"testing"
	"time"

	"engram-mcp/sandbox/meter"
)

// BenchmarkOverhead runs each kernel plain and metered, in turn, and reports
// both times and their ratio.
func BenchmarkOverhead(b *testing.B) {
	wasm := testdata(b, "kernels.wasm")
	h := newHost(b, engines[0], features)
	plain := h.instantiate(wasm)
	metered := h.instantiate(rewrite(b, wasm, meter.Options{}))
	for _, k := range []struct {
		name string
		n    uint64
	}{{"hot", 2_000_000}, {"fib", 25}, {"sieve", 60_000}, {"switch", 500_000}, {"indirect", 1_000_000}, {"float", 1_000_000},
		{"globals", 1_000_000}, {"bulk", 20_000}, {"multi", 1_000_000}, {"simd", 1_000_000}, {"tail", 1_000_000}} {
		b.Run(k.name, func(b *testing.B) {
			p, m := time.Duration(1<<62), time.Duration(1<<62)
			var spent int64
			for range b.N {
				start := time.Now()
				if _, err := plain.ExportedFunction(k.name).Call(h.ctx, k.n); err != nil {
					b.Fatal(err)
				}
				p = min(p, time.Since(start))
				start = time.Now()
				_, s, err := h.call(h.ctx, metered, ample, k.name, k.n)
				if err != nil {
					b.Fatal(err)
				}
				m, spent = min(m, time.Since(start)), s
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(p.Microseconds())/1e3, "plain-ms")
			b.ReportMetric(float64(m.Microseconds())/1e3, "metered-ms")
			b.ReportMetric(float64(m)/float64(p), "ratio")
			b.ReportMetric(float64(spent)/float64(m.Nanoseconds()), "fuel/ns")
		})
	}
}
