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
	gone  map[string]time.Time                 // ended ids and when they expire
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
		gone:   make(map[string]time.Time),
	}
	if len(st.key) == 0 {
		st.key = make([]byte, sha256.Size)
		_, _ = rand.Read(st.key) // crypto/rand.Read never fails
	}
	return st
}

const (
	nonceSize   = 16
	idClearSize = nonceSize + 8
)

// issue returns a new session of owner. It becomes known by keep.
func (st *sessions) issue(owner string) *legacySession {
	expires := st.now().Add(st.ttl).Truncate(time.Second)
	clear := make([]byte, nonceSize, idClearSize+sha256.Size)
	_, _ = rand.Read(clear)
	clear = binary.BigEndian.AppendUint64(clear, uint64(expires.Unix()))
	return st.newSession(base64.RawURLEncoding.EncodeToString(append(clear, st.sign(owner, clear)...)), owner, expires)
}

func (st *sessions) newSession(id, owner string, expires time.Time) *legacySession {
	s := &legacySession{session: newLastingSession(id), owner: owner, expires: expires}
	s.ended, s.end = context.WithCancel(context.Background())
	return s
}

func (st *sessions) sign(owner string, clear []byte) []byte {
	mac := hmac.New(sha256.New, st.key)
	mac.Write(clear)
	mac.Write([]byte(owner))
	return mac.Sum(nil)
}

// expiry returns when the id of owner expires, and false for an id that is not
// one of owner or has expired.
func (st *sessions) expiry(id, owner string) (time.Time, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(b) != idClearSize+sha256.Size {
		return time.Time{}, false
	}
	clear, mac := b[:idClearSize], b[idClearSize:]
	if !hmac.Equal(mac, st.sign(owner, clear)) {
		return time.Time{}, false
	}
	expires := time.Unix(int64(binary.BigEndian.Uint64(clear[nonceSize:])), 0)
	return expires, st.now().Before(expires)
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
	expires, ok := st.expiry(id, owner)
	if !ok {
		return nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.sweep()
	if _, gone := st.gone[id]; gone {
		return nil
	}
	s := st.live[owner][id]
	if s == nil {
		s = st.newSession(id, owner, expires)
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
		st.gone[s.id] = s.expires
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
	for id, expires := range st.gone {
		if now.After(expires) {
			delete(st.gone, id)
		}
	}
	for _, own := range st.live {
		for _, s := range own {
			if now.After(s.expires) || now.Sub(s.used) > st.idle && !s.busy() {
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
