package meter_test

import (
	"testing"
	"time"

	"engram-mcp/sandbox/meter"
)

// BenchmarkOverhead runs each guest plain and metered, in turn, and reports
// the best time of both and their ratio.
func BenchmarkOverhead(b *testing.B) {
	h := newHost(b, engines[0], features)
	for _, g := range guests {
		wasm := testdata(b, g.file)
		plain := h.instantiate(wasm)
		metered := h.instantiate(rewrite(b, wasm, meter.Options{}))
		for _, c := range g.calls {
			if c.many == 0 {
				continue
			}
			b.Run(g.file+"/"+c.name, func(b *testing.B) {
				best := [2]time.Duration{1 << 62, 1 << 62}
				var spent int64
				for range b.N {
					start := time.Now()
					if _, err := plain.ExportedFunction(c.name).Call(h.ctx, c.many); err != nil {
						b.Fatal(err)
					}
					best[0] = min(best[0], time.Since(start))
					start = time.Now()
					_, s, err := h.call(h.ctx, metered, ample, c.name, c.many)
					if err != nil {
						b.Fatal(err)
					}
					best[1], spent = min(best[1], time.Since(start)), s
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(best[0].Microseconds())/1e3, "plain-ms")
				b.ReportMetric(float64(best[1].Microseconds())/1e3, "metered-ms")
				b.ReportMetric(float64(best[1])/float64(best[0]), "ratio")
				b.ReportMetric(float64(spent)/float64(best[1].Nanoseconds()), "fuel/ns")
			})
		}
	}
}

// BenchmarkRewrite reports the time to rewrite each guest, how much larger it
// becomes, and how much longer it takes to compile.
func BenchmarkRewrite(b *testing.B) {
	files := map[string][]byte{"go": goGuest(b)}
	for _, g := range guests {
		files[g.file] = testdata(b, g.file)
	}
	h := newHost(b, engines[0], features)
	compile := func(wasm []byte) time.Duration {
		start := time.Now()
		c, err := h.rt.CompileModule(h.ctx, wasm)
		if err != nil {
			b.Fatal(err)
		}
		c.Close(h.ctx)
		return time.Since(start)
	}
	for name, wasm := range files {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(wasm)))
			b.ReportAllocs()
			var out []byte
			var info meter.Info
			for range b.N {
				out, info, _ = meter.Rewrite(wasm, meter.Options{Allow: allowAll})
			}
			b.StopTimer()
			b.ReportMetric(100*float64(len(out))/float64(len(wasm))-100, "%larger")
			b.ReportMetric(float64(info.Sites), "sites")
			b.ReportMetric(float64(compile(wasm).Microseconds())/1e3, "compile-plain-ms")
			b.ReportMetric(float64(compile(out).Microseconds())/1e3, "compile-metered-ms")
			b.ReportMetric(float64(info.CompileTime.Microseconds())/1e3, "compile-bound-ms")
		})
	}
}
