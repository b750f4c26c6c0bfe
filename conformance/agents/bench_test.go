package agents

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkHooks tells what a create or a search takes, from outside, with the
// agent's hook and without it.
func BenchmarkHooks(b *testing.B) {
	for _, language := range languages {
		for _, agent := range []string{"redact", "dedupe", "contradict", "rerank"} {
			b.Run(agent+"/"+language, func(b *testing.B) {
				took := func(flags ...string) time.Duration {
					w := newWorld(b, language, agent, nil, flags...)
					var facts []object
					for i := range 200 {
						facts = append(facts, object{"content": fmt.Sprintf("The timeout of service-%d is %d seconds", i, 10+i)})
					}
					w.create(facts...)
					var times []time.Duration
					for i := range max(b.N, 20) {
						start := time.Now()
						if agent == "rerank" {
							w.search(fmt.Sprintf("What is the timeout of service-%d?", i%200), 10)
						} else {
							w.create(object{"content": fmt.Sprintf("Remark %d: the timeout of service-%d is discussed", i, i%200)})
						}
						times = append(times, time.Since(start))
					}
					slices.Sort(times)
					return times[len(times)/2]
				}
				without, with := took(), took("--approve")
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(without.Microseconds()), "µs-without")
				b.ReportMetric(float64(with.Microseconds()), "µs-with")
			})
		}
	}
}
