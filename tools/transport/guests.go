package transport

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// introduction is how long a stranger has at least to show a token. It bounds how
// fast a flood can drive away who has just come, and how long one has to wait in it.
const introduction = 100 * time.Millisecond

// guests is a listener with a bound on its connections. When one more comes, the
// longest known stranger goes, who may be one of a flood; if there is none, the
// client that has been quiet longest; and only while all are being served does
// the newcomer wait. So a flood of connections keeps nobody out for long, and
// strangers drive nobody away but strangers while there are any.
type guests struct {
	net.Listener
	limit int

	mu        sync.Mutex
	changed   sync.Cond // one went, or the listener was closed
	closed    bool
	number    int
	strangers list.List // *guest, none of whose requests was admitted, the oldest first
	quiet     list.List // *guest, admitted before and between requests, the longest quiet first
}

func newGuests(ln net.Listener, limit int) *guests {
	g := &guests{Listener: ln, limit: limit}
	g.changed.L = &g.mu
	return g
}

// Accept returns the next connection once there is room for it.
func (g *guests) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.number >= g.limit && !g.closed {
		g.dismiss()
	}
	if g.closed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	g.number++
	one := &guest{Conn: c, of: g, came: time.Now()}
	one.in, one.place = &g.strangers, g.strangers.PushBack(one)
	return one, nil
}

// dismiss closes the connection that is missed least. If none may be closed now it
// waits until that may have changed. Callers hold mu.
func (g *guests) dismiss() {
	first := g.strangers.Front()
	if first == nil {
		first = g.quiet.Front()
	}
	if first == nil {
		g.changed.Wait()
		return
	}
	one := first.Value.(*guest)
	if left := introduction - time.Since(one.came); left > 0 {
		defer time.AfterFunc(left, g.changed.Broadcast).Stop()
		g.changed.Wait()
		return
	}
	one.leave()
	_ = one.Conn.Close()
}

// Close ends the waiting for room, too.
func (g *guests) Close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.changed.Broadcast()
	return g.Listener.Close()
}

// guest is one connection.
type guest struct {
	net.Conn
	of   *guests
	came time.Time

	// Guarded by of.mu.
	in       *list.List // where it waits to be dismissed; nil while it is served
	place    *list.Element
	requests int // admitted and running
	gone     bool
}

// Close closes the connection and makes room for another.
func (c *guest) Close() error {
	c.of.mu.Lock()
	c.leave()
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets net/http say goodbye in a way that the last answer arrives.
func (c *guest) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// leave stops counting the connection. Callers hold of.mu.
func (c *guest) leave() {
	if c.gone {
		return
	}
	c.gone = true
	c.move(nil)
	c.of.number--
	c.of.changed.Signal()
}

// move puts c at the end of a list, or nowhere. Callers hold of.mu.
func (c *guest) move(to *list.List) {
	if c.in != nil {
		c.in.Remove(c.place)
	}
	if c.in = to; to != nil {
		c.place = to.PushBack(c)
	}
}

// admit keeps the connection from being dismissed until done is called. The nil
// guest, of a request that came in another way, has nothing to keep.
func (c *guest) admit() (done func()) {
	if c == nil {
		return func() {}
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.requests++; !c.gone {
		c.move(nil)
	}
	return func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		if c.requests--; c.requests == 0 && !c.gone {
			c.move(&c.of.quiet)
			c.of.changed.Signal()
		}
	}
}

type guestKey struct{}

// withConnection lets handlers find the connection of their request.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return context.WithValue(ctx, guestKey{}, c)
}

// connection returns the connection that r came on, or nil.
func connection(r *http.Request) *guest {
	c, _ := r.Context().Value(guestKey{}).(*guest)
	return c
}
