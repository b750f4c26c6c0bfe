package meter

import "time"

// Kind is what an import or export is.
type Kind byte

// The kinds of imports and exports.
const (
	KindFunc   Kind = 0
	KindTable  Kind = 1
	KindMemory Kind = 2
	KindGlobal Kind = 3
	KindTag    Kind = 4
)

var kindNames = [...]string{"func", "table", "memory", "global", "tag"}

// ValType is a WebAssembly value type, by its number in the binary format.
type ValType byte

// String returns the name of the type in the text format.
func (t ValType) String() string {
	switch t {
	case typeI32:
		return "i32"
	case typeI64:
		return "i64"
	case typeF32:
		return "f32"
	case typeF64:
		return "f64"
	case typeV128:
		return "v128"
	case typeFuncref:
		return "funcref"
	case typeExternref:
		return "externref"
	case typeExnref:
		return "exnref"
	}
	return "unknown"
}

// Signature is the type of a function.
type Signature struct{ Params, Results []ValType }

// String returns the signature as in "(i32 i32) -> (i64)".
func (s Signature) String() string {
	return list(s.Params) + " -> " + list(s.Results)
}

func list(t []ValType) string {
	s := "("
	for i, v := range t {
		if i > 0 {
			s += " "
		}
		s += v.String()
	}
	return s + ")"
}

// Import is something that a module takes from the host.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         Signature // of a function
	typ          uint32
}

// Export is something that a module offers to the host.
type Export struct {
	Name string
	Kind Kind
	Type Signature // of a function
}

// Custom is a custom section. Data is a part of the file that was read, not a
// copy.
type Custom struct {
	Name string
	Data []byte
}

// Extent is the declared size of a memory, in pages of 64 KiB, or of a table,
// in entries.
type Extent struct {
	Min, Max uint32
	HasMax   bool
}

// Info is what a module says of itself. Sizes are those of the original
// module, not the lowered ones.
type Info struct {
	Imports   []Import
	Exports   []Export
	Customs   []Custom // the name section and debugging information included
	Producers []string // "language C11", "processed-by clang 19.1.7", as in the producers section
	Memory    *Extent  // nil if it has none
	Tables    []Extent
	Functions int  // defined, without imported ones
	Globals   int  // defined
	Start     bool // it has a start section

	// Of Rewrite only.
	Size        int           // bytes of the rewritten module
	Sites       int           // places at which fuel is charged
	CompileTime time.Duration // see Limits
	// Sticky is empty if memory and the exported globals are all the state
	// that code can change, so that restoring them resets an instance.
	// Otherwise it names an instruction that changes other state.
	Sticky string
}

// HasExport reports whether the module exports a function of this name.
func (i *Info) HasExport(name string) bool {
	for _, e := range i.Exports {
		if e.Kind == KindFunc && e.Name == name {
			return true
		}
	}
	return false
}

// HasImport reports whether the module imports anything from this module.
func (i *Info) HasImport(module string) bool {
	for _, m := range i.Imports {
		if m.Module == module {
			return true
		}
	}
	return false
}

// Custom returns the first custom section of this name.
func (i *Info) Custom(name string) (data []byte, ok bool) {
	for _, c := range i.Customs {
		if c.Name == name {
			return c.Data, true
		}
	}
	return nil, false
}

// Inspect decodes a module as far as [Rewrite] does before it looks into
// function bodies, within [DefaultLimits]. With an error, an [*Error], Info
// holds what was read before it.
func Inspect(wasm []byte) (info Info, err error) {
	defer catch(&err)
	var m module
	defer func() { info.describe(&m) }()
	parse(&m, wasm, DefaultLimits(), true)
	return info, nil
}

func (i *Info) describe(m *module) {
	i.Imports = m.imports
	i.Functions = len(m.funcs) - int(m.nimport)
	i.Globals = len(m.globals)
	i.Start = m.start != nil
	for _, e := range m.exports {
		x := Export{Name: e.name, Kind: Kind(e.kind)}
		if x.Kind == KindFunc {
			x.Type = m.signature(e.index)
		}
		i.Exports = append(i.Exports, x)
	}
	if m.memory != nil {
		x := m.memory.extent()
		i.Memory = &x
	}
	for _, t := range m.tables {
		i.Tables = append(i.Tables, t.extent())
	}
	for _, c := range m.customs {
		if c.Name == "producers" {
			i.Producers = producers(c.Data)
		}
	}
	i.Customs = m.customs
}

func (l limits) extent() Extent { return Extent{Min: l.min, Max: l.max, HasMax: l.hasMax} }
