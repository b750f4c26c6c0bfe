package transport

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSlotsAreBoundedAndForgotten(t *testing.T) {
	s := newSlots(1)
	release, ok := s.acquire(t.Context(), "a")
	if !ok {
		t.Fatal("the first gets no place")
	}
	if _, ok := s.acquire(t.Context(), "b"); !ok {
		t.Error("one identity keeps another away")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := s.acquire(ctx, "a"); ok {
		t.Error("there is a second place")
	}
	release()
	if _, kept := s.by["a"]; kept {
		t.Error("an identity with nothing running is remembered")
	}
}

func TestSlotsBoundWhoWaits(t *testing.T) {
	s := newSlots(1)
	for range 1 + maxWaiting {
		go func() {
			if release, ok := s.acquire(t.Context(), "a"); ok {
				<-t.Context().Done()
				release()
			}
		}()
	}
	waitFor(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.by["a"] != nil && s.by["a"].users == 1+maxWaiting
	})
	start := time.Now()
	if _, ok := s.acquire(t.Context(), "a"); ok || time.Since(start) > slotTimeout/2 {
		t.Errorf("one more than may wait gets a place (%v), or waits for %v", ok, time.Since(start))
	}
}

func TestHTTPBoundsTheRateOfAnIdentity(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	o := twoTokens
	o.Rate = 0.5 // a burst of one
	url := serveHTTP(t, s, o)
	eachEra(t, func(t *testing.T, e era) {
		token := map[string]string{legacy.name: "alice-1", modern.name: "bob"}[e.name]
		c := &web{t: t, url: url, era: e, header: http.Header{"Authorization": {"Bearer " + token}}}
		first := e.call("1", "echo", "")
		if e.name == legacy.name {
			first = initialize
		}
		if resp, _ := c.post(first); resp.StatusCode != 200 {
			t.Errorf("the first: %s", resp.Status)
		}
		resp, msgs := c.post(first)
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "2" || len(msgs) != 1 || msgs[0].Error == nil ||
			msgs[0].Error.Code != codeBusy || !strings.Contains(msgs[0].Error.Message, "try again in 2 s") {
			t.Errorf("the second: %s, Retry-After %q, %+v", resp.Status, resp.Header.Get("Retry-After"), msgs)
		}
	})
}

func TestPaceForgetsWhoIsQuiet(t *testing.T) {
	p := newPace(1000)
	for i := range maxPaced + 10 {
		if p.wait(fmt.Sprint(i)) != 0 {
			t.Fatalf("identity %d has to wait", i)
		}
	}
	if len(p.by) > maxPaced {
		t.Errorf("%d are remembered", len(p.by))
	}
	slow := newPace(0.001) // nobody is quiet for long enough to be forgotten
	for i := range maxPaced + 10 {
		slow.wait(fmt.Sprint(i))
	}
	if len(slow.by) > maxPaced {
		t.Errorf("%d are remembered", len(slow.by))
	}
}

// Whoever is refused a thousand times does not write a thousand lines.
func TestRefusalsDoNotFillTheLog(t *testing.T) {
	s, log := newTestServer(t, Options{})
	c := &web{t: t, url: serveHTTP(t, s, twoTokens)}
	for range 300 {
		c.post(initialize)
	}
	if n := strings.Count(log.String(), "request refused"); n < 50 || n > 200 {
		t.Errorf("%d lines tell of 300 refusals", n)
	}
}
