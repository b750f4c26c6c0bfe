package meter

// decoder reads instructions one by one. It checks what wazero cannot check
// for us after the rewriting, because the rewriting adds functions, globals
// and locals: that every index is one of the original module. And it encodes
// each instruction anew in its shortest form, so that no reader can take the
// bytes for anything else (wazero reads the number of a vector instruction as
// one byte, so a padded one would be another instruction to it than to us).
type decoder struct {
	*module
	*reader
	parser   *parser
	constant bool   // only constant expressions
	nlocals  uint32 // parameters and locals of the function
	depth    int    // labels in scope

	at     int // offset of the instruction
	op     *opcode
	first  uint32    // the first index
	value  int64     // of an i32.const
	block  Signature // of a block; its slices are valid until the next one
	labels []uint32  // depths of the labels it may go to; reused
	one    [1]ValType
	enc    []byte // its encoding, function indices moved; reused
}

// next reads one instruction into the fields at to enc.
func (d *decoder) next() {
	d.at = d.offset()
	code := d.byte()
	d.enc = append(d.enc[:0], code)
	d.labels = d.labels[:0]
	d.first = 0
	prefix := byte(0)
	switch code {
	case prefixMisc:
		prefix, code = code, d.subOpcode()
		d.op = &miscOps[code]
	case prefixVector:
		prefix, code = code, d.subOpcode()
		d.op = &vectorOps[code]
	default:
		d.op = &coreOps[code]
	}
	switch {
	case d.op.name == "" && d.op.hint == "":
		fail(ErrMalformed, d.at, hintRebuild, "unknown instruction % x", d.enc)
	case d.op.name == "":
		fail(ErrUnsupported, d.at, d.op.hint, "instruction % x", d.enc)
	case d.op.eh:
		d.parser.needExceptions(d.at, d.op.name)
	}
	if d.constant && !constant(prefix, code) {
		fail(ErrMalformed, d.at, hintRebuild, "%s in a constant expression", d.op.name)
	}
	for i, k := range d.op.imms {
		d.immediate(k, i == 0)
	}
}

func (d *decoder) subOpcode() byte {
	n := d.u32()
	if n > 0xff {
		if d.enc[0] == prefixVector {
			fail(ErrUnsupported, d.at, hintRelaxed, "relaxed vector instruction %#x", n)
		}
		fail(ErrMalformed, d.at, hintRebuild, "unknown instruction %#x %d", d.enc[0], n)
	}
	d.enc = appendU32(d.enc, n)
	return byte(n)
}

func (d *decoder) immediate(k imm, first bool) {
	switch k {
	case immBlock:
		d.blockType()
	case immLabel:
		d.label()
	case immLabels:
		n := d.count("branch targets", d.parser.lim.BranchTargets)
		d.enc = appendU32(d.enc, uint32(n))
		for ; n >= 0; n-- {
			d.label()
		}
	case immCatch:
		d.catches()
	case immTypes:
		n := d.count("types of select", 1)
		d.enc = appendU32(d.enc, uint32(n))
		for ; n > 0; n-- {
			d.enc = append(d.enc, d.parser.valType(d.reader))
		}
	case immHeap:
		d.enc = append(d.enc, d.parser.heapType(d.reader))
	case immMemArg:
		d.memArg()
	case immI32:
		d.value = d.signed(32)
		d.enc = appendSigned(d.enc, d.value)
	case immI64:
		d.enc = appendSigned(d.enc, d.signed(64))
	case immF32:
		d.enc = append(d.enc, d.bytes(4)...)
	case immF64:
		d.enc = append(d.enc, d.bytes(8)...)
	case immV128:
		d.enc = append(d.enc, d.bytes(16)...)
	case immLane:
		d.enc = append(d.enc, d.byte())
	default:
		i := d.indexOf(k)
		if first {
			d.first = i
		}
		if k == immFunc {
			i = d.moved(i)
		}
		d.enc = appendU32(d.enc, i)
	}
}

// indexOf reads an index of the space that the immediate names.
func (d *decoder) indexOf(k imm) uint32 {
	switch k {
	case immFunc:
		return d.parser.index(d.reader, "function", len(d.funcs))
	case immType:
		return d.parser.index(d.reader, "type", len(d.types))
	case immTable:
		return d.parser.index(d.reader, "table", len(d.tables))
	case immLocal:
		return d.parser.index(d.reader, "local", int(d.nlocals))
	case immGlobal:
		return d.parser.index(d.reader, "global", len(d.globals))
	case immTag:
		return d.parser.index(d.reader, "tag", len(d.tags))
	case immElem:
		return d.parser.index(d.reader, "element segment", len(d.elems))
	case immData:
		if d.counted == nil {
			d.malformed("data segment used without a data count section")
		}
		return d.parser.index(d.reader, "data segment", len(d.data))
	default: // immMemory
		at := d.offset()
		if i := d.u32(); i != 0 {
			fail(ErrUnsupported, at, hintMultiMem, "memory %d", i)
		}
		d.needMemory()
		return 0
	}
}

func (d *decoder) needMemory() {
	if d.memory == nil {
		d.malformed("%s without a memory", d.op.name)
	}
}

func (d *decoder) label() {
	at := d.offset()
	l := d.u32()
	if int64(l) >= int64(d.depth) {
		fail(ErrMalformed, at, hintRebuild, "label %d of %d", l, d.depth)
	}
	d.labels = append(d.labels, l)
	d.enc = appendU32(d.enc, l)
}

// catches reads the clauses of a try_table: catch, catch_ref, catch_all,
// catch_all_ref.
func (d *decoder) catches() {
	n := d.count("catch clauses", d.parser.lim.BranchTargets)
	d.enc = appendU32(d.enc, uint32(n))
	for ; n > 0; n-- {
		at := d.offset()
		k := d.byte()
		if k > 3 {
			fail(ErrMalformed, at, hintRebuild, "catch clause of form %#x", k)
		}
		d.enc = append(d.enc, k)
		if k < 2 {
			d.enc = appendU32(d.enc, d.indexOf(immTag))
		}
		d.label()
	}
}

func (d *decoder) memArg() {
	at := d.offset()
	align := d.u32()
	if align >= 32 {
		fail(ErrUnsupported, at, hintMultiMem, "alignment %d", align)
	}
	d.needMemory()
	d.enc = appendU32(d.enc, align)
	d.enc = appendU32(d.enc, d.u32())
}

// blockType is a value type, nothing, or the index of a function type.
func (d *decoder) blockType() {
	d.block = Signature{}
	switch c := d.peek(); {
	case c == emptyBlock:
		d.enc = append(d.enc, d.byte())
	case c&0xc0 == 0x40: // a negative number of one byte
		t := d.parser.valType(d.reader)
		d.one[0] = ValType(t)
		d.block.Results = d.one[:]
		d.enc = append(d.enc, t)
	default:
		at := d.offset()
		i := d.signed(33)
		if i < 0 || i >= int64(len(d.types)) {
			fail(ErrMalformed, at, hintRebuild, "block type %d of %d", i, len(d.types))
		}
		d.block = d.types[i]
		d.enc = appendSigned(d.enc, i)
	}
}

// moved is where a function index goes to make room for the import of the
// rewriter, which comes right after the imports of the module.
func (m *module) moved(f uint32) uint32 {
	if f >= m.nimport {
		return f + 1
	}
	return f
}
