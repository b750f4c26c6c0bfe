package meter

// The instruction set: what each opcode carries, what it costs and what it
// does to control flow. Everything the rewriter knows about instructions is
// in the tables of this file.

// imm is the form of one immediate operand.
type imm uint8

const (
	noImm     imm = iota
	immBlock      // block type
	immLabel      // relative depth of a label
	immLabels     // vector of labels and a default
	immCatch      // vector of catch clauses
	immFunc       // the index spaces
	immType
	immTable
	immLocal
	immGlobal
	immTag
	immData
	immElem
	immMemory // index of a memory: zero
	immMemArg // alignment and offset
	immI32    // constants
	immI64
	immF32
	immF64
	immV128 // 16 bytes
	immLane // one byte
	immTypes
	immHeap // heap type of ref.null
)

// flow is what an instruction does to control.
type flow uint8

const (
	straight flow = iota
	open          // block, try_table
	openLoop
	openIf
	elseOf
	closing  // end
	branch   // leaves for a label, or goes on (br_if)
	jump     // leaves for a label (br, br_table)
	leave    // leaves the function (return, throw)
	trap     // ends the call of the host
	call     // runs another function, then goes on
	tailCall // runs another function in its place
)

// bulk says which unit the length on top of the stack is priced in.
type bulk uint8

const (
	notBulk  bulk = iota
	perByte       // 1 for 16 bytes
	perEntry      // 1 for a table entry
)

// opcode describes one instruction. An opcode without a name is not part of
// the accepted instruction set; then hint says what to do about it.
type opcode struct {
	name   string
	imms   []imm
	cost   uint32
	flow   flow
	bulk   bulk
	sticky bool   // changes state that a reset of memory and globals misses
	eh     bool   // belongs to exception handling
	hint   string // of a known but refused opcode
}

// Costs other than 1. A unit is about one simple machine operation; dear
// instructions leave compiled code for the runtime or wait on the processor.
const (
	costFree   = 0 // structure, no code of its own
	costOp     = 1
	costDivide = 4
	costCall   = 4
	costExit   = 64     // wazero leaves compiled code
	costTry    = 16_384 // wazero copies the native stack
	costThrow  = 65_536 // the same, and searches for the handler
	costGrow   = 0      // see DESIGN.md: equal for fresh and grown instances
)

const (
	prefixMisc   = 0xfc
	prefixVector = 0xfd

	opBlock      = 0x02
	opLoop       = 0x03
	opIf         = 0x04
	opElse       = 0x05
	opEnd        = 0x0b
	opCall       = 0x10
	opReturnCall = 0x12
	opLocalGet   = 0x20
	opLocalSet   = 0x21
	opLocalTee   = 0x22
	opGlobalGet  = 0x23
	opGlobalSet  = 0x24
	opI32Const   = 0x41
	opI64Const   = 0x42
	opI64GeS     = 0x59
	opI64Add     = 0x7c
	opI64Sub     = 0x7d
	opI64Or      = 0x84
	opI64ShrU    = 0x88
	opI64ExtendU = 0xad
	emptyBlock   = 0x40
)

var coreOps = withSpans([256]opcode{
	0x00: {name: "unreachable", cost: costOp, flow: trap},
	0x01: {name: "nop", cost: costFree},
	0x02: {name: "block", imms: is(immBlock), cost: costFree, flow: open},
	0x03: {name: "loop", imms: is(immBlock), cost: costFree, flow: openLoop},
	0x04: {name: "if", imms: is(immBlock), cost: costOp, flow: openIf},
	0x05: {name: "else", cost: costFree, flow: elseOf},
	0x06: {hint: hintLegacyEH}, // try
	0x07: {hint: hintLegacyEH}, // catch
	0x08: {name: "throw", imms: is(immTag), cost: costThrow, flow: leave, eh: true},
	0x09: {hint: hintLegacyEH}, // rethrow
	0x0a: {name: "throw_ref", cost: costThrow, flow: leave, eh: true},
	0x0b: {name: "end", cost: costFree, flow: closing},
	0x0c: {name: "br", imms: is(immLabel), cost: costOp, flow: jump},
	0x0d: {name: "br_if", imms: is(immLabel), cost: costOp, flow: branch},
	0x0e: {name: "br_table", imms: is(immLabels), cost: costOp, flow: jump},
	0x0f: {name: "return", cost: costOp, flow: leave},
	0x10: {name: "call", imms: is(immFunc), cost: costCall, flow: call},
	0x11: {name: "call_indirect", imms: is(immType, immTable), cost: costCall, flow: call},
	0x12: {name: "return_call", imms: is(immFunc), cost: costCall, flow: tailCall},
	0x13: {name: "return_call_indirect", imms: is(immType, immTable), cost: costCall, flow: tailCall},
	0x14: {hint: hintGC},       // call_ref
	0x15: {hint: hintGC},       // return_call_ref
	0x18: {hint: hintLegacyEH}, // delegate
	0x19: {hint: hintLegacyEH}, // catch_all
	0x1a: {name: "drop", cost: costOp},
	0x1b: {name: "select", cost: costOp},
	0x1c: {name: "select", imms: is(immTypes), cost: costOp},
	0x1f: {name: "try_table", imms: is(immBlock, immCatch), cost: costTry, flow: open, eh: true},
	0x20: {name: "local.get", imms: is(immLocal), cost: costOp},
	0x21: {name: "local.set", imms: is(immLocal), cost: costOp},
	0x22: {name: "local.tee", imms: is(immLocal), cost: costOp},
	0x23: {name: "global.get", imms: is(immGlobal), cost: costOp},
	0x24: {name: "global.set", imms: is(immGlobal), cost: costOp},
	0x25: {name: "table.get", imms: is(immTable), cost: costOp},
	0x26: {name: "table.set", imms: is(immTable), cost: costOp, sticky: true},
	0x3f: {name: "memory.size", imms: is(immMemory), cost: costOp},
	0x40: {name: "memory.grow", imms: is(immMemory), cost: costGrow},
	0x41: {name: "i32.const", imms: is(immI32), cost: costOp},
	0x42: {name: "i64.const", imms: is(immI64), cost: costOp},
	0x43: {name: "f32.const", imms: is(immF32), cost: costOp},
	0x44: {name: "f64.const", imms: is(immF64), cost: costOp},
	0xd0: {name: "ref.null", imms: is(immHeap), cost: costOp},
	0xd1: {name: "ref.is_null", cost: costOp},
	0xd2: {name: "ref.func", imms: is(immFunc), cost: costExit},
	0xd3: {hint: hintGC}, // ref.eq
	0xd4: {hint: hintGC}, // ref.as_non_null
	0xd5: {hint: hintGC}, // br_on_null
	0xd6: {hint: hintGC}, // br_on_non_null
	0xfb: {hint: hintGC},
	0xfe: {hint: hintThreads},
},
	span{0x28, 0x35, opcode{name: "load", imms: is(immMemArg), cost: costOp}},
	span{0x36, 0x3e, opcode{name: "store", imms: is(immMemArg), cost: costOp}},
	span{0x45, 0xc4, opcode{name: "numeric", cost: costOp}},
	span{0x6d, 0x70, opcode{name: "i32.div or rem", cost: costDivide}},
	span{0x7f, 0x82, opcode{name: "i64.div or rem", cost: costDivide}},
	span{0x91, 0x91, opcode{name: "f32.sqrt", cost: costDivide}},
	span{0x95, 0x95, opcode{name: "f32.div", cost: costDivide}},
	span{0x9f, 0x9f, opcode{name: "f64.sqrt", cost: costDivide}},
	span{0xa3, 0xa3, opcode{name: "f64.div", cost: costDivide}},
)

// miscOps are the opcodes after 0xfc.
var miscOps = withSpans([256]opcode{
	8:  {name: "memory.init", imms: is(immData, immMemory), cost: costOp, bulk: perByte},
	9:  {name: "data.drop", imms: is(immData), cost: costOp, sticky: true},
	10: {name: "memory.copy", imms: is(immMemory, immMemory), cost: costOp, bulk: perByte},
	11: {name: "memory.fill", imms: is(immMemory), cost: costOp, bulk: perByte},
	12: {name: "table.init", imms: is(immElem, immTable), cost: costOp, bulk: perEntry, sticky: true},
	13: {name: "elem.drop", imms: is(immElem), cost: costOp, sticky: true},
	14: {name: "table.copy", imms: is(immTable, immTable), cost: costOp, bulk: perEntry, sticky: true},
	15: {name: "table.grow", imms: is(immTable), cost: costExit, bulk: perEntry, sticky: true},
	16: {name: "table.size", imms: is(immTable), cost: costOp},
	17: {name: "table.fill", imms: is(immTable), cost: costOp, bulk: perEntry, sticky: true},
},
	span{0, 7, opcode{name: "trunc_sat", cost: costOp}},
)

// vectorOps are the opcodes after 0xfd; later spans overwrite earlier ones.
var vectorOps = withSpans([256]opcode{
	0x0c: {name: "v128.const", imms: is(immV128), cost: costOp},
	0x0d: {name: "i8x16.shuffle", imms: is(immV128), cost: costOp},
},
	span{0x0e, 0xff, opcode{name: "vector", cost: costOp}},
	span{0x00, 0x0b, opcode{name: "vector load or store", imms: is(immMemArg), cost: costOp}},
	span{0x15, 0x22, opcode{name: "vector lane", imms: is(immLane), cost: costOp}},
	span{0x54, 0x5b, opcode{name: "vector lane load or store", imms: is(immMemArg, immLane), cost: costOp}},
	span{0x5c, 0x5d, opcode{name: "vector load", imms: is(immMemArg), cost: costOp}},
	span{0xe3, 0xe3, opcode{name: "f32x4.sqrt", cost: costDivide}},
	span{0xe7, 0xe7, opcode{name: "f32x4.div", cost: costDivide}},
	span{0xef, 0xef, opcode{name: "f64x2.sqrt", cost: costDivide}},
	span{0xf3, 0xf3, opcode{name: "f64x2.div", cost: costDivide}},
	span{0x9a, 0x9a, opcode{}}, // from here on: numbers that the specification leaves free
	span{0xa2, 0xa2, opcode{}},
	span{0xa5, 0xa6, opcode{}},
	span{0xaf, 0xb0, opcode{}},
	span{0xb2, 0xb4, opcode{}},
	span{0xbb, 0xbb, opcode{}},
	span{0xc2, 0xc2, opcode{}},
	span{0xc5, 0xc6, opcode{}},
	span{0xcf, 0xd0, opcode{}},
	span{0xd2, 0xd4, opcode{}},
	span{0xe2, 0xe2, opcode{}},
	span{0xee, 0xee, opcode{}},
)

func is(imms ...imm) []imm { return imms }

// span is a run of opcodes that differ in nothing that matters here.
type span struct {
	from, to int
	opcode
}

func withSpans(t [256]opcode, spans ...span) [256]opcode {
	for _, s := range spans {
		for i := s.from; i <= s.to; i++ {
			t[i] = s.opcode
		}
	}
	return t
}

// constant reports whether an opcode may stand in a constant expression,
// extended constant expressions included.
func constant(prefix, op byte) bool {
	switch {
	case prefix == prefixVector:
		return op == 12 // v128.const
	case prefix != 0:
		return false
	}
	switch op {
	case opEnd, opGlobalGet, opI32Const, opI64Const, 0x43, 0x44, 0xd0, 0xd2,
		0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // add, sub, mul
		return true
	}
	return false
}
