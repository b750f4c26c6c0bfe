package transport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

const (
	headerTimeout  = 10 * time.Second // to receive the headers of a request
	idleTimeout    = 2 * time.Minute  // to keep an unused connection
	maxHeaderBytes = 64 << 10
)

// Serve serves h, which may hold [Server.Handler] beside others, on ln until ctx
// ends. Then it takes no more connections, ends the streams that clients listen
// on, gives running requests the drain timeout, and closes what is left. It
// returns nil after an end by ctx, and closes ln in any case.
func (s *Server) Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	drain, startDrain := context.WithCancel(context.Background())
	defer startDrain()
	hs := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), drainKey{}, drain)
		},
	}
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(netutil.LimitListener(ln, s.opts.MaxConnections)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	startDrain()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.DrainTimeout)
	defer cancel()
	err := hs.Shutdown(limit)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests were cut off at the end of the drain timeout", "timeout", s.opts.DrainTimeout)
		err = hs.Close()
	}
	return err
}

type drainKey struct{}

// drained returns a context that is done when the server of a request stops.
func drained(ctx context.Context) context.Context {
	if drain, ok := ctx.Value(drainKey{}).(context.Context); ok {
		return drain
	}
	return context.Background()
}

// slots bounds what each identity has at once.
type slots struct {
	size int
	mu   sync.Mutex
	by   map[string]*slot
}

type slot struct {
	tokens chan struct{}
	users  int // who holds or awaits a token
}

func newSlots(size int) *slots { return &slots{size: size, by: make(map[string]*slot)} }

// acquire waits a while for a place, and reports whether there was one. The place
// must be released.
func (s *slots) acquire(ctx context.Context, key string) (release func(), ok bool) {
	s.mu.Lock()
	at := s.by[key]
	if at == nil {
		at = &slot{tokens: make(chan struct{}, s.size)}
		s.by[key] = at
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
