package meter_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"engram-mcp/sandbox/meter"
)

// guest is a module and the exports that the tests call: each takes n and
// returns a checksum. The second argument is for benchmarks.
type guest struct {
	file  string
	calls []guestCall
}

type guestCall struct {
	name string
	n    uint64 // some milliseconds at most, interpreted
	many uint64 // some milliseconds, compiled; 0: not a benchmark
}

var guests = []guest{
	{"kernels.wasm", []guestCall{
		{"hot", 10_000, 2_000_000}, {"fib", 18, 25}, {"sieve", 20_000, 60_000}, {"switch", 10_000, 300_000},
		{"indirect", 5_000, 500_000}, {"collatz", 837_799, 0}, {"float", 5_000, 300_000}, {"globals", 5_000, 1_000_000},
		{"bulk", 300, 20_000}, {"tables", 3_000, 0}, {"multi", 3_000, 500_000}, {"simd", 3_000, 300_000},
		{"tail", 100_000, 500_000}, {"grow", 0, 0}, {"trap", 4, 0},
	}},
	{"work-c.wasm", []guestCall{
		{"sort", 1_000, 4_096}, {"hash", 300, 20_000}, {"matrix", 3, 50}, {"machine", 2_000, 100_000},
		{"recurse", 20, 300}, {"move", 50, 3_000},
	}},
	{"work-rust.wasm", []guestCall{{"map", 3_000, 50_000}, {"words", 300, 3_000}, {"fail", 5, 0}}},
	{"work-as.wasm", []guestCall{{"primes", 1_000, 20_000}, {"text", 300, 3_000}}},
}

// A metered module computes what the module computes, traps where it traps,
// and spends the same fuel in every run, on both engines, whatever the slices.
func TestSameResultsAndSameFuel(t *testing.T) {
	for _, g := range guests {
		wasm := testdata(t, g.file)
		code := rewrite(t, wasm, meter.Options{})
		fuel := map[string]int64{}
		for _, e := range engines {
			plain, metered := newHost(t, e, features), newHost(t, e, features)
			for _, c := range g.calls {
				t.Run(g.file+"/"+e.name+"/"+c.name, func(t *testing.T) {
					res, err := plain.instantiate(wasm).ExportedFunction(c.name).Call(plain.ctx, c.n)
					want := fmt.Sprint(res, firstLine(err))
					for _, slice := range []int64{1_000_000, 997} {
						b := ample
						b.slice = slice
						res, spent, err := metered.call(metered.ctx, metered.instantiate(code), b, c.name, c.n)
						if diff := cmp.Diff(want, fmt.Sprint(res, firstLine(err))); diff != "" {
							t.Errorf("result differs (-plain +metered):\n%s", diff)
						}
						if first, ok := fuel[c.name]; ok && first != spent {
							t.Errorf("slice %d: fuel %d, before %d", slice, spent, first)
						}
						fuel[c.name] = spent
					}
				})
			}
		}
	}
}

// A call with exactly the fuel it needs succeeds; with one unit less it is
// stopped, and has then spent the same on both engines.
func TestExactBudget(t *testing.T) {
	wasm := rewrite(t, testdata(t, "work-c.wasm"), meter.Options{})
	stopped := map[int64]int64{}
	for _, e := range engines {
		h := newHost(t, e, features)
		_, need, err := h.call(h.ctx, h.instantiate(wasm), ample, "sort", 500)
		if err != nil {
			t.Fatal(err)
		}
		b := budget{fuel: need, slice: 1000, depth: ample.depth}
		if _, spent, err := h.call(h.ctx, h.instantiate(wasm), b, "sort", 500); err != nil || spent != need {
			t.Errorf("%s: with %d units: spent %d, %v", e.name, need, spent, err)
		}
		for _, less := range []int64{1, need / 2, need - 1} {
			b.fuel = need - less
			_, spent, err := h.call(h.ctx, h.instantiate(wasm), b, "sort", 500)
			// The end of the call is not a check, so a lack of a few units can pass.
			if spent <= b.fuel {
				t.Errorf("%s: with %d units: spent %d, %v", e.name, b.fuel, spent, err)
			}
			if less > 1000 && err == nil {
				t.Errorf("%s: not stopped with %d of %d units", e.name, b.fuel, need)
			}
			if first, ok := stopped[less]; ok && first != spent {
				t.Errorf("%s: stopped at %d, other engine at %d", e.name, spent, first)
			}
			stopped[less] = spent
		}
	}
}

// goGuest builds the Go guest, which is too large to keep.
func goGuest(t testing.TB) []byte {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a Go guest")
	}
	out := filepath.Join(t.TempDir(), "go.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./testdata/src/go")
	cmd.Env = append(cmd.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	return readFile(t, out)
}

// Go programs bring a scheduler and a garbage collector; they must survive,
// and a goroutine that spins must not.
func TestGoGuest(t *testing.T) {
	wasm := goGuest(t)
	h := newHost(t, engines[0], features)
	wasi_snapshot_preview1.MustInstantiate(h.ctx, h.rt)
	m := h.instantiate(rewrite(t, wasm, meter.Options{}))
	plain := newHost(t, engines[0], features)
	wasi_snapshot_preview1.MustInstantiate(plain.ctx, plain.rt)
	p := plain.instantiate(wasm)
	if _, err := p.ExportedFunction("_initialize").Call(plain.ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.call(h.ctx, m, ample, "_initialize"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"encode", "relay"} {
		want, err := p.ExportedFunction(name).Call(plain.ctx, 200)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := h.call(h.ctx, m, ample, name, 200)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, want)
		}
	}
	if err := h.stopped(m, "spin", 0); err != nil {
		t.Error(err)
	}
}

// The same module gives the same bytes, and these bytes belong to Version:
// caches and fuel figures of other builds are valid as long as it stays.
func TestVersionNamesTheOutput(t *testing.T) {
	const version, want = "1", "796f3917"
	wasm := testdata(t, "kernels.wasm")
	a, b := rewrite(t, wasm, meter.Options{}), rewrite(t, wasm, meter.Options{})
	if !bytes.Equal(a, b) {
		t.Error("two results for one module")
	}
	sum := sha256.Sum256(a)
	if got := hex.EncodeToString(sum[:4]); got != want || meter.Version != version {
		t.Errorf("output %s of version %s; the test knows %s of version %s: change both", got, meter.Version, want, version)
	}
}

// The rewriter keeps no reference to its input in the output.
func TestOutputIsACopy(t *testing.T) {
	wasm := bytes.Clone(testdata(t, "kernels.wasm"))
	out := rewrite(t, wasm, meter.Options{})
	before := bytes.Clone(out)
	clear(wasm)
	if !bytes.Equal(out, before) {
		t.Error("the output changed with the input")
	}
}
