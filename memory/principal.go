package memory

import (
	"context"
	"slices"
)

// Rights are what a principal may do in its space.
type Rights uint8

// The rights a principal can hold. Write does not imply Read; grant both.
const (
	// Read sees every engram whose context and collections are readable.
	Read Rights = 1 << iota
	// Write creates and changes engrams, links, contexts and collections.
	Write
	// Admin manages the space: purge, maintenance, agents, the reader and
	// writer lists of every context and collection. It does not by itself
	// read a context that lists other readers.
	Admin
	// Owner passes every list. It is for the person who owns the file and
	// works on it from the command line, and is never granted to a token.
	Owner
)

// A Principal is who calls: a person, a client, an agent.
type Principal struct {
	Space  string // the one space it may enter
	Name   string // its name in reader and writer lists, and the author of what it creates
	Rights Rights
	Trust  Trust  // what its engrams are marked with; TrustAgent if empty
	Scope  *Scope `json:",omitempty"` // narrows what it sees and writes further; nil does not
}

// A Scope narrows a principal, whatever its rights, to some contexts and
// collections. A nil list does not narrow. Under a list of contexts only
// engrams in one of them are seen or written; under a list of collections only
// engrams in at least one of them are seen, and only those wholly inside them
// written.
type Scope struct {
	ReadContexts, WriteContexts       []string
	ReadCollections, WriteCollections []string
	// Also are names that a list must have beside the principal's own: of
	// those whose rights bound it, too.
	Also []string
}

// Trust says who stands behind an engram's content. It is set by the server
// from the way the engram came in, never by the caller.
type Trust string

// The values of Trust.
const (
	TrustUser   Trust = "user"   // a person, at the command line or the page
	TrustAgent  Trust = "agent"  // a model or a program
	TrustImport Trust = "import" // a file of unknown origin
)

// Can reports whether p holds all of the rights r; Owner holds every right.
func (p Principal) Can(r Rights) bool { return p.Rights&Owner != 0 || p.Rights&r == r }

type principalKey struct{}

// WithPrincipal returns ctx with p as the caller of everything done under it.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom returns the caller carried by ctx; ok is false when there is none.
func PrincipalFrom(ctx context.Context) (p Principal, ok bool) {
	p, ok = ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// caller is the principal of ctx if it may do r in this store.
func (s *Store) caller(ctx context.Context, op string, r Rights) (Principal, error) {
	p, ok := PrincipalFrom(ctx)
	switch {
	case !ok:
		return p, denied(op, "no principal", "the call carries no identity: connect with a token")
	case p.Space != s.space:
		return p, denied(op, "another space", "this identity belongs to another space: use the token or --space of this one")
	case !p.Can(r):
		return p, denied(op, "missing right "+r.String(), "ask the owner of the space for a token with that right; --read-only servers refuse every change")
	}
	return p, nil
}

// String names the rights, for errors and lists: "read|write".
func (r Rights) String() string {
	s := ""
	for i, name := range []string{"read", "write", "admin", "owner"} {
		if r&(1<<i) != 0 {
			if s != "" {
				s += "|"
			}
			s += name
		}
	}
	return s
}

// readableBy and writableBy apply a group's lists to p. A nil list is open to
// the whole space; writers may always read.
func (g *Group) readableBy(p Principal) bool {
	return p.Can(Owner) || g.Readers == nil || p.everyName(func(name string) bool { return slices.Contains(g.Readers, name) || slices.Contains(g.Writers, name) })
}

func (g *Group) writableBy(p Principal) bool {
	return p.Can(Owner) || g.readableBy(p) && (g.Writers == nil || p.everyName(func(name string) bool { return slices.Contains(g.Writers, name) }))
}

// everyName reports whether ok holds for the principal's name and those that
// its scope adds.
func (p Principal) everyName(ok func(name string) bool) bool {
	return ok(p.Name) && (p.Scope == nil || !slices.ContainsFunc(p.Scope.Also, func(name string) bool { return !ok(name) }))
}
