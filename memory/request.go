package memory

import (
	"context"
	"errors"

	"github.com/google/uuid"
)

// An Inquiry finds out whether a request was made before, without making it.
// It is for layers that do more than the request itself says, and must not do
// that twice.
type Inquiry struct {
	req   *request
	known bool
}

type (
	inquiryKey struct{}
	asKey      struct{}
)

// ErrInquired is what [Store.Do] answers under an Inquiry.
var ErrInquired = errors.New("only inquired about")

// Inquire returns a context under which Do changes nothing: a mutation with a
// request id is noted in the Inquiry, and answered with ErrInquired.
func Inquire(ctx context.Context) (context.Context, *Inquiry) {
	q := &Inquiry{}
	return context.WithValue(ctx, inquiryKey{}, q), q
}

// Known reports whether the request was made before, by the same principal:
// making it again returns its first result, or an ErrConflict if it was made
// with other changes.
func (q *Inquiry) Known() bool { return q.known }

// As returns a context under which a mutation with the request id of q counts
// as the request that was inquired about, whatever it changes.
func (q *Inquiry) As(ctx context.Context) context.Context {
	return context.WithValue(ctx, asKey{}, q)
}

// inquired answers a mutation under an Inquiry. ok is false if ctx has none.
func (s *Store) inquired(ctx context.Context, who Principal, req *request) (ok bool, err error) {
	q, ok := ctx.Value(inquiryKey{}).(*Inquiry)
	if !ok || req == nil {
		return ok, ErrInquired
	}
	q.req = req
	if st := s.stageOf(ctx); st != nil && st.holds(who, req.id) {
		q.known = true
		return true, ErrInquired
	}
	err = s.snapshot(ctx, func(v *view) (err error) {
		q.known, err = v.one(`SELECT 1 FROM request WHERE principal = ? AND id = ?`, []any{who.Name, req.id[:]}, new(int))
		return err
	})
	return true, errors.Join(ErrInquired, err)
}

// stated replaces the digest of a request that stands for another one.
func (r *request) stated(ctx context.Context) {
	if q, ok := ctx.Value(asKey{}).(*Inquiry); ok && r != nil && q.req != nil && q.req.id == r.id {
		r.digest = q.req.digest
	}
}

// holds reports whether a request of who is staged.
func (st *Stage) holds(who Principal, id uuid.UUID) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, m := range st.staged {
		if m.req != nil && m.req.id == id && m.who.Name == who.Name {
			return true
		}
	}
	return false
}
