package meter

import "strconv"

// globalName is the export of the module's global i.
func globalName(i int) string { return GlobalPrefix + strconv.Itoa(i) }

// nameSection writes the function names anew, with the indices moved, so that
// stack traces stay readable. The other names and debugging information would
// point to the wrong places and are left out. A damaged name section is legal
// and is left out, too.
func (e *emitter) nameSection() {
	for _, c := range e.customs {
		if c.Name != "name" {
			continue
		}
		names, ok := functionNames(c.Data, len(e.funcs))
		if !ok {
			return
		}
		e.section(secCustom, true, func() {
			e.name("name")
			e.byte(nameFunctions)
			e.sized(func() {
				e.count(len(names))
				for _, n := range names {
					e.u32(e.moved(n.index))
					e.name(n.name)
				}
			})
		})
		return
	}
}

const nameFunctions = 1 // subsection of the name section

type indexedName struct {
	index uint32
	name  string
}

// functionNames reads the function names, in increasing order of indices
// below limit.
func functionNames(section []byte, limit int) (names []indexedName, ok bool) {
	var err error
	func() {
		defer catch(&err)
		r := &reader{b: section}
		for !r.done() {
			id := r.byte()
			s := r.sub(r.u32())
			if id != nameFunctions {
				continue
			}
			for n := s.count("names", limit); n > 0; n-- {
				i := s.u32()
				if int64(i) >= int64(limit) || len(names) > 0 && i <= names[len(names)-1].index {
					s.malformed("name of function %d", i)
				}
				names = append(names, indexedName{i, s.name()})
			}
			return
		}
	}()
	return names, err == nil && names != nil
}

// producers lists "field value version" of the producers section, as far as
// it can be read.
func producers(section []byte) (list []string) {
	var err error
	defer catch(&err)
	r := &reader{b: section}
	for fields := r.count("fields", len(section)); fields > 0; fields-- {
		field := r.name()
		for n := r.count("values", len(section)); n > 0; n-- {
			s := field + " " + r.name()
			if version := r.name(); version != "" {
				s += " " + version
			}
			list = append(list, s)
		}
	}
	return list
}
