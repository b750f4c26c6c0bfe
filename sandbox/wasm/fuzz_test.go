package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"engram-mcp/sandbox"
)

// FuzzHostFunctions calls host functions with any arguments, in any order, on
// a guest with any memory. They may end the guest with an error of the
// sandbox, and do nothing else that is out of order.
func FuzzHostFunctions(f *testing.F) {
	r, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	ctx := context.Background()
	man := manifest("x")
	man.Limits = sandbox.DefaultLimits
	man.Config = []byte(`{"k":"v"}`)
	l, err := r.Load(ctx, man, file(f, "testdata/hostile.wasm"))
	if err != nil {
		f.Fatal(err)
	}
	a := l.(*agent)
	a.command = true // so that stdin and stdout are at work
	var all []hostFunc
	for _, m := range hostModules {
		all = append(all, m.functions...)
	}
	all = append(all, hostFunc{name: "engram_search", params: types(i64), results: types(i64), run: extismOperation("engram_search")})
	for i := range all {
		seed := []byte{byte(i)}
		for _, v := range []uint64{8, 16, 2, 32, 0, 0, 0, 0, 0} {
			seed = binary.LittleEndian.AppendUint64(seed, v)
		}
		f.Add(seed, []byte("some memory \x00\x01\x02\x03\x10\x00\x00\x00\x04\x00\x00\x00"))
	}
	f.Fuzz(func(t *testing.T, script, memory []byte) {
		g, err := newGuest(a.code, r.memory, man.Limits.Memory())
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		copy(g.bytes(), memory)
		j := a.job(g, &turn{gate: r.gate}, sandbox.Call{Host: search, Log: func(sandbox.LogLine) {}, Emit: func([]byte) {}}, []byte(`{"in":"put"}`))
		if err := j.turn.take(ctx); err != nil {
			t.Fatal(err)
		}
		defer j.turn.give()
		jctx := context.WithValue(ctx, jobKey{}, j)
		for calls := 0; calls < 50 && len(script) > 0 && j.ended == nil && j.exit < 0; calls++ {
			h := all[int(script[0])%len(all)]
			script = script[1:]
			stack := make([]uint64, max(len(h.params), len(h.results), 1))
			for i := range h.params {
				var word [8]byte
				script = script[copy(word[:], script):]
				stack[i] = binary.LittleEndian.Uint64(word[:])
				if h.params[i] == i32 {
					stack[i] = uint64(uint32(stack[i]))
				}
			}
			callGuarded(t, jctx, j, h, stack)
			if j.ended == nil && len(h.results) == 1 && h.results[0] == i32 && stack[0] > 0xffffffff {
				t.Errorf("%s returned %#x as an i32", h.name, stack[0])
			}
		}
		if int64(len(j.output)) > man.Limits.Output() {
			t.Errorf("%d bytes of output", len(j.output))
		}
	})
}

// callGuarded calls a host function as wazero does, and lets pass only the
// panics that end a guest in order.
func callGuarded(t *testing.T, ctx context.Context, j *job, h hostFunc, stack []uint64) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			t.Fatalf("%s: %v", h.name, p)
		case error:
			if p != j.ended && p != errExit {
				t.Fatalf("%s: %v", h.name, p)
			}
			var e *sandbox.Error
			if j.ended != nil && (!errors.As(j.ended, &e) || e.Hint == "") {
				t.Fatalf("%s ended the guest with %v", h.name, j.ended)
			}
		}
	}()
	h.guarded().Call(ctx, nil, stack)
}
