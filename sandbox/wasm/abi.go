package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tetratelabs/wazero/api"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/meter"
)

// A hostFunc is one function that guests can import.
type hostFunc struct {
	name    string
	params  []api.ValueType
	results []api.ValueType
	cost    int64 // fuel, besides what the function charges by itself
	run     func(ctx context.Context, j *job, stack []uint64)
}

// A hostModule is an import module and what is in it.
type hostModule struct {
	name      string
	functions []hostFunc
}

// hostModules are all that a guest can import, except the operations in
// extismUser, whose names are not known beforehand.
var hostModules = []hostModule{
	{meter.ImportModule, append(engramABI, hostFunc{name: meter.Yield, run: yield})},
	{"wasi_snapshot_preview1", wasiABI()},
	{extismEnv, extismABI},
}

// allowed reports whether a module may import a function.
func allowed(module, name string) bool {
	if module == extismUser {
		return true
	}
	for _, m := range hostModules {
		if m.name == module {
			return slices.ContainsFunc(m.functions, func(f hostFunc) bool { return f.name == name && name != meter.Yield })
		}
	}
	return false
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

func types(t ...api.ValueType) []api.ValueType { return t }

// Costs in fuel. They follow the time that things take beside plain code, so
// that work done in the host counts about as much as the same in the guest.
const (
	costEnter = 500    // to leave the guest and come back
	costCall  = 20_000 // of an operation, besides its own work
	costBytes = 16     // bytes moved for one unit
)

// engramABI is the agent ABI engram:agent/1. Text is UTF-8 JSON unless said
// otherwise. A pointer out of bounds ends the call, as it does in a load.
var engramABI = []hostFunc{
	// input_len() -> bytes of this call's input
	{"input_len", nil, types(i32), costEnter, func(_ context.Context, j *job, s []uint64) {
		s[0] = uint64(len(j.input))
	}},
	// input_read(dst, cap) -> bytes copied
	{"input_read", types(i32, i32), types(i32), costEnter, func(_ context.Context, j *job, s []uint64) {
		s[0] = uint64(j.copyOut(uint32(s[0]), uint32(s[1]), j.input))
	}},
	// output(ptr, len): sets the result; the last one counts
	{"output", types(i32, i32), nil, costEnter, func(_ context.Context, j *job, s []uint64) {
		j.setOutput(j.view(uint32(s[0]), uint32(s[1])))
	}},
	// call(op, op_len, in, in_len) -> bytes of the result, or minus the bytes
	// of {"code", "message", "hint"}; result_read fetches either
	{"call", types(i32, i32, i32, i32), types(i32), costEnter, func(ctx context.Context, j *job, s []uint64) {
		op, in := j.view(uint32(s[0]), uint32(s[1])), j.view(uint32(s[2]), uint32(s[3]))
		out, err := j.operation(ctx, string(op), slices.Clone(in))
		if err != nil {
			j.result = sandbox.EncodeError(err)
			s[0] = uint64(uint32(-int32(len(j.result))))
			return
		}
		j.result = out
		s[0] = uint64(len(out))
	}},
	// result_read(dst, cap) -> bytes copied of the newest result
	{"result_read", types(i32, i32), types(i32), costEnter, func(_ context.Context, j *job, s []uint64) {
		s[0] = uint64(j.copyOut(uint32(s[0]), uint32(s[1]), j.result))
	}},
	// log(level, ptr, len): 0 debug, 1 info, 2 warn, 3 error; plain text
	{"log", types(i32, i32, i32), nil, costEnter, func(_ context.Context, j *job, s []uint64) {
		j.logLine(logLevel(int32(s[0])), j.view(uint32(s[1]), uint32(s[2])))
	}},
	// now_ms() -> milliseconds since 1970
	{"now_ms", nil, types(i64), costEnter, func(_ context.Context, _ *job, s []uint64) {
		s[0] = uint64(time.Now().UnixMilli())
	}},
	// config(key, len) -> bytes of that key's value in the manifest's config,
	// for result_read, or -1; the empty key is the whole
	{"config", types(i32, i32), types(i32), costEnter, func(_ context.Context, j *job, s []uint64) {
		v, ok := j.agent.configValue(string(j.view(uint32(s[0]), uint32(s[1]))))
		if !ok {
			s[0] = uint64(uint32(0xffffffff))
			return
		}
		j.result = v
		s[0] = uint64(len(v))
	}},
	// emit(ptr, len): a progress message
	{"emit", types(i32, i32), nil, costEnter + costCall, func(_ context.Context, j *job, s []uint64) {
		if m := j.view(uint32(s[0]), uint32(s[1])); j.call.Emit != nil {
			j.call.Emit(slices.Clone(m))
		}
	}},
	// deadline_ms() -> when the call will be stopped, on the clock of now_ms
	{"deadline_ms", nil, types(i64), costEnter, func(ctx context.Context, _ *job, s []uint64) {
		t, ok := ctx.Deadline()
		if !ok {
			t = time.Now().Add(time.Hour)
		}
		s[0] = uint64(t.UnixMilli())
	}},
	// fuel_left() -> units until the call is stopped
	{"fuel_left", nil, types(i64), costEnter, func(_ context.Context, j *job, s []uint64) {
		s[0] = uint64(max(0, j.tank.Rest(int64(j.guest.fuel.Get()))))
	}},
}

// yield is what a guest calls when its slice of fuel or its stack is used up.
func yield(ctx context.Context, j *job, _ []uint64) {
	if int64(j.guest.stack.Get()) < 0 {
		j.end(&sandbox.Error{Op: "run", Kind: sandbox.ErrCrashed, Err: errors.New("its calls nest too deeply"), Hint: "look for endless recursion"})
	}
	if err := j.turn.share(ctx); err != nil {
		j.end(stopped(err))
	}
	next, ok := j.tank.Refill(int64(j.guest.fuel.Get()))
	if !ok {
		j.end(&sandbox.Error{Op: "run", Kind: sandbox.ErrFuel, Err: fmt.Errorf("%d units of fuel are all it may use", j.agent.man.Limits.Fuel),
			Hint: "ask for less at once, or raise limits.fuel in the manifest"})
	}
	j.guest.fuel.Set(uint64(next))
}

// guarded returns f as wazero calls it.
func (f hostFunc) guarded() api.GoModuleFunction {
	return api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
		j := jobOf(ctx)
		if f.cost > 0 {
			j.charge(f.cost)
		}
		f.run(ctx, j, stack)
	})
}

// charge takes fuel from the guest. If there is not enough, the guest is
// stopped at its next check.
func (j *job) charge(units int64) {
	j.guest.fuel.Set(uint64(int64(j.guest.fuel.Get()) - units))
}

// end stops the guest with an error. It does not return.
func (j *job) end(err error) {
	j.ended = err
	panic(err) // wazero recovers it and unwinds the guest's stack
}

// view returns guest memory and charges for what the host will do with it. It
// is valid until the guest goes on.
func (j *job) view(ptr, n uint32) []byte {
	if n == 0 {
		return nil
	}
	j.charge(int64(n) / costBytes)
	mem := j.guest.bytes()
	if uint64(ptr)+uint64(n) > uint64(len(mem)) {
		j.end(&sandbox.Error{Op: "run", Kind: sandbox.ErrCrashed, Err: fmt.Errorf("it gave the host a bad pointer: %d bytes at %#x", n, ptr), Hint: "this is a fault of the agent's code or of its language's binding"})
	}
	return mem[ptr:][:n:n]
}

// copyOut copies into guest memory, as much as fits.
func (j *job) copyOut(ptr, room uint32, data []byte) int {
	return copy(j.view(ptr, min(uint32(len(data)), room)), data)
}

func (j *job) setOutput(b []byte) {
	if limit := j.agent.man.Limits.Output(); int64(len(b)) > limit {
		j.end(tooMuchOutput(len(b), limit))
	}
	j.output = append(j.output[:0], b...)
}

func tooMuchOutput(n int, limit int64) error {
	return &sandbox.Error{Op: "run", Kind: sandbox.ErrOutput, Err: fmt.Errorf("%d bytes is more than %d", n, limit),
		Hint: "let the agent return less, or raise limits.output_kib in the manifest"}
}

// operation calls the host for the guest.
func (j *job) operation(ctx context.Context, op string, in []byte) ([]byte, error) {
	j.charge(costCall)
	if j.call.Host == nil {
		return nil, &sandbox.Error{Op: "call " + sandbox.Clean(op[:min(len(op), 60)]), Kind: sandbox.ErrDenied, Hint: "call the host only while an action runs"}
	}
	j.turn.away()
	out, err := j.call.Host(ctx, op, in)
	if ctx.Err() == nil {
		if terr := j.turn.back(ctx); terr == nil {
			j.charge(int64(len(out)) / costBytes)
			return out, err
		}
	}
	j.end(stopped(ctx.Err()))
	return nil, nil
}

// maxLine bounds one log line.
const maxLine = 8 << 10

func (j *job) logLine(level slog.Level, text []byte) {
	if j.call.Log != nil {
		j.call.Log(sandbox.LogLine{Level: level, Text: string(text[:min(len(text), maxLine)])})
	}
}

func logLevel(n int32) slog.Level {
	switch n {
	case 0:
		return slog.LevelDebug
	case 2:
		return slog.LevelWarn
	case 3:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// configValue returns a key of the manifest's config, or all of it.
func (a *agent) configValue(key string) ([]byte, bool) {
	if key == "" {
		return a.config, true
	}
	v, ok := a.configKeys[key]
	return v, ok
}

func parseConfig(raw json.RawMessage) ([]byte, map[string]json.RawMessage) {
	var keys map[string]json.RawMessage
	if json.Unmarshal(raw, &keys) != nil || keys == nil {
		return []byte("{}"), nil
	}
	return raw, keys
}
