package meter_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"engram-mcp/sandbox/meter"
)

// snapshot is what a host keeps to reset an instance.
type snapshot struct {
	memory  []byte
	globals map[string]uint64
}

func take(m api.Module, info *meter.Info) snapshot {
	s := snapshot{globals: map[string]uint64{}}
	if mem := m.Memory(); mem != nil {
		b, _ := mem.Read(0, mem.Size())
		s.memory = slices.Clone(b)
	}
	for i := range info.Globals {
		name := fmt.Sprint(meter.GlobalPrefix, i)
		if g, ok := m.ExportedGlobal(name).(api.MutableGlobal); ok {
			s.globals[name] = g.Get()
		}
	}
	return s
}

func (s snapshot) restore(m api.Module) {
	if mem := m.Memory(); mem != nil {
		b, _ := mem.Read(0, mem.Size())
		clear(b[copy(b, s.memory):])
	}
	for name, v := range s.globals {
		m.ExportedGlobal(name).(api.MutableGlobal).Set(v)
	}
}

// After a reset a guest behaves as new, even if it was stopped in the middle
// of its work: same results, same fuel, nothing left of the caller before.
func TestReset(t *testing.T) {
	for _, g := range guests[1:] { // kernels change tables
		wasm, info, err := meter.Rewrite(testdata(t, g.file), meter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h := newHost(t, engines[0], features)
		m := h.instantiate(wasm)
		for _, c := range g.calls { // the memory grows to the size that all calls need
			_, _, _ = h.call(h.ctx, m, ample, c.name, c.n)
		}
		fresh := h.instantiate(wasm)
		zero := take(fresh, &info)
		zero.restore(m)
		before := take(m, &info)
		for _, c := range g.calls {
			want, fuel, wantErr := h.call(h.ctx, m, ample, c.name, c.n)
			before.restore(m)
			for cut := range 10 {
				b := budget{fuel: fuel * int64(cut) / 10, slice: 1000, depth: ample.depth}
				if _, _, err := h.call(h.ctx, m, b, c.name, c.n); cut < 9 && !errors.Is(err, errFuel) && fuel > 10_000 {
					t.Errorf("%s %s: not stopped with %d of %d: %v", g.file, c.name, b.fuel, fuel, firstLine(err))
				}
				before.restore(m)
				got, again, err := h.call(h.ctx, m, ample, c.name, c.n)
				if !slices.Equal(got, want) || again != fuel || firstLine(err) != firstLine(wantErr) {
					t.Errorf("%s %s: after a reset %v with fuel %d, %v; want %v with %d", g.file, c.name, got, again, firstLine(err), want, fuel)
				}
				before.restore(m)
			}
		}
	}
}

// A global of every type can be saved and restored by its name.
func TestGlobalsAreExported(t *testing.T) {
	wasm := rewrite(t, testdata(t, "kernels.wasm"), meter.Options{})
	h := newHost(t, engines[0], features)
	m := h.instantiate(wasm)
	first, _, _ := h.call(h.ctx, m, ample, "globals", 3)
	second, _, _ := h.call(h.ctx, m, ample, "globals", 3)
	if slices.Equal(first, second) {
		t.Fatal("the guest keeps no state")
	}
	for name, v := range map[string]uint64{"__g0": 12345, "__g1": 1<<64 - 7} {
		m.ExportedGlobal(name).(api.MutableGlobal).Set(v)
	}
	if again, _, _ := h.call(h.ctx, m, ample, "globals", 3); !slices.Equal(first, again) {
		t.Errorf("after restoring its globals the guest returns %v, at first %v", again, first)
	}
	if m.ExportedGlobal("__g3") != nil {
		t.Error("a constant is exported")
	}
}

// Function names survive, so that stack traces can be read.
func TestNamesSurvive(t *testing.T) {
	wasm := module(types, sec(3, vec(ops(0), ops(0))), sec(7, vec(join(str("run"), ops(0, 0)))),
		sec(10, vec(sized(code(ops(0x10, 1))), sized(code(ops(0))))),
		sec(0, str("name"), ops(0), sized(str("mod")), ops(1), sized(vec(join(ops(0), str("outer")), join(ops(1), str("breaker")))), ops(2), sized(ops(0))))
	h := newHost(t, engines[0], features)
	_, _, err := h.call(h.ctx, h.instantiate(rewrite(t, wasm, meter.Options{})), ample, "run")
	if err == nil || !strings.Contains(err.Error(), ".breaker()") || !strings.Contains(err.Error(), ".outer()") {
		t.Errorf("got %v", err)
	}
}
