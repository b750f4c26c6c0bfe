package transport

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// ErrNoCall is returned when a notification is sent outside of the request that
// it would belong to: by a context of another origin, or after the answer.
var ErrNoCall = errors.New("transport: the context belongs to no running request")

// RequestID returns the id of the request that ctx belongs to, as its client wrote
// it, or "" outside of any.
func RequestID(ctx context.Context) string {
	if c := callFrom(ctx); c != nil {
		return string(c.msg.id)
	}
	return ""
}

// Notify sends the client whose request ctx belongs to a notification, before the
// answer to that request and after all earlier notifications of it. It waits
// while the client reads slowly. Over HTTP a client that accepts no event stream
// gets none; that is no error.
func Notify(ctx context.Context, method string, params map[string]any) error {
	c := callFrom(ctx)
	if c == nil {
		return ErrNoCall
	}
	n := mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION}
	n.Method = method
	n.Params.AdditionalFields = params
	return c.outbox.put(ctx, c, n)
}

// Progress tells the client how far its request is, as Notify does, if the client
// asked to be told. Progress must rise from call to call. A total of 0 means that
// it is unknown, and an empty message is left out.
func Progress(ctx context.Context, progress, total float64, message string) error {
	c := callFrom(ctx)
	if c == nil {
		return ErrNoCall
	}
	if c.msg.token == nil {
		return nil
	}
	params := map[string]any{"progressToken": json.RawMessage(c.msg.token), "progress": progress}
	if total > 0 {
		params["total"] = total
	}
	if message != "" {
		params["message"] = message
	}
	return Notify(ctx, "notifications/progress", params)
}

// ResourceUpdated tells every client that subscribed to uri that the resource
// changed. A client that reads too slowly to be told loses its stream, and lists
// and reads anew when it comes back.
func (s *Server) ResourceUpdated(uri string) {
	n := mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION}
	n.Method = mcp.MethodNotificationResourceUpdated
	n.Params.AdditionalFields = map[string]any{"uri": uri}
	s.listeners.Range(func(key, _ any) bool {
		client := key.(listener)
		if client.IsSubscribedToResource(uri) {
			select {
			case client.NotificationChannel() <- n:
			default:
			}
		}
		return true
	})
}

// listener is a client that can be notified outside of any request of its own.
type listener interface {
	server.ClientSession
	IsSubscribedToResource(uri string) bool
}

// sendNotice sends a notification that belongs to no request.
func (s *Server) sendNotice(out sender, n mcp.JSONRPCNotification) {
	b, err := json.Marshal(n)
	if err != nil {
		s.log.Error("notification cannot be rendered", "method", n.Method, "err", err)
		return
	}
	_ = out.send(b) // a client that is gone is noticed where it is read from
}

// outbox carries the notifications of one call to its client. It starts at the
// first one, as most calls send none.
type outbox struct {
	mu     sync.Mutex
	queue  chan mcp.JSONRPCNotification
	stop   chan struct{} // closed when the handler has returned
	room   chan struct{} // signals that the queue got shorter
	idle   chan struct{} // closed when everything is delivered
	closed bool
}

// queuedInCall is how far a handler may be ahead of its client.
const queuedInCall = 64

// open returns the queue, and starts the delivery if need be.
func (o *outbox) open(c *call) (chan mcp.JSONRPCNotification, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, ErrNoCall
	}
	if o.queue == nil {
		o.queue = make(chan mcp.JSONRPCNotification, queuedInCall)
		o.stop, o.idle = make(chan struct{}), make(chan struct{})
		o.room = make(chan struct{}, 1)
		go o.deliver(c)
	}
	return o.queue, nil
}

func (o *outbox) put(ctx context.Context, c *call, n mcp.JSONRPCNotification) error {
	queue, err := o.open(c)
	if err != nil {
		return err
	}
	select {
	case queue <- n:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// deliver writes notifications until the call is over and none is left. Once the
// client cannot be reached it only drains, so that no handler waits for nothing.
func (o *outbox) deliver(c *call) {
	defer close(o.idle)
	reachable := true
	write := func(n mcp.JSONRPCNotification) {
		select {
		case o.room <- struct{}{}:
		default:
		}
		if !reachable {
			return
		}
		b, err := c.notice(n)
		if err != nil {
			c.server.log.Error("notification cannot be rendered", "method", n.Method, "err", err)
			return
		}
		reachable = c.out.send(b) == nil
	}
	for {
		select {
		case n := <-o.queue:
			write(n)
			continue
		case <-o.stop:
		}
		for {
			select {
			case n := <-o.queue:
				write(n)
			default:
				return
			}
		}
	}
}

// notice renders a notification. On a stream that a client listens on it names
// the request that opened the stream.
func (c *call) notice(n mcp.JSONRPCNotification) ([]byte, error) {
	if c.listening {
		meta := make(map[string]any, len(n.Params.Meta)+1)
		maps.Copy(meta, n.Params.Meta)
		meta[mcp.MetaKeySubscriptionID] = json.RawMessage(c.msg.id)
		n.Params.Meta = meta
	}
	return json.Marshal(n)
}

// flush delivers what the handler of c has sent and ends the outbox.
func (c *call) flush() {
	o := &c.outbox
	o.mu.Lock()
	o.closed = true
	started := o.queue != nil
	o.mu.Unlock()
	if started {
		close(o.stop)
		<-o.idle
	}
}

// NotificationChannel is where mcp-go puts the notifications of a handler, without
// waiting for room; so the waiting is done here. On a stream that a client listens
// on nobody may wait: such a client is cut off instead.
func (c *call) NotificationChannel() chan<- mcp.JSONRPCNotification {
	queue, err := c.outbox.open(c)
	if err != nil {
		return nil // a send that does not wait fails on a nil channel
	}
	if c.listening {
		if len(queue) == cap(queue) {
			c.cancel(errSlow)
		}
		return queue
	}
	for c.ctx.Err() == nil && len(queue) > cap(queue)/2 {
		select {
		case <-c.outbox.room:
		case <-c.ctx.Done():
		}
	}
	return queue
}

var errSlow = errors.New("the client reads too slowly")
