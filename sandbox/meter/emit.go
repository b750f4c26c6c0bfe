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
		e.byte(0x7e, 1, opI64Const, 0, opEnd)
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

func (e *emitter) function(f *function) {
	own := uint32(0)
	depth, length := f.next, f.next
	if f.calls {
		own++
		length++
	}
	if f.bulk {
		own++
	}
	e.u32(f.groups + own)
	e.byte(f.locals...)
	if f.calls {
		e.byte(1, 0x7e)
	}
	if f.bulk {
		e.byte(1, 0x7f)
	}
	from := 0
	for _, m := range f.marks {
		e.byte(f.body[from:m.at]...)
		from = m.at
		e.mark(f, m, depth, length)
	}
	e.byte(f.body[from:]...)
}

// mark writes the code of one mark. depth and length are the locals of the
// rewriter.
func (e *emitter) mark(f *function, m mark, depth, length uint32) {
	switch m.kind {
	case markCharge:
		e.charge(m.arg)
	case markLoop:
		e.charge(m.arg)
		e.check(func() { e.op(opGlobalGet, e.fuel) }, func() {})
	case markEntry:
		e.charge(m.arg)
		if f.calls {
			e.enter(f, depth)
		}
	case markBytes, markEntries:
		e.chargeLength(m.kind, length)
	case markCall:
		callee := int64(m.arg) - int64(e.nimport)
		if callee >= 0 && !e.fns[callee].calls {
			return // it has no use for the depth
		}
		fallthrough
	case markIndirect:
		e.op(opLocalGet, depth)
		e.op(opGlobalSet, e.stack)
	case markTail:
		e.op(opLocalGet, depth)
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
func (e *emitter) charge(cost int64) {
	if cost == 0 {
		return
	}
	e.sites++
	e.op(opGlobalGet, e.fuel)
	e.i64(cost)
	e.byte(opI64Sub)
	e.op(opGlobalSet, e.fuel)
}

// check calls yield if the i64 that value leaves is negative.
func (e *emitter) check(value, before func()) {
	value()
	e.i64(0)
	e.byte(opI64LtS, opIf, emptyBlock)
	before()
	e.op(opCall, e.yield)
	e.byte(opEnd)
}

// enter computes the depth that is left for callees and checks it together
// with the fuel: their sum is negative in the sign bit if one of them is. The
// global shows the host a depth below zero; otherwise it is set at each call.
func (e *emitter) enter(f *function, depth uint32) {
	e.check(func() {
		e.op(opGlobalGet, e.stack)
		e.i64(f.weight)
		e.byte(opI64Sub)
		e.op(opLocalTee, depth)
		e.op(opGlobalGet, e.fuel)
		e.byte(opI64Or)
	}, func() {
		e.op(opLocalGet, depth)
		e.op(opGlobalSet, e.stack)
	})
}

// bytesPerUnit is how many bytes of memory one unit of fuel fills or copies.
const bytesPerUnit = 16

// chargeLength takes the unsigned length on top of the stack from the fuel,
// leaves it there, and checks: one such instruction may touch all memory.
func (e *emitter) chargeLength(k markKind, length uint32) {
	e.sites++
	e.op(opLocalTee, length)
	e.op(opGlobalGet, e.fuel)
	e.op(opLocalGet, length)
	e.byte(opI64ExtendU)
	if k == markBytes {
		e.i64(4) // 1<<4 == bytesPerUnit
		e.byte(opI64ShrU)
	}
	e.byte(opI64Sub)
	e.op(opGlobalSet, e.fuel)
	e.check(func() { e.op(opGlobalGet, e.fuel) }, func() {})
}
