package transport

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxPaced bounds the identities whose pace is remembered. Of one that is
// forgotten the worst to fear is another burst.
const maxPaced = 10_000

// pace bounds how many requests each identity makes a second. The nil pace does
// not bound.
type pace struct {
	perSecond float64
	mu        sync.Mutex
	by        map[string]*rate.Limiter
}

func newPace(perSecond float64) *pace {
	if perSecond <= 0 {
		return nil
	}
	return &pace{perSecond: perSecond, by: make(map[string]*rate.Limiter)}
}

// wait takes one request of an identity into account. It is 0 if the request may
// be made now, else the time after which it may be made again.
func (p *pace) wait(key string) time.Duration {
	if p == nil {
		return 0
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.by[key]
	if l == nil {
		if len(p.by) >= maxPaced {
			p.forget(now)
		}
		l = rate.NewLimiter(rate.Limit(p.perSecond), p.burst())
		p.by[key] = l
	}
	if l.AllowN(now, 1) {
		return 0
	}
	missing := 1 - l.TokensAt(now)
	return time.Duration(missing / p.perSecond * float64(time.Second))
}

// burst is what may come at once after a quiet spell: the requests of two seconds.
func (p *pace) burst() int { return max(1, int(math.Ceil(2*p.perSecond))) }

// forget makes room: by those who have been quiet for so long that nothing is
// lost with them, or else by anyone.
func (p *pace) forget(now time.Time) {
	for key, l := range p.by {
		if l.TokensAt(now) >= float64(p.burst()) {
			delete(p.by, key)
		}
	}
	for key := range p.by {
		if len(p.by) < maxPaced {
			return
		}
		delete(p.by, key)
	}
}

// complaints logs what strangers do, but not as often as they can do it.
type complaints struct {
	log    *slog.Logger
	pace   *rate.Limiter
	mu     sync.Mutex
	unsaid int
}

func newComplaints(log *slog.Logger) *complaints {
	return &complaints{log: log, pace: rate.NewLimiter(10, 50)}
}

func (c *complaints) warn(msg string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pace.Allow() {
		c.unsaid++
		return
	}
	if c.unsaid > 0 {
		args = append(args, "unsaid", c.unsaid)
		c.unsaid = 0
	}
	c.log.Warn(msg, args...)
}

// slots bounds what each identity has at once.
type slots struct {
	size int
	mu   sync.Mutex
	by   map[string]*slot
}

// maxWaiting is how many may wait for each place of an identity. Each waits on a
// connection of its own, and no identity may have all of these.
const maxWaiting = 15

type slot struct {
	tokens chan struct{}
	users  int // who holds or awaits a token
}

func newSlots(size int) *slots { return &slots{size: size, by: make(map[string]*slot)} }

// acquire waits a while for a place, unless too many wait already, and reports
// whether there was one. The place must be released.
func (s *slots) acquire(ctx context.Context, key string) (release func(), ok bool) {
	s.mu.Lock()
	at := s.by[key]
	if at == nil {
		at = &slot{tokens: make(chan struct{}, s.size)}
		s.by[key] = at
	}
	if at.users >= s.size*(1+maxWaiting) {
		s.mu.Unlock()
		return nil, false
	}
	at.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if at.users--; at.users == 0 {
			delete(s.by, key)
		}
	}
	select {
	case at.tokens <- struct{}{}:
	default:
		wait := time.NewTimer(slotTimeout)
		defer wait.Stop()
		select {
		case at.tokens <- struct{}{}:
		case <-wait.C:
			leave()
			return nil, false
		case <-ctx.Done():
			leave()
			return nil, false
		}
	}
	return func() {
		<-at.tokens
		leave()
	}, true
}
