package meter

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"pgregory.net/rapid"
)

// The cost model is checked against a second implementation: random programs
// are run by a small machine that adds up the price of each instruction as it
// executes it, and by wazero after Rewrite.

// stmt is a statement of the random programs. Locals 0 to 3 hold i32 values;
// locals 4 up bound the loops, one for each nesting depth.
type stmt struct {
	kind string
	k    int32   // constant, label or local
	arms [2]body // of block, loop, if
	to   []int   // labels of br_table
}

type body []stmt

// program has a main function and a leaf that it may call.
type program struct{ main, leaf body }

const (
	loopLocals = 4 // first of the locals that count loop passes
	maxDepth   = 4
)

func drawBody(t *rapid.T, depth int, labels int, isMain bool) body {
	var b body
	kinds := []string{"add", "add", "mul", "test", "grow", "br_if", "br_if", "fill"}
	if isMain {
		kinds = append(kinds, "call")
	}
	if depth < maxDepth {
		kinds = append(kinds, "block", "loop", "if", "block", "if")
	}
	for range rapid.IntRange(0, 5).Draw(t, "statements") {
		b = append(b, drawStmt(t, rapid.SampledFrom(kinds).Draw(t, "kind"), depth, labels, isMain))
	}
	if kind := rapid.SampledFrom([]string{"", "", "", "br", "br_table", "return", "unreachable"}).Draw(t, "exit"); kind != "" && depth > 0 {
		b = append(b, drawStmt(t, kind, depth, labels, isMain))
	}
	return b
}

func drawStmt(t *rapid.T, kind string, depth, labels int, isMain bool) stmt {
	s := stmt{kind: kind, k: rapid.Int32Range(0, 3).Draw(t, "k")}
	label := func() int { return rapid.IntRange(0, labels-1).Draw(t, "label") }
	switch kind {
	case "block", "loop":
		s.arms[0] = drawBody(t, depth+1, labels+1, isMain)
		s.k = int32(depth)
	case "if":
		s.arms = [2]body{drawBody(t, depth+1, labels+1, isMain), drawBody(t, depth+1, labels+1, isMain)}
	case "br", "br_if":
		s.k = int32(label())
	case "br_table":
		for range rapid.IntRange(1, 4).Draw(t, "targets") {
			s.to = append(s.to, label())
		}
	case "fill":
		s.k = rapid.Int32Range(0, 9000).Draw(t, "length")
	}
	return s
}

// encode writes the statements as Wasm. A loop counts its passes down and
// returns when they are used up, so that every program ends.
func (b body) encode(out []byte) []byte {
	for _, s := range b {
		switch s.kind {
		case "add":
			out = append(out, 0x20, 0, 0x41, byte(s.k), 0x6a, 0x21, byte(s.k))
		case "mul":
			out = append(out, 0x20, 1, 0x20, byte(s.k), 0x6c, 0x41, 1, 0x6a, 0x21, 1)
		case "test":
			out = append(out, 0x20, 1, 0x20, 2, 0x48, 0x21, 3)
		case "grow":
			out = append(out, 0x41, 0, 0x40, 0, 0x1a)
		case "fill":
			out = append(out, 0x41, 0, 0x41, 7, 0x41)
			out = appendSigned(out, int64(s.k))
			out = append(out, 0xfc, 11, 0)
		case "call":
			out = append(out, 0x20, 0, 0x10, 1)
		case "block":
			out = append(s.arms[0].encode(append(out, 0x02, 0x40)), 0x0b)
		case "loop":
			l := byte(loopLocals + s.k)
			out = append(out, 0x41, 5, 0x21, l, 0x03, 0x40)
			out = append(out, 0x20, l, 0x45, 0x04, 0x40, 0x0f, 0x0b) // passes used up: return
			out = append(out, 0x20, l, 0x41, 1, 0x6b, 0x21, l)
			out = append(s.arms[0].encode(out), 0x0b)
		case "if":
			out = append(s.arms[0].encode(append(out, 0x20, 0, 0x41, 3, 0x71, 0x04, 0x40)), 0x05)
			out = append(s.arms[1].encode(out), 0x0b)
		case "br":
			out = append(out, 0x0c, byte(s.k))
		case "br_if":
			out = append(out, 0x20, 0, 0x41, 1, 0x71, 0x0d, byte(s.k))
		case "br_table":
			out = append(out, 0x20, 1, 0x0e, byte(len(s.to)-1))
			for _, l := range s.to {
				out = append(out, byte(l))
			}
		case "return":
			out = append(out, 0x0f)
		case "unreachable":
			out = append(out, 0x00)
		}
	}
	return out
}

// machine runs the statements and adds up what they cost.
type machine struct {
	p       *program
	fuel    int64 // exactly what was executed
	passed  int64 // blocks entered and branches passed: where fuel may be charged early
	trapped bool
}

const (
	next     = -1 // go on with the next statement
	returned = 1 << 20
)

// run executes a body and returns the label that it leaves for, or next.
func (m *machine) run(b body, v *[16]int32) int {
	for _, s := range b {
		if l := m.step(s, v); l != next {
			return l
		}
	}
	return next
}

func (m *machine) step(s stmt, v *[16]int32) int {
	switch s.kind {
	case "add":
		m.fuel += 4
		v[s.k] = v[0] + s.k
	case "mul":
		m.fuel += 6
		v[1] = v[1]*v[s.k] + 1
	case "test":
		m.fuel += 4
		v[3] = 0
		if v[1] < v[2] {
			v[3] = 1
		}
	case "grow":
		m.fuel += 2
	case "fill":
		m.fuel += 4 + int64(s.k)/16
	case "call":
		m.fuel += 1 + costCall
		m.passed++
		m.run(m.p.leaf, &[16]int32{v[0]})
		if m.trapped {
			return returned
		}
	case "block":
		m.passed++
		return inner(m.run(s.arms[0], v))
	case "loop":
		m.fuel += 2
		l := loopLocals + s.k
		for v[l] = 5; ; {
			m.passed += 2
			m.fuel += 3
			if v[l] == 0 {
				m.fuel++
				return returned
			}
			v[l]--
			m.fuel += 4
			if to := m.run(s.arms[0], v); to != 0 {
				return inner(to)
			}
		}
	case "if":
		m.fuel += 4
		m.passed++
		arm := s.arms[0]
		if v[0]&3 == 0 {
			arm = s.arms[1]
		}
		return inner(m.run(arm, v))
	case "br":
		m.fuel++
		return int(s.k)
	case "br_if":
		m.fuel += 4
		m.passed++
		if v[0]&1 != 0 {
			return int(s.k)
		}
	case "br_table":
		m.fuel += 2
		return s.to[min(uint32(v[1]), uint32(len(s.to)-1))]
	case "return":
		m.fuel++
		return returned
	case "unreachable":
		m.fuel++
		m.trapped = true
		return returned
	}
	return next
}

// inner turns the label that a block was left for into the one outside.
func inner(label int) int {
	switch label {
	case next, 0:
		return next
	case returned:
		return returned
	}
	return label - 1
}

// module encodes the program; both functions take local 0.
func (p *program) module() []byte {
	fn := func(b body) []byte {
		f := append(b.encode([]byte{1, 15, 0x7f}), 0x0b)
		return append(appendU32(nil, uint32(len(f))), f...)
	}
	w := []byte("\x00asm\x01\x00\x00\x00")
	sec := func(id byte, b []byte) {
		w = append(append(w, id), append(appendU32(nil, uint32(len(b))), b...)...)
	}
	sec(secType, []byte{1, 0x60, 1, 0x7f, 0})
	sec(secFunction, []byte{2, 0, 0})
	sec(secMemory, []byte{1, 0, 1})
	sec(secExport, append([]byte{1, 3}, "run\x00\x00"...))
	sec(secCode, append(append([]byte{2}, fn(p.main)...), fn(p.leaf)...))
	return w
}

// fuelOf runs the rewritten module and returns the fuel it spent.
func fuelOf(ctx context.Context, rt wazero.Runtime, wasm []byte, arg int32) (int64, error) {
	m, err := rt.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return 0, err
	}
	defer m.Close(ctx)
	const budget = 1 << 40
	fuel := m.ExportedGlobal(Fuel).(api.MutableGlobal)
	fuel.Set(budget)
	m.ExportedGlobal(Stack).(api.MutableGlobal).Set(100)
	_, err = m.ExportedFunction("run").Call(ctx, uint64(uint32(arg)))
	return budget - int64(fuel.Get()), err
}

// exact rewrites without early charges.
func exact(wasm []byte) []byte {
	var m module
	lim := DefaultLimits()
	parse(&m, wasm, lim, false)
	return newEmitter(&m, analyse(&m, lim, false), len(wasm)).emit()
}

// Without early charges the fuel is exactly the price of the instructions
// executed; with them it is more only by what each branch and each block can
// add. A trap leaves what was charged for the rest of its block.
func TestFuelIsThePriceOfWhatRuns(t *testing.T) {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer rt.Close(ctx)
	yield := api.GoModuleFunc(func(context.Context, api.Module, []uint64) { panic(errors.New("yield")) })
	if _, err := rt.NewHostModuleBuilder(ImportModule).NewFunctionBuilder().WithGoModuleFunction(yield, nil, nil).Export(Yield).Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := &program{drawBody(t, 0, 1, true), drawBody(t, 0, 1, false)}
		arg := rapid.Int32Range(0, 9).Draw(t, "argument")
		out, _, err := Rewrite(p.module(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		m := machine{p: p}
		m.run(p.main, &[16]int32{arg})
		got, err := fuelOf(ctx, rt, exact(p.module()), arg)
		if (err != nil) != m.trapped {
			t.Fatalf("error %v, expected a trap: %v", err, m.trapped)
		}
		if got < m.fuel || got > m.fuel && !m.trapped {
			t.Fatalf("fuel %d for instructions worth %d", got, m.fuel)
		}
		early, err := fuelOf(ctx, rt, out, arg)
		if (err != nil) != m.trapped {
			t.Fatalf("error %v, expected a trap: %v", err, m.trapped)
		}
		if most := got + (1+m.passed)*maxEarly; early < got || early > most {
			t.Fatalf("fuel %d with early charges, expected %d to %d", early, got, most)
		}
	})
}
