package meter

// emitter writes the rewritten module.
type emitter struct {
	*module
	fns   []function
	out   []byte
	yield uint32 // index of the imported function
	fuel  uint32 // indices of the added globals
	stack uint32
	sites int
}

func newEmitter(m *module, fns []function, size int) *emitter {
	return &emitter{
		module: m, fns: fns, out: make([]byte, 0, size+size/4+1024),
		yield: m.nimport, fuel: uint32(len(m.globals)), stack: uint32(len(m.globals)) + 1,
	}
}

func (e *emitter) emit() []byte {
	e.out = append(e.out, "\x00asm\x01\x00\x00\x00"...)
	e.section(secType, true, e.typeSection)
	e.section(secImport, true, e.importSection)
	e.section(secFunction, len(e.fns) > 0, e.functionSection)
	e.section(secTable, len(e.tables) > 0, e.tableSection)
	e.section(secMemory, e.memory != nil, e.memorySection)
	e.section(secTag, len(e.tags) > 0, e.tagSection)
	e.section(secGlobal, true, e.globalSection)
	e.section(secExport, true, e.exportSection)
	e.section(secElement, len(e.elems) > 0, e.elementSection)
	e.section(secDataCount, e.counted != nil, e.dataCountSection)
	e.section(secCode, len(e.fns) > 0, e.codeSection)
	e.section(secData, len(e.data) > 0, e.dataSection)
	e.nameSection()
	return e.out
}

// section writes one section with its length, which is known only afterwards.
func (e *emitter) section(id byte, present bool, body func()) {
	if !present {
		return
	}
	e.out = append(e.out, id)
	e.sized(body)
}

// sized writes what body writes, after its length.
func (e *emitter) sized(body func()) {
	from := len(e.out)
	body()
	n := len(e.out) - from
	var room [5]byte
	head := appendU32(room[:0], uint32(n))
	e.out = append(e.out, head...)
	copy(e.out[from+len(head):], e.out[from:from+n])
	copy(e.out[from:], head)
}

func (e *emitter) byte(b ...byte) { e.out = append(e.out, b...) }
func (e *emitter) u32(v uint32)   { e.out = appendU32(e.out, v) }
func (e *emitter) count(n int)    { e.u32(uint32(n)) }
func (e *emitter) name(s string)  { e.out = appendName(e.out, s) }

func (e *emitter) typeSection() {
	e.count(len(e.types) + 1)
	for _, t := range e.types {
		e.byte(0x60)
		e.valTypes(t.Params)
		e.valTypes(t.Results)
	}
	e.byte(0x60, 0, 0) // type of yield
}

func (e *emitter) valTypes(types []ValType) {
	e.count(len(types))
	for _, t := range types {
		e.byte(byte(t))
	}
}

func (e *emitter) importSection() {
	e.count(len(e.imports) + 1)
	for _, i := range e.imports {
		e.importFunc(i.Module, i.Name, i.typ)
	}
	e.importFunc(ImportModule, Yield, uint32(len(e.types)))
}

func (e *emitter) importFunc(module, name string, typ uint32) {
	e.name(module)
	e.name(name)
	e.byte(byte(KindFunc))
	e.u32(typ)
}

func (e *emitter) functionSection() {
	e.count(len(e.fns))
	for _, t := range e.funcs[e.nimport:] {
		e.u32(t)
	}
}

func (e *emitter) limits(l limits) {
	if !l.hasMax {
		e.byte(0)
		e.u32(l.min)
		return
	}
	e.byte(1)
	e.u32(l.min)
	e.u32(l.max)
}

func (e *emitter) tableSection() {
	e.count(len(e.tables))
	for _, t := range e.tables {
		e.byte(t.typ)
		e.limits(t.limits)
	}
}

func (e *emitter) memorySection() {
	e.count(1)
	e.limits(*e.memory)
}

func (e *emitter) tagSection() {
	e.count(len(e.tags))
	for _, t := range e.tags {
		e.byte(0)
		e.u32(t)
	}
}

func (e *emitter) globalSection() {
	e.count(len(e.globals) + 2)
	for _, g := range e.globals {
		e.byte(g.typ, flag(g.mutable))
		e.expr(g.init)
	}
	for range 2 { // fuel and stack
		e.byte(typeI64, 1, opI64Const, 0, opEnd)
	}
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// expr copies a constant expression, with function indices moved.
func (e *emitter) expr(x expr) {
	d := decoder{module: e.module, reader: &x.reader, parser: &parser{module: e.module, exceptions: true}, constant: true}
	for !d.done() {
		d.next()
		e.byte(d.enc...)
	}
}

func (e *emitter) exportSection() {
	mutable := 0
	for _, g := range e.globals {
		mutable += int(flag(g.mutable))
	}
	e.count(len(e.exports) + mutable + 2 + int(flag(e.start != nil)))
	for _, x := range e.exports {
		i := x.index
		if Kind(x.kind) == KindFunc {
			i = e.moved(i)
		}
		e.export(x.name, Kind(x.kind), i)
	}
	for i, g := range e.globals {
		if g.mutable {
			e.export(globalName(i), KindGlobal, uint32(i))
		}
	}
	e.export(Fuel, KindGlobal, e.fuel)
	e.export(Stack, KindGlobal, e.stack)
	if e.start != nil {
		e.export(Start, KindFunc, e.moved(*e.start))
	}
}

func (e *emitter) export(name string, k Kind, index uint32) {
	e.name(name)
	e.byte(byte(k))
	e.u32(index)
}

func (e *emitter) elementSection() {
	e.count(len(e.elems))
	for i := range e.elems {
		e.element(&e.elems[i])
	}
}

func (e *emitter) element(s *elem) {
	e.u32(s.flags)
	if s.active() {
		if s.flags&elemExplicit != 0 {
			e.u32(s.table)
		}
		e.expr(s.offset)
	}
	if s.flags&(elemPassive|elemExplicit) != 0 {
		if s.flags&elemExprs != 0 {
			e.byte(s.typ)
		} else {
			e.byte(0)
		}
	}
	e.count(len(s.funcs) + len(s.exprs))
	for _, f := range s.funcs {
		e.u32(e.moved(f))
	}
	for _, x := range s.exprs {
		e.expr(x)
	}
}

func (e *emitter) dataCountSection() { e.u32(*e.counted) }

func (e *emitter) dataSection() {
	e.count(len(e.data))
	for _, s := range e.data {
		e.byte(flag(s.passive))
		if !s.passive {
			e.expr(s.offset)
		}
		e.count(len(s.bytes))
		e.byte(s.bytes...)
	}
}

func (e *emitter) codeSection() {
	e.count(len(e.fns))
	for i := range e.fns {
		e.sized(func() { e.function(&e.fns[i]) })
	}
}

// maxUnchecked is the cost up to which a function that calls nothing is not
// checked at its entry: its callers are checked often enough.
const maxUnchecked = 64

// ownLocals are the locals that the rewriter adds to a function, as far as it
// needs them.
type ownLocals struct{ depth, length, fuel uint32 }

func (e *emitter) function(f *function) {
	var own ownLocals
	next, n, decl := f.next, uint32(0), [6]byte{}
	add := func(local *uint32, needed bool, typ byte) {
		if needed {
			*local = next + n
			decl[2*n], decl[2*n+1] = 1, typ
			n++
		}
	}
	add(&own.depth, f.calls, typeI64)
	add(&own.fuel, f.tight, typeI64)
	add(&own.length, f.bulk, typeI32)
	e.u32(f.groups + n)
	e.byte(f.locals...)
	e.byte(decl[:2*n]...)
	from := 0
	for i := range f.marks {
		m := &f.marks[i]
		e.byte(f.body[from:m.at]...)
		from = m.at
		e.mark(f, m, own)
	}
	e.byte(f.body[from:]...)
}

// mark writes the code of one mark.
func (e *emitter) mark(f *function, m *mark, own ownLocals) {
	switch m.kind {
	case markCharge:
		e.charge(m, own)
	case markBefore:
		if m.tight {
			e.op(opGlobalGet, e.fuel)
			e.op(opLocalSet, own.fuel)
		}
	case markLoop:
		e.charge(m, own)
		e.checkFuel(m, own)
	case markEntry:
		e.charge(m, own)
		switch {
		case f.calls:
			e.enter(f, own)
		case f.cost > maxUnchecked:
			e.checkFuel(m, own)
		}
	case markBytes, markEntries:
		e.chargeLength(m, own)
	case markCall:
		callee := m.arg - int64(e.nimport)
		if callee >= 0 && !e.fns[callee].calls {
			return // it has no use for the depth
		}
		fallthrough
	case markIndirect:
		e.op(opLocalGet, own.depth)
		e.op(opGlobalSet, e.stack)
	case markTail:
		e.op(opLocalGet, own.depth)
		e.i64(f.weight)
		e.byte(opI64Add)
		e.op(opGlobalSet, e.stack)
	}
}

func (e *emitter) op(code byte, index uint32) {
	e.byte(code)
	e.u32(index)
}

func (e *emitter) i64(v int64) {
	e.byte(opI64Const)
	e.out = appendSigned(e.out, v)
}

// charge takes a known cost from the fuel.
func (e *emitter) charge(m *mark, own ownLocals) {
	if m.arg == 0 {
		return
	}
	e.sites++
	e.getFuel(m, own)
	e.i64(m.arg)
	e.byte(opI64Sub)
	e.setFuel(m, own)
}

// getFuel and setFuel keep the fuel of a loop without calls in a local, which
// lives in a register, and write it through to the global. Fetching it from
// the global in each pass would make each pass wait for the store of the one
// before.
func (e *emitter) getFuel(m *mark, own ownLocals) {
	if m.tight {
		e.op(opLocalGet, own.fuel)
		return
	}
	e.op(opGlobalGet, e.fuel)
}

func (e *emitter) setFuel(m *mark, own ownLocals) {
	if m.tight {
		e.op(opLocalTee, own.fuel)
	}
	e.op(opGlobalSet, e.fuel)
}

// yieldIfNegative calls yield if the i64 on the stack is negative, between
// what before and after write. The call stands in the else of an empty if:
// where two ways meet, wazero gives each variable the place that it has on the
// way written first, and that must be the way without the call, or every pass
// of a loop would fetch its variables from memory for a call that it does not
// make.
func (e *emitter) yieldIfNegative(before, after func()) {
	e.i64(0)
	e.byte(opI64GeS, opIf, emptyBlock, opElse)
	before()
	e.op(opCall, e.yield)
	after()
	e.byte(opEnd)
}

func (e *emitter) checkFuel(m *mark, own ownLocals) {
	e.getFuel(m, own)
	e.yieldIfNegative(func() {}, func() {
		if m.tight {
			e.op(opGlobalGet, e.fuel)
			e.op(opLocalSet, own.fuel)
		}
	})
}

// enter computes the depth that is left for callees and checks it together
// with the fuel: their union is negative if one of them is. The global shows
// the host a depth below zero; otherwise it is set at each call.
func (e *emitter) enter(f *function, own ownLocals) {
	e.op(opGlobalGet, e.stack)
	e.i64(f.weight)
	e.byte(opI64Sub)
	e.op(opLocalTee, own.depth)
	e.op(opGlobalGet, e.fuel)
	e.byte(opI64Or)
	e.yieldIfNegative(func() {
		e.op(opLocalGet, own.depth)
		e.op(opGlobalSet, e.stack)
	}, func() {})
}

// bytesPerUnit is how many bytes of memory one unit of fuel fills or copies.
const bytesPerUnit = 16

// chargeLength takes the unsigned length on top of the stack from the fuel,
// leaves it there, and checks: one such instruction may touch all memory.
func (e *emitter) chargeLength(m *mark, own ownLocals) {
	e.sites++
	e.op(opLocalTee, own.length)
	e.getFuel(m, own)
	e.op(opLocalGet, own.length)
	e.byte(opI64ExtendU)
	if m.kind == markBytes {
		e.i64(4) // 1<<4 == bytesPerUnit
		e.byte(opI64ShrU)
	}
	e.byte(opI64Sub)
	e.setFuel(m, own)
	e.checkFuel(m, own)
}
