package meter

import "time"

// function is one function body, decoded and encoded anew, with the places
// at which the emitter adds code.
type function struct {
	sig    Signature
	locals []byte // the encoded vector of declarations
	groups uint32 // entries of it
	next   uint32 // index of the first local after those of the module
	body   []byte
	marks  []mark // in order of their places
	weight int64  // units of stack that a frame takes
	cost   int64  // of all its code, each instruction once
	calls  bool   // it can call another function
	bulk   bool   // it needs a local for lengths
	tight  bool   // it needs a local for the fuel

	sticky  string        // an instruction that changes more than memory and globals
	compile time.Duration // see compileTime
}

// mark is a place for code of the rewriter.
type mark struct {
	at    int // offset in function.body
	kind  markKind
	tight bool  // in a loop without calls: the fuel is in a local, too
	arg   int64 // cost of a charge, callee of a direct call
	prev  int   // charge: the mark before it in the same block, or -1
	end   int   // loop without calls: the first mark after it; otherwise 0
}

type markKind uint8

const (
	markEntry    markKind = iota // charge, and check as far as needed
	markCharge                   // charge
	markBefore                   // just before a loop: fetch the fuel if it is tight
	markLoop                     // charge and check fuel
	markBytes                    // charge the length on the stack, 16 bytes a unit, and check
	markEntries                  // the same, an entry a unit
	markCall                     // set the depth for the callee; arg is its index
	markIndirect                 // the same for an unknown callee
	markTail                     // give the own depth back: the callee takes this frame
)

// analyse decodes all function bodies.
func analyse(m *module, lim Limits, exceptions bool) []function {
	fns := make([]function, len(m.codes))
	p := &parser{module: m, lim: lim, exceptions: exceptions}
	var total time.Duration
	for i := range m.codes {
		a := analysis{
			decoder: decoder{module: m, reader: &m.codes[i], parser: p},
			fn:      &fns[i],
		}
		at := a.offset()
		a.fn.sig = m.signature(uint32(i) + m.nimport)
		if n := len(a.b); n > lim.Body {
			overLimit(at, "bytes of a function", n, lim.Body)
		}
		a.locals(lim.Locals)
		a.body(lim.Nesting)
		if total += a.fn.compile; a.fn.compile > lim.CompileTime/4 || total > lim.CompileTime {
			fail(ErrLimit, at, "Split large functions, optimize for size (`-Os`), or raise the limit if you trust its author.",
				"estimated time to compile function %d: %v, all up to it: %v, limit %v", uint32(i)+m.nimport, a.fn.compile, total, lim.CompileTime)
		}
	}
	return fns
}

// compileTime bounds what wazero v1.12 takes to compile a function of the
// worst shape: a time quadratic in the basic blocks, a join for each block and
// local (which also takes some 200 bytes of memory), and registers for each
// instruction.
func compileTime(bytes, blocks, locals int) time.Duration {
	const each, square, join, perByte = 10_000, 6, 1_500, 3_000 // nanoseconds
	return time.Duration(each + square*blocks*blocks + join*blocks*locals + perByte*bytes)
}

// frame is a block that is open. Instructions are charged at the mark cur,
// which stands where control must pass to reach them.
type frame struct {
	isIf  bool // and its else may follow
	dead  bool // after an instruction that never goes on
	calls bool // something in it called, or may have thrown
	cur   int  // the mark, or -1: the next instruction needs a new one
	last  int  // the mark before, or -1
	loop  int  // the mark of the loop that it is, or -1
}

func (f *frame) latest() int {
	if f.cur >= 0 {
		return f.cur
	}
	return f.last
}

// analysis walks one body and finds its basic blocks.
type analysis struct {
	decoder
	fn     *function
	frames []frame
	values int   // values that the frame may hold, vectors twice
	blocks int   // basic blocks, those of the rewriter included
	constI int64 // value of the i32.const just before, or -1
}

// locals reads the declarations.
func (a *analysis) locals(limit int) {
	n := a.count("groups of locals", limit)
	a.fn.groups = uint32(n)
	total := uint64(0)
	for ; n > 0; n-- {
		at := a.offset()
		k := a.u32()
		if total += uint64(k); total > uint64(limit) {
			overLimit(at, "locals of a function", int(total), limit)
		}
		a.fn.locals = append(appendU32(a.fn.locals, k), a.parser.valType(a.reader))
	}
	a.nlocals = uint32(len(a.fn.sig.Params)) + uint32(total)
	a.fn.next = a.nlocals
}

func (a *analysis) body(nesting int) {
	size := len(a.b) - a.pos
	a.fn.body = make([]byte, 0, size)
	a.blocks = 1 + checkBlocks
	a.mark(markEntry, 0, -1)
	a.frames = append(a.frames, frame{cur: 0, last: -1, loop: -1})
	for len(a.frames) > 0 {
		a.depth = len(a.frames)
		a.next()
		a.instruction()
		if len(a.frames) > nesting {
			overLimit(a.at, "nested blocks", len(a.frames), nesting)
		}
	}
	if !a.done() {
		a.malformed("bytes after the end of a function")
	}
	a.fn.weight = frameWeight(int(a.nlocals)+slots(a.fn.sig.Results), a.values)
	a.fn.compile = compileTime(size, a.blocks, int(a.nlocals))
	a.fn.tight = markTight(a.fn.marks)
	for _, m := range a.fn.marks {
		if m.kind == markEntry || m.kind == markCharge || m.kind == markLoop {
			a.fn.cost += m.arg
		}
	}
}

// instruction books the instruction just decoded and copies it.
func (a *analysis) instruction() {
	constI := a.constI
	a.constI = -1
	if a.op.sticky {
		a.fn.sticky = a.op.name
	}
	if a.op.eh {
		a.top().calls = true // a handler may find older locals than the throw left
	}
	switch a.op.flow {
	case closing:
		a.close()
	case elseOf:
		if top := a.top(); !top.isIf {
			fail(ErrMalformed, a.at, hintRebuild, "else without if")
		} else {
			*top = frame{cur: -1, last: a.frames[len(a.frames)-2].latest(), calls: top.calls, loop: -1}
		}
	default:
		a.values += a.produced()
		a.charge(int64(a.op.cost))
	}
	switch a.op.flow {
	case straight:
		if a.op.bulk != notBulk {
			a.bulkOp(constI)
		}
		if a.enc[0] == opI32Const {
			a.constI = int64(uint32(a.value))
		}
	case call, tailCall:
		a.callOp()
	case openLoop:
		a.mark(markBefore, 0, -1)
	}
	a.fn.body = append(a.fn.body, a.enc...)
	a.control()
}

// checkBlocks is the number of basic blocks that a check adds.
const checkBlocks = 3

// control opens and closes blocks as the instruction does.
func (a *analysis) control() {
	if a.op.flow != straight && a.op.flow != call {
		a.blocks += 1 + len(a.labels)
	}
	switch a.op.flow {
	case open:
		a.frames = append(a.frames, frame{cur: a.top().cur, last: a.top().last, loop: -1})
	case openIf:
		a.frames = append(a.frames, frame{isIf: true, cur: -1, last: a.top().latest(), loop: -1})
	case openLoop:
		a.blocks += 1 + checkBlocks
		loop := a.mark(markLoop, 0, -1)
		a.frames = append(a.frames, frame{cur: loop, last: -1, loop: loop})
	case branch, jump:
		for _, l := range a.labels {
			a.leaveTo(int(l))
		}
		a.top().dead = a.op.flow == jump
	case leave, tailCall:
		a.leaveTo(len(a.frames) - 1)
		a.top().dead = true
	case trap:
		a.top().dead = true
	}
}

// close ends the innermost block.
func (a *analysis) close() {
	f := *a.top()
	a.frames = a.frames[:len(a.frames)-1]
	if f.loop >= 0 && !f.calls {
		a.fn.marks[f.loop].end = len(a.fn.marks)
	}
	if len(a.frames) > 0 && f.calls {
		a.top().calls = true
	}
}

func (a *analysis) top() *frame { return &a.frames[len(a.frames)-1] }

// mark notes a place before the next instruction.
func (a *analysis) mark(k markKind, arg int64, prev int) int {
	a.fn.marks = append(a.fn.marks, mark{at: len(a.fn.body), kind: k, arg: arg, prev: prev})
	return len(a.fn.marks) - 1
}

// charge adds a cost to the current mark; without one it makes one here. A
// block shares the mark of the block around it, so it must have one even at
// no cost.
func (a *analysis) charge(cost int64) {
	f := a.top()
	if f.dead && a.op.flow != open {
		return
	}
	if f.cur < 0 && (cost > 0 || a.op.flow == open) {
		f.cur = a.mark(markCharge, 0, f.last)
		f.last = f.cur
	}
	if f.cur >= 0 {
		a.fn.marks[f.cur].arg += cost
	}
}

// leaveTo books a branch to a label: in every block up to the one that the
// label names, what follows is no longer run as often as what went before.
// Blocks further out are: control goes on there, at the end of that block.
func (a *analysis) leaveTo(label int) {
	for i := len(a.frames) - 1; i >= len(a.frames)-1-label; i-- {
		f := &a.frames[i]
		f.last, f.cur = f.latest(), -1
	}
}

// maxInline is the length of a bulk operation, known beforehand, up to which
// its cost is charged with the block, without a check.
const maxInline = 4096

func (a *analysis) bulkOp(length int64) {
	if a.op.bulk == perByte && length >= 0 && length <= maxInline {
		a.charge(length / bytesPerUnit)
		return
	}
	a.fn.bulk = true
	k := markEntries
	if a.op.bulk == perByte {
		k = markBytes
	}
	a.mark(k, 0, -1)
	a.blocks += checkBlocks
}

func (a *analysis) callOp() {
	a.fn.calls, a.top().calls = true, true
	switch {
	case a.op.flow == tailCall && inRegisters(a.callee()):
		a.mark(markTail, 0, -1)
	case a.direct():
		a.mark(markCall, int64(a.first), -1)
	default:
		a.mark(markIndirect, 0, -1)
	}
}

// tailRegisters is the number of values of either direction that both of
// wazero's processors pass in registers. With more it makes a tail call into
// an ordinary one, which keeps the frame.
const tailRegisters = 6

func inRegisters(s Signature) bool {
	return len(s.Params) <= tailRegisters && len(s.Results) <= tailRegisters
}

// direct reports whether the call instruction names the function, not a type.
func (a *analysis) direct() bool { return a.enc[0] == opCall || a.enc[0] == opReturnCall }

func (a *analysis) callee() Signature {
	if a.direct() {
		return a.signature(a.first)
	}
	return a.types[a.first]
}

// maxEarly is how much may be charged early, with the block before, to save
// charges of their own.
const maxEarly = 16

// mergeSmall charges short blocks together with the block that always comes
// before them: a charge costs more than they do.
func mergeSmall(marks []mark) {
	root := make([]int, len(marks))
	early := make([]int64, len(marks))
	for i := range marks {
		m := &marks[i]
		root[i] = i
		if m.kind != markCharge || m.prev < 0 {
			continue
		}
		if r := root[m.prev]; early[r]+m.arg <= maxEarly {
			early[r] += m.arg
			marks[r].arg += m.arg
			m.arg = 0
			root[i] = r
		}
	}
}

// markTight finds the outermost loops without calls and marks everything in
// them, and the place before them.
func markTight(marks []mark) (any bool) {
	end := 0
	for i := range marks {
		if i >= end && marks[i].kind == markLoop && marks[i].end > 0 {
			end = marks[i].end
			marks[i-1].tight = true // its markBefore
			any = true
		}
		marks[i].tight = marks[i].tight || i < end
	}
	return any
}

// produced is the number of values that the instruction leaves in the frame,
// at most.
func (a *analysis) produced() int {
	switch a.op.flow {
	case call, tailCall:
		return slots(a.callee().Results)
	case open, openIf, openLoop:
		return slots(a.block.Params) + slots(a.block.Results)
	}
	if a.enc[0] == prefixVector {
		return 2
	}
	return 1
}

// slots is the room that values take, in words of 8 bytes.
func slots(types []ValType) int {
	n := len(types)
	for _, t := range types {
		if t == typeV128 {
			n++
		}
	}
	return n
}

// frameWeight estimates the native stack that a call takes, in units of up to
// a kilobyte, from its parameters, locals and results, and from the values
// that it computes: see DESIGN.md for the figures behind it.
func frameWeight(named, values int) int64 {
	return 1 + int64(named)/16 + int64(values)/256
}
