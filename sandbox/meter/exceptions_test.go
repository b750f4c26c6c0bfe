package meter_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero/experimental"

	"engram-mcp/sandbox/meter"
)

const featuresEH = features | experimental.CoreFeaturesExceptionHandling

// exceptions is a module with a tag (i32) and functions that throw and catch.
var exceptions = func() []byte {
	fns := []struct {
		name string
		function
	}{
		// catches what thrower throws at depth n
		{"catch", function{typeUnary, code(ops(0x02, 0x7f, 0x1f, 0x7f, 1, 0, 0, 0, 0x20, 0, 0x10, 1, 0x0b, 0x0b))}},
		{"thrower", function{typeUnary, code(ops(0x20, 0, 0x45, 0x04, 0x40, 0x41, 42, 0x08, 0, 0x0b, 0x20, 0, 0x41, 1, 0x6b, 0x10, 1, 0x41, 1, 0x6a))}},
		// catches n times what comes from 50 calls deep, then goes 60 calls deep itself
		{"repeat", function{typeUnary, code(ops(0x03, 0x40, 0x02, 0x7f, 0x1f, 0x7f, 1, 0, 0, 0, 0x41, 50, 0x10, 1, 0x0b, 0x0b, 0x1a),
			ops(0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x41, 60, 0x10, 0))}},
		// spins where everything is caught
		{"spin", function{typeUnary, code(ops(0x02, 0x40, 0x1f, 0x40, 1, 2, 0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b, 0x0b, 0x41, 0))}},
		{"throw_loop", function{typeUnary, code(ops(0x03, 0x40, 0x02, 0x7f, 0x1f, 0x40, 1, 0, 0, 0, 0x41, 1, 0x08, 0, 0x0b, 0x41, 0, 0x0b, 0x1a, 0x0c, 0, 0x0b, 0x41, 0))}},
		// catches with a reference and throws it again
		{"rethrow", function{typeUnary, code(ops(0x02, 0x69, 0x1f, 0x40, 1, 3, 0, 0x41, 5, 0x08, 0, 0x0b, 0x00, 0x0b, 0x0a))}},
		{"caught", function{typeUnary, code(ops(0x02, 0x7f, 0x1f, 0x7f, 1, 0, 0, 0, 0x20, 0, 0x10, 5, 0x0b, 0x0b))}},
		// catches at the label of the function itself, below other frames
		{"outermost", function{typeUnary, code(ops(0x1f, 0x7f, 1, 0, 0, 0, 0x41, 9, 0x10, 1, 0x0b))}},
	}
	var typ, exports, bodies [][]byte
	for i, f := range fns {
		typ = append(typ, ops(f.typ))
		exports = append(exports, join(str(f.name), ops(0, byte(i))))
		bodies = append(bodies, sized(f.body))
	}
	return module(types, sec(3, vec(typ...)), sec(13, vec(ops(0, typeSink))), sec(7, vec(exports...)), sec(10, vec(bodies...)))
}()

func TestExceptionsAreRefusedUnlessWanted(t *testing.T) {
	if _, _, err := meter.Rewrite(exceptions, meter.Options{}); !errors.Is(err, meter.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestExceptions(t *testing.T) {
	wasm := rewrite(t, exceptions, meter.Options{Exceptions: true})
	fuel := map[string]int64{}
	for _, e := range engines {
		plain, metered := newHost(t, e, featuresEH), newHost(t, e, featuresEH)
		p, m := plain.instantiate(exceptions), metered.instantiate(wasm)
		for _, c := range []struct {
			name string
			n    uint64
		}{{"catch", 0}, {"catch", 20}, {"thrower", 3}, {"repeat", 100}, {"rethrow", 0}, {"caught", 1}, {"outermost", 1}} {
			res, err := p.ExportedFunction(c.name).Call(plain.ctx, c.n)
			want := fmt.Sprint(res, firstLine(err))
			// 50 or 60 calls fit into this depth, but not twice: what a throw
			// leaves must be given back.
			b := budget{fuel: 1 << 60, slice: 10_000, depth: 80}
			res, spent, err := metered.call(metered.ctx, m, b, c.name, c.n)
			if diff := cmp.Diff(want, fmt.Sprint(res, firstLine(err))); diff != "" {
				t.Errorf("%s %s(%d): result differs (-plain +metered):\n%s", e.name, c.name, c.n, diff)
			}
			key := fmt.Sprint(c.name, c.n)
			if first, ok := fuel[key]; ok && first != spent {
				t.Errorf("%s %s(%d): fuel %d, other engine %d", e.name, c.name, c.n, spent, first)
			}
			fuel[key] = spent
		}
		for _, name := range []string{"spin", "throw_loop"} {
			if err := metered.stopped(m, name, 0); err != nil {
				t.Errorf("%s: %v", e.name, err)
			}
		}
	}
}
