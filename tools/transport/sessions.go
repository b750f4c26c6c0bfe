package transport

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"
)

const (
	maxSessions = 1000    // live sessions of one identity
	maxEnded    = 100_000 // ids remembered as ended before they expire
)

// legacySession is a session of a revision before 2026-07-28, over HTTP.
type legacySession struct {
	*session
	inflight inflight
	nonce    nonce
	owner    string
	expires  time.Time
	ended    context.Context // done when the session is over
	end      context.CancelFunc

	used time.Time // guarded by sessions.mu

	streamMu sync.Mutex
	stream   *openStream // nil if none is
}

// openStream is a GET stream. Its identity is its address.
type openStream struct{ end context.CancelFunc }

// sessions issues session ids and keeps what belongs to them.
//
// An id is nonce, expiry and HMAC-SHA-256 of both with the owner, in base64url.
// It is valid for its owner alone, at every instance that has the key, until it
// expires; an instance that meets it for the first time begins with an empty
// state. An instance that ended a session remembers so until the id has expired.
type sessions struct {
	server    *Server
	key       []byte
	ttl, idle time.Duration
	now       func() time.Time

	mu    sync.Mutex
	live  map[string]map[string]*legacySession // by owner and id
	gone  map[nonce]time.Time                  // ended ids and when they expire
	swept time.Time
}

func newSessions(s *Server, o HTTPOptions) *sessions {
	st := &sessions{
		server: s,
		key:    o.SessionKey,
		ttl:    cmp.Or(o.SessionTTL, 24*time.Hour),
		idle:   cmp.Or(o.SessionIdle, 30*time.Minute),
		now:    time.Now,
		live:   make(map[string]map[string]*legacySession),
		gone:   make(map[nonce]time.Time),
	}
	if len(st.key) == 0 {
		st.key = make([]byte, sha256.Size)
		_, _ = rand.Read(st.key) // crypto/rand.Read never fails
	}
	return st
}

// nonce is the random part of a session id.
type nonce [16]byte

const headSize = len(nonce{}) + 8

// issue returns a new session of owner. It becomes known by keep.
func (st *sessions) issue(owner string) *legacySession {
	var n nonce
	_, _ = rand.Read(n[:])
	expires := st.now().Add(st.ttl).Truncate(time.Second)
	head := binary.BigEndian.AppendUint64(n[:], uint64(expires.Unix()))
	id := base64.RawURLEncoding.EncodeToString(append(head, st.sign(owner, head)...))
	return st.newSession(id, n, owner, expires)
}

func (st *sessions) newSession(id string, n nonce, owner string, expires time.Time) *legacySession {
	s := &legacySession{session: &session{id: id}, nonce: n, owner: owner, expires: expires}
	s.ended, s.end = context.WithCancel(context.Background())
	return s
}

func (st *sessions) sign(owner string, head []byte) []byte {
	mac := hmac.New(sha256.New, st.key)
	mac.Write(head)
	mac.Write([]byte(owner))
	return mac.Sum(nil)
}

// open takes the id of owner apart, and reports whether it is one that is valid.
func (st *sessions) open(id, owner string) (n nonce, expires time.Time, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(b) != headSize+sha256.Size {
		return n, expires, false
	}
	head, mac := b[:headSize], b[headSize:]
	if !hmac.Equal(mac, st.sign(owner, head)) {
		return n, expires, false
	}
	copy(n[:], head)
	expires = time.Unix(int64(binary.BigEndian.Uint64(head[len(n):])), 0)
	return n, expires, st.now().Before(expires)
}

// keep makes a session known. If its owner has too many, the one longest unused
// is ended.
func (st *sessions) keep(s *legacySession) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.sweep()
	st.add(s)
}

func (st *sessions) add(s *legacySession) {
	own := st.live[s.owner]
	if own == nil {
		own = make(map[string]*legacySession)
		st.live[s.owner] = own
	}
	if len(own) >= maxSessions {
		var oldest *legacySession
		for _, other := range own {
			if oldest == nil || other.used.Before(oldest.used) {
				oldest = other
			}
		}
		st.remove(oldest)
	}
	s.used = st.now()
	own[s.id] = s
	if err := st.server.listen(s); err != nil {
		st.server.log.Error("session cannot be registered", "err", err)
	}
}

// find returns the session of owner with the given id, or nil.
func (st *sessions) find(id, owner string) *legacySession {
	n, expires, ok := st.open(id, owner)
	if !ok {
		return nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.sweep()
	if _, gone := st.gone[n]; gone {
		return nil
	}
	s := st.live[owner][id]
	if s == nil {
		s = st.newSession(id, n, owner, expires)
		s.Initialize()
		st.add(s)
	}
	s.used = st.now()
	return s
}

// remove ends a session. Callers hold mu.
func (st *sessions) remove(s *legacySession) {
	delete(st.live[s.owner], s.id)
	if len(st.live[s.owner]) == 0 {
		delete(st.live, s.owner)
	}
	if len(st.gone) < maxEnded {
		st.gone[s.nonce] = s.expires
	}
	st.server.unlisten(s)
	s.end()
	s.close()
	s.inflight.cancelAll(errStopped)
}

// delete ends a session at the wish of its client.
func (st *sessions) delete(s *legacySession) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.live[s.owner][s.id] == s {
		st.remove(s)
	}
}

// sweep ends what has expired or was idle for too long, at most a few times in
// each idle time. Callers hold mu.
func (st *sessions) sweep() {
	now := st.now()
	if now.Sub(st.swept) < st.idle/8 {
		return
	}
	st.swept = now
	for n, expires := range st.gone {
		if !now.Before(expires) {
			delete(st.gone, n)
		}
	}
	for _, own := range st.live {
		for _, s := range own {
			switch {
			case !now.Before(s.expires):
				st.remove(s)
			case s.busy():
				s.used = now
			case now.Sub(s.used) > st.idle:
				st.remove(s)
			}
		}
	}
}

// busy reports whether a request of the session runs or its stream is open.
func (s *legacySession) busy() bool {
	s.streamMu.Lock()
	defer s.streamMu.Unlock()
	return s.stream != nil || !s.inflight.empty()
}
