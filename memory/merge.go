package memory

import "github.com/google/uuid"

// record is the state of one engram as its ops have made it.
type record struct {
	row     int64 // 0 until stored
	id      uuid.UUID
	created bool // its create op has arrived
	purged  bool
	version int64
	updated int64 // ms
	members int64
	base    clock  // of the newest create op
	clocks  clocks // of fields set later than base

	content, kind, source, author, trust, metadata, context string
	contextRow                                              int64 // 0 = none
	confidence, importance                                  float64
	tags                                                    []string
	validFrom, validTo, expiresAt, createdAt                int64
	forgotten                                               bool
}

// live reports whether the engram is there to be found, ttl aside.
func (r *record) live() bool { return r.created && !r.purged && !r.forgotten }

// ord is its place in its context.
func (r *record) ord() int64 {
	if r.validFrom != 0 {
		return r.validFrom
	}
	return r.createdAt
}

// field ties a field of an op's body to its place in the record.
type field struct {
	name string
	has  func(*fields) bool
	set  func(*record, *fields)
}

func fieldOf[T any](name string, src func(*fields) *T, dst func(*record) *T) field {
	return field{name,
		func(f *fields) bool { return src(f) != nil },
		func(r *record, f *fields) { *dst(r) = *src(f) }}
}

// mergeFields are the fields that merge by last writer wins. Memberships,
// links and counters have rules of their own.
var mergeFields = []field{
	fieldOf("content", func(f *fields) *string { return f.Content }, func(r *record) *string { return &r.content }),
	fieldOf("kind", func(f *fields) *string { return f.Kind }, func(r *record) *string { return &r.kind }),
	fieldOf("source", func(f *fields) *string { return f.Source }, func(r *record) *string { return &r.source }),
	fieldOf("author", func(f *fields) *string { return f.Author }, func(r *record) *string { return &r.author }),
	fieldOf("trust", func(f *fields) *string { return f.Trust }, func(r *record) *string { return &r.trust }),
	fieldOf("confidence", func(f *fields) *float64 { return f.Confidence }, func(r *record) *float64 { return &r.confidence }),
	fieldOf("importance", func(f *fields) *float64 { return f.Importance }, func(r *record) *float64 { return &r.importance }),
	fieldOf("tags", func(f *fields) *[]string { return f.Tags }, func(r *record) *[]string { return &r.tags }),
	fieldOf("metadata", func(f *fields) *string { return f.Metadata }, func(r *record) *string { return &r.metadata }),
	fieldOf("context", func(f *fields) *string { return f.Context }, func(r *record) *string { return &r.context }),
	fieldOf("valid_from", func(f *fields) *int64 { return f.ValidFrom }, func(r *record) *int64 { return &r.validFrom }),
	fieldOf("valid_to", func(f *fields) *int64 { return f.ValidTo }, func(r *record) *int64 { return &r.validTo }),
	fieldOf("expires_at", func(f *fields) *int64 { return f.ExpiresAt }, func(r *record) *int64 { return &r.expiresAt }),
	fieldOf("created_at", func(f *fields) *int64 { return f.CreatedAt }, func(r *record) *int64 { return &r.createdAt }),
	fieldOf("forgotten", func(f *fields) *bool { return f.Forgotten }, func(r *record) *bool { return &r.forgotten }),
}

// merge takes an op of kind create, update, forget or restore into r. It is
// commutative and, since each op is merged once, the result depends on the set
// of ops alone: each field holds the value with the newest clock, where a
// create op counts as setting every field.
func (r *record) merge(at clock, create bool, f *fields) {
	r.version++
	r.updated = max(r.updated, at.hlc.Time().UnixMilli())
	if f == nil { // compacted: it counts, but says nothing any more
		return
	}
	if create {
		f.complete()
	}
	for _, x := range mergeFields {
		if !x.has(f) || !at.after(r.clockOf(x.name)) {
			continue
		}
		x.set(r, f)
		if create {
			delete(r.clocks, x.name)
		} else {
			r.clocks[x.name] = at
		}
	}
	if create {
		r.created = true
		if at.after(r.base) {
			r.base = at
		}
	}
}

// clockOf is the clock of a field's present value.
func (r *record) clockOf(name string) clock {
	if c, ok := r.clocks[name]; ok && c.after(r.base) {
		return c
	}
	return r.base
}

// complete gives every field that a create op leaves out its default.
func (f *fields) complete() {
	def(&f.Content, "")
	def(&f.Kind, DefaultKind)
	def(&f.Source, "")
	def(&f.Author, "")
	def(&f.Trust, "")
	def(&f.Confidence, 1)
	def(&f.Importance, .5)
	def(&f.Tags, nil)
	def(&f.Metadata, "")
	def(&f.Context, "")
	def(&f.ValidFrom, 0)
	def(&f.ValidTo, 0)
	def(&f.ExpiresAt, 0)
	def(&f.CreatedAt, 0)
	def(&f.Forgotten, false)
}

func def[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}
