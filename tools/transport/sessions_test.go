package transport

import (
	"encoding/base64"
	"testing"
	"time"
)

// newTestSessions returns sessions with a clock that the test moves.
func newTestSessions(t *testing.T, o HTTPOptions) (*sessions, *time.Time) {
	t.Helper()
	s, _ := newTestServer(t, Options{})
	st := newSessions(s, o)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	st.now = func() time.Time { return now }
	return st, &now
}

func begin(st *sessions, owner string) *legacySession {
	s := st.issue(owner)
	st.keep(s)
	return s
}

func TestSessionIsFoundByItsOwner(t *testing.T) {
	st, _ := newTestSessions(t, HTTPOptions{})
	s := begin(st, "alice")
	if st.find(s.id, "alice") != s {
		t.Error("the owner does not find it")
	}
	if st.find(s.id, "bob") != nil {
		t.Error("somebody else finds it")
	}
}

func TestSessionIDsCannotBeForged(t *testing.T) {
	st, _ := newTestSessions(t, HTTPOptions{})
	other, _ := newTestSessions(t, HTTPOptions{})
	s := begin(st, "alice")
	raw, err := base64.RawURLEncoding.DecodeString(s.id)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		raw[bit/8] ^= 1 << (bit % 8)
		if st.find(base64.RawURLEncoding.EncodeToString(raw), "alice") != nil {
			t.Errorf("bit %d may be changed", bit)
		}
		raw[bit/8] ^= 1 << (bit % 8)
	}
	for _, id := range []string{"", s.id + "A", s.id[1:], s.id + "=", begin(other, "alice").id} {
		if st.find(id, "alice") != nil {
			t.Errorf("%q passes", id)
		}
	}
}

func TestSessionsExpire(t *testing.T) {
	st, now := newTestSessions(t, HTTPOptions{SessionTTL: time.Hour, SessionIdle: 48 * time.Hour})
	s := begin(st, "alice")
	*now = now.Add(time.Hour - time.Second)
	if st.find(s.id, "alice") == nil {
		t.Error("it ends too early")
	}
	*now = now.Add(time.Second)
	if st.find(s.id, "alice") != nil {
		t.Error("it outlives its time")
	}
}

func TestSessionsEndWhenIdle(t *testing.T) {
	st, now := newTestSessions(t, HTTPOptions{SessionIdle: 10 * time.Minute})
	idle, used, streaming := begin(st, "alice"), begin(st, "alice"), begin(st, "alice")
	_, leave := streaming.enter(t.Context())
	for range 6 {
		*now = now.Add(5 * time.Minute)
		if st.find(used.id, "alice") == nil {
			t.Fatal("a session in use ends")
		}
	}
	if st.find(idle.id, "alice") != nil {
		t.Error("an unused session goes on")
	}
	if idle.ended.Err() == nil {
		t.Error("its streams would go on")
	}
	leave()
	if st.find(streaming.id, "alice") == nil {
		t.Error("a session with an open stream ended")
	}
}

func TestSessionsOfOneIdentityAreBounded(t *testing.T) {
	st, now := newTestSessions(t, HTTPOptions{})
	first, bobs := begin(st, "alice"), begin(st, "bob")
	*now = now.Add(time.Second)
	second := begin(st, "alice")
	for range maxSessions - 1 {
		*now = now.Add(time.Millisecond)
		begin(st, "alice")
	}
	if n := len(st.live["alice"]); n != maxSessions {
		t.Errorf("%d are alive", n)
	}
	if st.find(first.id, "alice") != nil {
		t.Error("the one longest unused goes on")
	}
	if st.find(second.id, "alice") == nil || st.find(bobs.id, "bob") == nil {
		t.Error("another one ended")
	}
}

// Instances with one key take each other's sessions, for the same owner, until the
// session ends.
func TestSessionsMoveBetweenInstances(t *testing.T) {
	o := HTTPOptions{SessionKey: []byte("a key that two instances share..."), SessionTTL: time.Hour}
	here, _ := newTestSessions(t, o)
	there, now := newTestSessions(t, o)
	s := begin(here, "alice")
	if there.find(s.id, "bob") != nil {
		t.Error("somebody else's is taken")
	}
	moved := there.find(s.id, "alice")
	if moved == nil || !moved.Initialized() {
		t.Fatal("it is not taken")
	}
	there.delete(moved)
	if there.find(s.id, "alice") != nil {
		t.Error("it is taken again after its end")
	}
	*now = now.Add(time.Hour)
	begin(there, "bob")
	if len(there.gone) != 0 {
		t.Error("its end is remembered for longer than it could live")
	}
}
