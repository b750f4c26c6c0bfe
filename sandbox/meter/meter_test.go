package meter_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"engram-mcp/sandbox/meter"
)

// kernels are exports of kernels.wasm with an argument that takes some
// milliseconds at most on the slow engine.
var kernels = []struct {
	name string
	n    uint64
}{
	{"hot", 10_000}, {"fib", 18}, {"sieve", 20_000}, {"switch", 10_000}, {"indirect", 5_000}, {"collatz", 837_799},
	{"float", 5_000}, {"globals", 5_000}, {"bulk", 300}, {"tables", 3_000}, {"multi", 3_000}, {"simd", 3_000},
	{"tail", 100_000}, {"grow", 0}, {"trap", 4},
}

// A metered module computes what the module computes, traps where it traps,
// and spends the same fuel in every run and on both engines.
func TestSameResults(t *testing.T) {
	wasm := testdata(t, "kernels.wasm")
	fuel := map[string]int64{}
	for _, e := range engines {
		plain := newHost(t, e, features)
		metered := newHost(t, e, features)
		code := rewrite(t, wasm, meter.Options{})
		for _, k := range kernels {
			t.Run(e.name+"/"+k.name, func(t *testing.T) {
				pm := plain.instantiate(wasm)
				want, err := pm.ExportedFunction(k.name).Call(plain.ctx, k.n)
				wanted := fmt.Sprint(want, firstLine(err))
				for run := range 2 {
					m := metered.instantiate(code)
					b := ample
					b.slice >>= 10 * run
					got, spent, err := metered.call(metered.ctx, m, b, k.name, k.n)
					if diff := cmp.Diff(wanted, fmt.Sprint(got, firstLine(err))); diff != "" {
						t.Errorf("metered result (-plain +metered):\n%s", diff)
					}
					if first, ok := fuel[k.name]; ok && first != spent {
						t.Errorf("run %d spent %d, earlier %d", run, spent, first)
					}
					fuel[k.name] = spent
				}
				t.Logf("fuel %d", fuel[k.name])
			})
		}
	}
}
