package wasm

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/meter"
)

// Import modules of Extism plug-ins. extismUser holds what its host adds: here
// every operation under its own name, taking and giving the offset of a block.
const (
	extismEnv  = "extism:host/env"
	extismUser = "extism:host/user"
)

// maxExtism bounds the blocks of one call and the variables of one instance,
// in bytes.
const (
	maxExtism     = 16 << 20
	maxExtismVars = 1 << 20
)

// An extism is the memory that a plug-in shares with its host: blocks at
// offsets that only grow. It lasts for one call.
type extism struct {
	blocks []block
	next   uint64
	used   int
	input  uint64 // offset of the block with the input, or 0
	recent int    // index of the block used last
	err    []byte // set by error_set
}

type block struct {
	at   uint64
	data []byte
}

func (j *job) ext() *extism {
	if j.extism == nil {
		j.extism = &extism{next: 16}
	}
	return j.extism
}

// alloc makes a block. Offset 0 stands for the empty block.
func (j *job) alloc(n uint64) uint64 {
	if n == 0 {
		return 0
	}
	e := j.ext()
	// Every block costs the host some memory besides its bytes.
	if n > maxExtism || e.used+int(n)+64 > maxExtism {
		j.end(&sandbox.Error{Op: "run", Kind: sandbox.ErrMemory, Err: fmt.Errorf("its blocks take more than %d bytes", maxExtism), Hint: "free blocks that are no longer needed, or ask for less at once"})
	}
	e.used += int(n) + 64
	at := e.next
	e.blocks = append(e.blocks, block{at, make([]byte, n)})
	e.next += (n + 15) &^ 7 // a gap, so that running over an end is seen
	return at
}

func (j *job) allocBytes(b []byte) uint64 {
	at := j.alloc(uint64(len(b)))
	if at != 0 {
		copy(j.block(at), b)
	}
	return at
}

// find returns the block that holds an offset, or nil.
func (e *extism) find(at uint64) *block {
	if e.recent < len(e.blocks) {
		if b := &e.blocks[e.recent]; at >= b.at && at-b.at < uint64(len(b.data)) {
			return b
		}
	}
	i := sort.Search(len(e.blocks), func(i int) bool { return e.blocks[i].at > at }) - 1
	if i < 0 || at-e.blocks[i].at >= uint64(len(e.blocks[i].data)) {
		return nil
	}
	e.recent = i
	return &e.blocks[i]
}

// block returns the bytes of the block that begins at an offset; none for 0
// and for what is no block.
func (j *job) block(at uint64) []byte {
	if b := j.ext().find(at); b != nil && b.at == at {
		j.charge(int64(len(b.data)) / costBytes)
		return b.data
	}
	return nil
}

// at returns n bytes inside a block.
func (j *job) at(off uint64, n int) []byte {
	if b := j.ext().find(off); b != nil && int(off-b.at)+n <= len(b.data) {
		return b.data[off-b.at:][:n]
	}
	j.end(&sandbox.Error{Op: "run", Kind: sandbox.ErrCrashed, Err: fmt.Errorf("it gave the host a bad offset: %d bytes at %#x", n, off), Hint: "this is a fault of the plug-in"})
	return nil
}

func (j *job) inputAt(off uint64, n int) []byte {
	if off > uint64(len(j.input)) || len(j.input)-int(off) < n {
		j.end(&sandbox.Error{Op: "run", Kind: sandbox.ErrCrashed, Err: errors.New("it read past its input"), Hint: "this is a fault of the plug-in"})
	}
	return j.input[off:][:n]
}

// costTouch is for the functions that move a byte or a word: they are the
// loops of every plug-in.
const costTouch = 300

var extismABI = []hostFunc{
	{"alloc", types(i64), types(i64), costEnter, func(_ context.Context, j *job, s []uint64) {
		j.charge(int64(min(s[0], maxExtism)) / costBytes)
		s[0] = j.alloc(s[0])
	}},
	{"free", types(i64), nil, costEnter, func(_ context.Context, j *job, s []uint64) {
		e := j.ext()
		if b := e.find(s[0]); b != nil && b.at == s[0] {
			e.used -= len(b.data)
			b.data = nil
		}
	}},
	{"length", types(i64), types(i64), costTouch, extismLength},
	{"length_unsafe", types(i64), types(i64), costTouch, extismLength},
	{"load_u8", types(i64), types(i32), costTouch, func(_ context.Context, j *job, s []uint64) { s[0] = uint64(j.at(s[0], 1)[0]) }},
	{"load_u64", types(i64), types(i64), costTouch, func(_ context.Context, j *job, s []uint64) {
		s[0] = binary.LittleEndian.Uint64(j.at(s[0], 8))
	}},
	{"store_u8", types(i64, i32), nil, costTouch, func(_ context.Context, j *job, s []uint64) { j.at(s[0], 1)[0] = byte(s[1]) }},
	{"store_u64", types(i64, i64), nil, costTouch, func(_ context.Context, j *job, s []uint64) {
		binary.LittleEndian.PutUint64(j.at(s[0], 8), s[1])
	}},
	{"input_length", nil, types(i64), costTouch, func(_ context.Context, j *job, s []uint64) { s[0] = uint64(len(j.input)) }},
	{"input_load_u8", types(i64), types(i32), costTouch, func(_ context.Context, j *job, s []uint64) { s[0] = uint64(j.inputAt(s[0], 1)[0]) }},
	{"input_load_u64", types(i64), types(i64), costTouch, func(_ context.Context, j *job, s []uint64) {
		s[0] = binary.LittleEndian.Uint64(j.inputAt(s[0], 8))
	}},
	{"input_offset", nil, types(i64), costEnter, func(_ context.Context, j *job, s []uint64) {
		if e := j.ext(); e.input == 0 {
			e.input = j.allocBytes(j.input)
		}
		s[0] = j.extism.input
	}},
	{"output_set", types(i64, i64), nil, costEnter, func(_ context.Context, j *job, s []uint64) {
		if s[1] == 0 {
			j.output = j.output[:0]
			return
		}
		j.setOutput(j.at(s[0], int(min(s[1], maxExtism))))
	}},
	{"error_set", types(i64), nil, costEnter, func(_ context.Context, j *job, s []uint64) {
		j.ext().err = slices.Clone(j.block(s[0]))
	}},
	{"config_get", types(i64), types(i64), costEnter, func(_ context.Context, j *job, s []uint64) {
		v, ok := j.agent.configValue(string(j.block(s[0])))
		var text string
		if json.Unmarshal(v, &text) == nil {
			v = []byte(text)
		}
		if s[0] = 0; ok {
			s[0] = j.allocBytes(v)
		}
	}},
	{"var_get", types(i64), types(i64), costEnter, func(_ context.Context, j *job, s []uint64) {
		s[0] = j.allocBytes(j.guest.vars[string(j.block(s[0]))])
	}},
	{"var_set", types(i64, i64), nil, costEnter, func(_ context.Context, j *job, s []uint64) {
		j.setVar(string(j.block(s[0])), j.block(s[1]), s[1] == 0)
	}},
	{"http_request", types(i64, i64), types(i64), costEnter, func(_ context.Context, j *job, _ []uint64) {
		j.end(&sandbox.Error{Op: "call http_request", Kind: sandbox.ErrDenied, Err: errors.New("agents have no network"), Hint: "pass what it should read as a parameter"})
	}},
	{"http_status_code", nil, types(i32), costEnter, func(_ context.Context, _ *job, s []uint64) { s[0] = 0 }},
	{"http_headers", nil, types(i64), costEnter, func(_ context.Context, _ *job, s []uint64) { s[0] = 0 }},
	{"get_log_level", nil, types(i32), costTouch, func(_ context.Context, _ *job, s []uint64) { s[0] = 0 }},
	extismLog("log_trace", slog.LevelDebug),
	extismLog("log_debug", slog.LevelDebug),
	extismLog("log_info", slog.LevelInfo),
	extismLog("log_warn", slog.LevelWarn),
	extismLog("log_error", slog.LevelError),
}

func extismLength(_ context.Context, j *job, s []uint64) {
	b := j.ext().find(s[0])
	if s[0] = 0; b != nil {
		s[0] = uint64(len(b.data))
	}
}

func extismLog(name string, level slog.Level) hostFunc {
	return hostFunc{name, types(i64), nil, costEnter, func(_ context.Context, j *job, s []uint64) {
		j.logLine(level, j.block(s[0]))
	}}
}

// setVar sets a variable, which lives as long as the instance: for one call
// in a pooled agent.
func (j *job) setVar(key string, value []byte, remove bool) {
	g := j.guest
	if remove {
		delete(g.vars, key)
		return
	}
	total := len(key) + len(value)
	for k, v := range g.vars {
		if k != key {
			total += len(k) + len(v)
		}
	}
	j.charge(int64(len(g.vars)) * 50)
	if total > maxExtismVars {
		j.end(&sandbox.Error{Op: "run", Kind: sandbox.ErrMemory, Err: fmt.Errorf("its variables take more than %d bytes", maxExtismVars), Hint: "keep data in the memory or in globals instead"})
	}
	if g.vars == nil {
		g.vars = map[string][]byte{}
	}
	g.vars[key] = slices.Clone(value)
}

// userModule makes the host module with the operations that a plug-in
// imports, or nil if it imports none.
func (e *engine) userModule(info *meter.Info) (api.Module, error) {
	ctx := context.Background()
	b := e.rt.NewHostModuleBuilder(extismUser)
	seen := map[string]bool{}
	for _, i := range info.Imports {
		if i.Module != extismUser || seen[i.Name] {
			continue
		}
		seen[i.Name] = true
		if !slices.Equal(i.Type.Params, []meter.ValType{meter.ValType(i64)}) || !slices.Equal(i.Type.Results, []meter.ValType{meter.ValType(i64)}) {
			return nil, badCode("read", "declare operations as functions from an i64 offset to an i64 offset", fmt.Errorf("import %s.%s has the type %s", i.Module, i.Name, i.Type))
		}
		f := hostFunc{i.Name, types(i64), types(i64), costEnter, extismOperation(i.Name)}
		b.NewFunctionBuilder().WithGoModuleFunction(f.guarded(), f.params, f.results).Export(f.name)
	}
	if len(seen) == 0 {
		return nil, nil
	}
	compiled, err := b.Compile(ctx)
	if err != nil {
		return nil, err
	}
	return e.rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(""))
}

// extismOperation calls an operation with the JSON in a block. An error comes
// back as {"code", "message", "hint"} in a block as well: plug-ins have no
// other way to be told.
func extismOperation(op string) func(context.Context, *job, []uint64) {
	return func(ctx context.Context, j *job, s []uint64) {
		out, err := j.operation(ctx, op, slices.Clone(j.block(s[0])))
		if err != nil {
			out = sandbox.EncodeError(err)
		}
		s[0] = j.allocBytes(out)
	}
}
