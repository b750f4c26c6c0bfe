package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	headerTimeout   = 10 * time.Second // to receive the headers of a request
	strangerTimeout = 5 * time.Second  // to receive a body before it is known who sends it
	idleTimeout     = 2 * time.Minute  // to keep an unused connection
	maxHeaderBytes  = 64 << 10
)

// Serve serves h, which may hold [Server.Handler] beside others, on ln until ctx
// ends. Then it takes no more connections, ends the streams that clients listen
// on, gives running requests the drain timeout, and closes what is left. It
// returns nil after an end by ctx, and closes ln in any case.
//
// Clients that are slow to send or to read lose their connection. With tls not
// nil, Serve speaks HTTPS. HTTP/2 is not spoken: every bound here counts
// connections.
func (s *Server) Serve(ctx context.Context, ln net.Listener, tls *tls.Config, h http.Handler) error {
	drain, startDrain := context.WithCancel(context.Background())
	defer startDrain()
	hs := &http.Server{
		Handler:           timed(h),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), drainKey{}, drain)
		},
		ConnContext: withConnection,
		Protocols:   new(http.Protocols),
		TLSConfig:   tls,
	}
	hs.Protocols.SetHTTP1(true)
	guests := newGuests(ln, s.opts.MaxConnections)
	failed := make(chan error, 1)
	go func() {
		if tls != nil {
			failed <- hs.ServeTLS(guests, "", "")
			return
		}
		failed <- hs.Serve(guests)
	}()
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

// timed bounds how long a request may take to arrive, and its answer to leave.
// Whoever has found out who calls, or writes a stream, sets other deadlines.
func timed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if r.ContentLength != 0 { // else a deadline would be met while the handler works
			_ = rc.SetReadDeadline(time.Now().Add(strangerTimeout)) // a connection that is gone has no deadlines
		}
		_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
		h.ServeHTTP(w, r)
	})
}

type drainKey struct{}

// drained returns a context that is done when the server of a request stops.
func drained(ctx context.Context) context.Context {
	if drain, ok := ctx.Value(drainKey{}).(context.Context); ok {
		return drain
	}
	return context.Background()
}
