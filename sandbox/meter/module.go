package meter

import (
	"bytes"
	"fmt"
)

const (
	secCustom    = 0
	secType      = 1
	secImport    = 2
	secFunction  = 3
	secTable     = 4
	secMemory    = 5
	secGlobal    = 6
	secExport    = 7
	secStart     = 8
	secElement   = 9
	secCode      = 10
	secData      = 11
	secDataCount = 12
	secTag       = 13
)

// Value types by their numbers in the binary format.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
	typeExnref    = 0x69
)

// sectionRank gives the order in which sections must appear, from 1.
var sectionRank = map[byte]int{
	secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secTag: 6, secGlobal: 7,
	secExport: 8, secStart: 9, secElement: 10, secDataCount: 11, secCode: 12, secData: 13,
}

var sectionName = map[byte]string{
	secType: "type", secImport: "import", secFunction: "function", secTable: "table", secMemory: "memory", secTag: "tag",
	secGlobal: "global", secExport: "export", secStart: "start", secElement: "element", secDataCount: "data count", secCode: "code", secData: "data",
}

// module is a decoded module. Function bodies, constant expressions and data
// are slices of the file that have not been looked into.
type module struct {
	types   []Signature
	imports []Import
	funcs   []uint32 // type of every function, imported ones first
	nimport uint32   // imported functions
	tables  []table
	memory  *limits
	globals []global
	tags    []uint32 // type of every tag
	exports []export
	start   *uint32
	elems   []elem
	ndata   int // entries of the data section
	counted *uint32
	codes   []reader
	data    []segment
	customs []Custom
}

type limits struct {
	min    uint32
	max    uint32
	hasMax bool
}

type table struct {
	typ byte
	limits
}

type global struct {
	typ     byte
	mutable bool
	init    expr
}

type export struct {
	name  string
	kind  byte
	index uint32
}

// expr is a constant expression with its end.
type expr struct{ reader }

type elem struct {
	flags  uint32
	table  uint32
	offset expr // of an active segment
	typ    byte
	funcs  []uint32
	exprs  []expr // instead of funcs if flags has elemExprs
}

const (
	elemPassive  = 1 // or declarative, with elemExplicit
	elemExplicit = 2
	elemExprs    = 4
)

func (e *elem) active() bool { return e.flags&elemPassive == 0 }

type segment struct {
	passive bool
	offset  expr
	bytes   []byte
}

// parser decodes the sections of one file.
type parser struct {
	*module
	lim        Limits
	exceptions bool
}

// parse decodes a file into m, which holds what was read so far if it faults.
func parse(m *module, wasm []byte, lim Limits, exceptions bool) {
	if len(wasm) > lim.Bytes {
		overLimit(-1, "bytes", len(wasm), lim.Bytes)
	}
	switch {
	case !bytes.HasPrefix(wasm, []byte("\x00asm")):
		fail(ErrMalformed, 0, hintNotWasm, "no WebAssembly header")
	case len(wasm) < 8:
		fail(ErrMalformed, len(wasm), hintRebuild, "cut short in the header")
	case bytes.Equal(wasm[4:8], []byte{0x0d, 0, 1, 0}), wasm[6] == 1 && wasm[7] == 0:
		fail(ErrUnsupported, 4, hintComponent, "a component of the Component Model")
	case !bytes.Equal(wasm[4:8], []byte{1, 0, 0, 0}):
		fail(ErrUnsupported, 4, hintRebuild, "binary version % x", wasm[4:8])
	}
	p := &parser{module: m, lim: lim, exceptions: exceptions}
	r := &reader{b: wasm, pos: 8}
	rank := 0
	for !r.done() {
		at := r.offset()
		id := r.byte()
		s := r.sub(r.u32())
		if id == secCustom {
			p.custom(s)
			continue
		}
		switch k := sectionRank[id]; {
		case k == 0:
			fail(ErrMalformed, at, hintRebuild, "unknown section %d", id)
		case k <= rank:
			fail(ErrMalformed, at, hintRebuild, "%s section out of order or twice", sectionName[id])
		default:
			rank = k
		}
		p.section(id, s)
		if !s.done() {
			s.malformed("%d bytes left over in the %s section", len(s.b)-s.pos, sectionName[id])
		}
	}
	if n := len(m.funcs) - int(m.nimport); n != len(m.codes) {
		fail(ErrMalformed, -1, hintRebuild, "%d functions declared, %d bodies", n, len(m.codes))
	}
	if m.counted != nil && int(*m.counted) != len(m.data) {
		fail(ErrMalformed, -1, hintRebuild, "%d data segments announced, %d found", *m.counted, len(m.data))
	}
}

func (p *parser) section(id byte, r *reader) {
	switch id {
	case secType:
		p.typeSection(r)
	case secImport:
		p.importSection(r)
	case secFunction:
		for n := r.count("functions", p.lim.Functions); n > 0; n-- {
			p.funcs = append(p.funcs, p.index(r, "type", len(p.types)))
		}
	case secTable:
		for n := r.count("tables", p.lim.Tables); n > 0; n-- {
			p.tables = append(p.tables, p.table(r))
		}
	case secMemory:
		for n := r.count("memories", len(r.b)); n > 0; n-- {
			p.addMemory(r)
		}
	case secTag:
		p.needExceptions(r.offset(), "a tag section")
		for n := r.count("tags", p.lim.Globals); n > 0; n-- {
			p.tags = append(p.tags, p.tag(r))
		}
	case secGlobal:
		for n := r.count("globals", p.lim.Globals); n > 0; n-- {
			typ, mutable := p.globalType(r)
			p.globals = append(p.globals, global{typ, mutable, p.expr(r)})
		}
	case secExport:
		p.exportSection(r)
	case secStart:
		i := p.index(r, "function", len(p.funcs))
		p.start = &i
	case secElement:
		p.elementSection(r)
	case secDataCount:
		n := r.u32()
		p.counted = &n
	case secCode:
		for n := r.count("function bodies", p.lim.Functions); n > 0; n-- {
			p.codes = append(p.codes, *r.sub(r.u32()))
		}
	case secData:
		p.dataSection(r)
	}
}

func (p *parser) index(r *reader, what string, n int) uint32 {
	at := r.offset()
	i := r.u32()
	if uint64(i) >= uint64(n) {
		fail(ErrMalformed, at, hintRebuild, "%s %d of %d", what, i, n)
	}
	return i
}

func (p *parser) needExceptions(at int, what string) {
	if !p.exceptions {
		fail(ErrUnsupported, at, hintExceptions, "exception handling: %s", what)
	}
}

func (p *parser) custom(r *reader) {
	if len(p.customs) == p.lim.Customs {
		overLimit(r.offset(), "custom sections", len(p.customs)+1, p.lim.Customs)
	}
	name := r.name()
	p.customs = append(p.customs, Custom{Name: name, Data: r.bytes(uint32(len(r.b) - r.pos))})
}

func (p *parser) typeSection(r *reader) {
	for n := r.count("types", p.lim.Types); n > 0; n-- {
		at := r.offset()
		switch form := r.byte(); form {
		case 0x60:
		case 0x4d, 0x4e, 0x4f, 0x50, 0x5e, 0x5f:
			fail(ErrUnsupported, at, hintGC, "type form %#x", form)
		default:
			fail(ErrMalformed, at, hintRebuild, "type form %#x", form)
		}
		params := p.valTypes(r, "parameters", p.lim.Params)
		p.types = append(p.types, Signature{params, p.valTypes(r, "results", p.lim.Params)})
	}
}

func (p *parser) valTypes(r *reader, what string, limit int) []ValType {
	n := r.count(what, limit)
	if n == 0 {
		return nil
	}
	t := make([]ValType, n)
	for i := range t {
		t[i] = ValType(p.valType(r))
	}
	return t
}

// valType reads a value type. The long form of a nullable reference is
// shortened; references that cannot be null are not supported.
func (p *parser) valType(r *reader) byte {
	at := r.offset()
	switch t := r.byte(); t {
	case typeI32, typeI64, typeF32, typeF64, typeV128, typeFuncref, typeExternref:
		return t
	case typeExnref:
		p.needExceptions(at, "type exnref")
		return t
	case 0x63:
		return p.heapType(r)
	case 0x64, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73, 0x74, 0x78, 0x77:
		fail(ErrUnsupported, at, hintGC, "value type %#x", t)
	default:
		fail(ErrMalformed, at, hintRebuild, "value type %#x", t)
	}
	return 0
}

func (p *parser) heapType(r *reader) byte {
	at := r.offset()
	switch t := r.byte(); t {
	case typeFuncref, typeExternref:
		return t
	case typeExnref:
		p.needExceptions(at, "type exnref")
		return t
	default:
		fail(ErrUnsupported, at, hintGC, "heap type %#x", t)
	}
	return 0
}

func (p *parser) refType(r *reader) byte {
	at := r.offset()
	t := p.valType(r)
	if t != typeFuncref && t != typeExternref {
		fail(ErrMalformed, at, hintRebuild, "type %#x is not a reference to a function or of the host", t)
	}
	return t
}

func (p *parser) importSection(r *reader) {
	for n := r.count("imports", p.lim.Imports); n > 0; n-- {
		imp := Import{Module: r.name(), Name: r.name()}
		at := r.offset()
		imp.Kind = Kind(r.byte())
		switch imp.Kind {
		case KindFunc:
			i := p.index(r, "type", len(p.types))
			imp.Type = p.types[i]
			imp.typ = i
			p.funcs = append(p.funcs, i)
			p.nimport++
		case KindTable, KindMemory, KindGlobal, KindTag:
			fail(ErrUnsupported, at, hintOwnMemory, "import of a %s, %.64q.%.64q", imp.Kind, imp.Module, imp.Name)
		default:
			fail(ErrMalformed, at, hintRebuild, "import kind %#x", byte(imp.Kind))
		}
		p.imports = append(p.imports, imp)
	}
}

func (p *parser) limits(r *reader) limits {
	at := r.offset()
	flags := r.byte()
	switch {
	case flags&0x02 != 0 && flags < 0x08:
		fail(ErrUnsupported, at, hintThreads, "shared memory")
	case flags&0x04 != 0 && flags < 0x08:
		fail(ErrUnsupported, at, hintMemory64, "64-bit memory or table")
	case flags > 1:
		fail(ErrUnsupported, at, hintRebuild, "limits of form %#x", flags)
	}
	l := limits{min: r.u32()}
	if flags == 1 {
		l.hasMax, l.max = true, r.u32()
		if l.max < l.min {
			fail(ErrMalformed, at, hintRebuild, "maximum %d below minimum %d", l.max, l.min)
		}
	}
	return l
}

func (p *parser) table(r *reader) table {
	at := r.offset()
	if r.peek() == 0x40 {
		fail(ErrUnsupported, at, hintGC, "table with an initial value")
	}
	typ := p.refType(r)
	return table{typ, p.limits(r)}
}

func (p *parser) addMemory(r *reader) {
	at := r.offset()
	if p.memory != nil {
		fail(ErrUnsupported, at, hintMultiMem, "more than one memory")
	}
	l := p.limits(r)
	const most = 1 << 16 // pages of 64 KiB in 4 GiB
	if l.min > most || l.hasMax && l.max > most {
		fail(ErrMalformed, at, hintRebuild, "memory of more than 4 GiB")
	}
	p.memory = &l
}

func (p *parser) tag(r *reader) uint32 {
	at := r.offset()
	if attr := r.byte(); attr != 0 {
		fail(ErrMalformed, at, hintRebuild, "tag attribute %#x", attr)
	}
	return p.index(r, "type", len(p.types))
}

func (p *parser) globalType(r *reader) (typ byte, mutable bool) {
	typ = p.valType(r)
	at := r.offset()
	m := r.byte()
	if m > 1 {
		fail(ErrMalformed, at, hintRebuild, "mutability %#x", m)
	}
	return typ, m == 1
}

// maxExpr bounds a constant expression: a sum of some terms, where compilers
// write one or two instructions.
const maxExpr = 256

// expr skips a constant expression and keeps it.
func (p *parser) expr(r *reader) expr {
	from := *r
	d := decoder{module: p.module, reader: r, parser: p, constant: true}
	for d.next(); d.op.flow != closing; d.next() {
	}
	if n := r.pos - from.pos; n > maxExpr {
		overLimit(from.offset(), "bytes of a constant expression", n, maxExpr)
	}
	return expr{reader{b: from.b[from.pos:r.pos], base: from.offset()}}
}

func (p *parser) exportSection(r *reader) {
	seen := make(map[string]bool)
	for n := r.count("exports", p.lim.Exports); n > 0; n-- {
		at := r.offset()
		e := export{name: r.name(), kind: r.byte()}
		if seen[e.name] {
			fail(ErrMalformed, at, hintRebuild, "two exports %.64q", e.name)
		}
		seen[e.name] = true
		space := 0
		switch Kind(e.kind) {
		case KindFunc:
			space = len(p.funcs)
		case KindTable:
			space = len(p.tables)
		case KindMemory:
			if p.memory != nil {
				space = 1
			}
		case KindGlobal:
			space = len(p.globals)
		case KindTag:
			space = len(p.tags)
		default:
			fail(ErrMalformed, at, hintRebuild, "export kind %#x", e.kind)
		}
		e.index = p.index(r, "export of "+Kind(e.kind).String(), space)
		p.exports = append(p.exports, e)
	}
}

func (p *parser) elementSection(r *reader) {
	entries := 0
	for n := r.count("element segments", p.lim.Segments); n > 0; n-- {
		at := r.offset()
		e := elem{flags: r.u32(), typ: typeFuncref}
		if e.flags > 7 {
			fail(ErrMalformed, at, hintRebuild, "element segment of form %d", e.flags)
		}
		if e.active() {
			if e.flags&elemExplicit != 0 {
				e.table = r.u32()
			}
			if int64(e.table) >= int64(len(p.tables)) {
				fail(ErrMalformed, at, hintRebuild, "element segment of table %d of %d", e.table, len(p.tables))
			}
			e.offset = p.expr(r)
		}
		if e.flags&(elemPassive|elemExplicit) != 0 {
			if e.flags&elemExprs != 0 {
				e.typ = p.refType(r)
			} else if k := r.byte(); k != 0 {
				fail(ErrMalformed, at, hintRebuild, "element kind %#x", k)
			}
		}
		count := r.count("table entries", p.lim.TableEntries)
		if entries += count; entries > p.lim.TableEntries {
			overLimit(at, "table entries in segments", entries, p.lim.TableEntries)
		}
		for ; count > 0; count-- {
			if e.flags&elemExprs != 0 {
				e.exprs = append(e.exprs, p.expr(r))
			} else {
				e.funcs = append(e.funcs, p.index(r, "function", len(p.funcs)))
			}
		}
		p.elems = append(p.elems, e)
	}
}

func (p *parser) dataSection(r *reader) {
	for n := r.count("data segments", p.lim.Segments); n > 0; n-- {
		at := r.offset()
		var s segment
		switch form := r.u32(); form {
		case 1:
			s.passive = true
		case 2:
			if mem := r.u32(); mem != 0 {
				fail(ErrUnsupported, at, hintMultiMem, "data segment of memory %d", mem)
			}
			s.offset = p.expr(r)
		case 0:
			s.offset = p.expr(r)
		default:
			fail(ErrMalformed, at, hintRebuild, "data segment of form %d", form)
		}
		if !s.passive && p.memory == nil {
			fail(ErrMalformed, at, hintRebuild, "data segment without a memory")
		}
		s.bytes = r.bytes(r.u32())
		p.data = append(p.data, s)
	}
}

func (m *module) signature(f uint32) Signature { return m.types[m.funcs[f]] }

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", byte(k))
}
