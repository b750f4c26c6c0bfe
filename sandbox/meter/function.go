package meter

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
	calls  bool   // it can call another function
	bulk   bool   // it needs a local for lengths
}

// mark is a place for code of the rewriter.
type mark struct {
	at   int // offset in function.body
	kind markKind
	arg  int64 // cost of a charge, callee of a direct call
	prev int   // charge: the mark before it in the same block, or -1
}

type markKind uint8

const (
	markEntry    markKind = iota // charge, and check fuel and stack
	markCharge                   // charge
	markLoop                     // charge and check fuel
	markBytes                    // charge the length on the stack, 16 bytes a unit, and check
	markEntries                  // the same, an entry a unit
	markCall                     // set the depth for the callee; arg is its index
	markIndirect                 // the same for an unknown callee
	markTail                     // give the own depth back: the callee takes this frame
)

// analyse decodes all function bodies.
func analyse(m *module, lim Limits, exceptions bool) (fns []function, sticky string) {
	fns = make([]function, len(m.codes))
	p := &parser{module: m, lim: lim, exceptions: exceptions}
	allLocals, allTargets := 0, 0
	for i := range m.codes {
		f := uint32(i) + m.nimport
		a := analysis{
			decoder: decoder{module: m, reader: &m.codes[i], parser: p},
			fn:      &fns[i],
		}
		a.fn.sig = m.signature(f)
		if n := len(a.b); n > lim.Body {
			overLimit(a.offset(), "bytes of a function", n, lim.Body)
		}
		if allLocals += a.locals(lim.Locals); allLocals > lim.AllLocals {
			overLimit(a.offset(), "locals of all functions", allLocals, lim.AllLocals)
		}
		a.body(lim.Nesting)
		if allTargets += a.targets; allTargets > 64*lim.BranchTargets {
			overLimit(a.offset(), "branch targets of all functions", allTargets, 64*lim.BranchTargets)
		}
		if sticky == "" {
			sticky = a.sticky
		}
	}
	return fns, sticky
}

// frame is a block that is open. Instructions are charged at the mark cur,
// which stands where control must pass to reach them.
type frame struct {
	isIf bool // and its else may follow
	dead bool // after an instruction that never goes on
	cur  int  // the mark, or -1: the next instruction needs a new one
	last int  // the mark before, or -1
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
	fn      *function
	frames  []frame
	instrs  int // instructions that may hold a value in the frame
	targets int
	sticky  string
	constI  int64 // value of the i32.const just before, or -1
}

// locals reads the declarations and returns their number.
func (a *analysis) locals(limit int) int {
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
	return int(total)
}

func (a *analysis) body(nesting int) {
	a.fn.body = make([]byte, 0, len(a.b)-a.pos)
	a.mark(markEntry, 0, -1)
	a.frames = append(a.frames, frame{cur: 0, last: -1})
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
	a.fn.weight = frameWeight(int(a.nlocals), a.instrs)
	mergeSmall(a.fn.marks)
}

// instruction books the instruction just decoded and copies it.
func (a *analysis) instruction() {
	constI := a.constI
	a.constI = -1
	a.targets += len(a.labels)
	if a.op.sticky && a.sticky == "" {
		a.sticky = a.op.name
	}
	switch a.op.flow {
	case closing:
		a.frames = a.frames[:len(a.frames)-1]
	case elseOf:
		if top := a.top(); !top.isIf {
			fail(ErrMalformed, a.at, hintRebuild, "else without if")
		} else {
			*top = frame{cur: -1, last: a.frames[len(a.frames)-2].latest()}
		}
	default:
		a.instrs++
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
	}
	a.fn.body = append(a.fn.body, a.enc...)
	a.control()
}

// control opens and closes blocks as the instruction does.
func (a *analysis) control() {
	switch a.op.flow {
	case open:
		a.frames = append(a.frames, frame{cur: a.top().cur, last: a.top().last})
	case openIf:
		a.frames = append(a.frames, frame{isIf: true, cur: -1, last: a.top().latest()})
	case openLoop:
		a.frames = append(a.frames, frame{cur: a.mark(markLoop, 0, -1), last: -1})
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
}

func (a *analysis) callOp() {
	a.fn.calls = true
	direct := a.enc[0] == opCall || a.enc[0] == opReturnCall
	switch {
	case a.op.flow == tailCall && a.inRegisters(direct):
		a.mark(markTail, 0, -1)
	case direct:
		a.mark(markCall, int64(a.first), -1)
	default:
		a.mark(markIndirect, 0, -1)
	}
}

// tailRegisters is the number of values of either direction that both of
// wazero's processors pass in registers. With more it makes a tail call into
// an ordinary one, which keeps the frame.
const tailRegisters = 6

func (a *analysis) inRegisters(direct bool) bool {
	var s Signature
	if direct {
		s = a.signature(a.first)
	} else {
		s = a.types[a.first]
	}
	return len(s.Params) <= tailRegisters && len(s.Results) <= tailRegisters
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

// frameWeight estimates the native stack that a call takes, in units of about
// 128 bytes: see DESIGN.md for the figures behind it.
func frameWeight(locals, instrs int) int64 {
	return 1 + int64(locals)/16 + int64(instrs)/256
}
