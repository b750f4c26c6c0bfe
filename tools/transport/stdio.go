package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

const (
	queuedRequests = 1024 // messages read ahead of those that are handled
	maxStreams     = 32   // streams that one client may listen on at once
)

// ServeStdio speaks MCP with one client: it reads messages from in, one a line,
// and writes answers to out as they become ready, which need not be the order of
// the requests. It returns nil when in ends, after every request read before has
// been answered. When ctx ends it stops reading, gives running requests the drain
// timeout, cancels those that are left, and returns the cause. An error in
// reading is like the end of in; an error in writing ends all at once.
//
// When requests come faster than they are handled, reading slows down to match.
// Neither in nor out is closed, and a goroutine stays behind in a Read that does
// not return. Several connections may be served at once.
func (s *Server) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	calls, cancelCalls := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancelCalls(errStopped)
	c := &conn{
		server: s,
		client: s.newSession(),
		out: &lineWriter{w: bufio.NewWriterSize(out, 64<<10), broken: func(err error) {
			stop(err)
			cancelCalls(err)
		}},
		queue:   make(chan *call, queuedRequests),
		room:    make(chan struct{}, 1),
		running: make(chan struct{}, s.opts.MaxConcurrent),
		calls:   calls,
	}
	c.streams, c.endStreams = context.WithCancelCause(calls)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(s.opts.DrainTimeout):
			cancelCalls(errStopped)
		case <-calls.Done():
		}
	})()
	if err := s.listen(c.client); err != nil {
		return err
	}
	defer s.unlisten(c.client)
	go c.deliver()
	ended := make(chan error, 1)
	go func() {
		ended <- c.read(ctx, in)
		close(c.queue)
	}()
	c.dispatch(ctx)
	c.drain()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return <-ended
}

// conn is one stdio connection.
type conn struct {
	server   *Server
	client   *session // as begun by initialize
	inflight inflight
	out      *lineWriter
	queue    chan *call
	queued   atomic.Int64  // bytes in queue
	room     chan struct{} // signals that queued fell
	running  chan struct{} // has an element for each running request
	open     atomic.Int32  // streams

	calls      context.Context // of all requests; outlives the input
	streams    context.Context // of streams, which end with the input
	endStreams context.CancelCauseFunc
	wg         sync.WaitGroup
}

// read takes messages from in until its end. What can unblock a running request,
// an answer or a cancellation, is handled on the spot; all else is queued.
func (c *conn) read(ctx context.Context, in io.Reader) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for first := true; ; first = false {
		line, tooLong, err := readLine(r, c.server.opts.MaxMessage)
		if first {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // as some shells write
		}
		if len(bytes.TrimSpace(line)) > 0 && ctx.Err() == nil {
			c.accept(ctx, line, tooLong)
		}
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("transport: reading messages: %w", err)
		}
	}
}

// accept takes one line.
func (c *conn) accept(ctx context.Context, line []byte, tooLong bool) {
	m, err := scan(line)
	if tooLong {
		err = invalidRequest("the message is longer than %d bytes; send less at once", c.server.opts.MaxMessage)
	}
	switch {
	case err != nil:
		if err == errSyntax {
			m.id = nil // as JSON-RPC wants it
		}
		c.answer(nil, response{ID: m.id, Error: err})
	case m.method == "":
		c.client.resolve(m)
	case m.method == string(mcp.MethodNotificationCancelled):
		c.inflight.cancelOne(m)
	default:
		c.enqueue(ctx, m)
	}
}

// enqueue waits until the queue is short and small enough for one more message.
func (c *conn) enqueue(ctx context.Context, m message) {
	for c.queued.Load() > int64(2*c.server.opts.MaxMessage) {
		select {
		case <-c.room:
		case <-ctx.Done():
			return
		}
	}
	c.queued.Add(int64(len(m.raw)))
	client, parent := c.client, c.calls
	if m.modern() {
		client = c.server.newSession()
	}
	if m.listens() {
		parent = c.streams
	}
	call := c.server.newCall(parent, client, m, c.out, &c.inflight)
	call.places = c.running
	select {
	case c.queue <- call:
	case <-ctx.Done():
		call.drop()
	}
}

// dispatch starts queued requests in the order in which they came. When ctx ends
// it starts what is queued and returns.
func (c *conn) dispatch(ctx context.Context) {
	for {
		select {
		case call, ok := <-c.queue:
			if !ok {
				return
			}
			c.run(call)
			continue
		case <-ctx.Done():
		}
		select {
		case call, ok := <-c.queue:
			if !ok {
				return
			}
			c.run(call)
		default:
			return
		}
	}
}

// run handles a call: requests beside each other, all else in its turn.
func (c *conn) run(call *call) {
	c.queued.Add(-int64(len(call.msg.raw)))
	select {
	case c.room <- struct{}{}:
	default:
	}
	switch {
	case call.cancelled():
		call.drop()
	case !call.msg.isRequest():
		c.server.handle(call)
	case call.msg.method == string(mcp.MethodInitialize):
		c.answer(call, c.server.handle(call))
	case call.listening:
		if c.open.Add(1) > maxStreams {
			c.open.Add(-1)
			call.drop()
			c.answer(call, call.fail(&Error{Code: codeBusy, Message: "too many streams are open; close one first"}))
			return
		}
		c.wg.Go(func() {
			defer c.open.Add(-1)
			c.answer(call, c.server.handle(call))
		})
	default:
		select {
		case c.running <- struct{}{}:
		case <-c.calls.Done():
			call.drop()
			return
		}
		c.wg.Go(func() {
			defer func() { <-c.running }()
			c.answer(call, c.server.handle(call))
		})
	}
}

// answer sends r, unless the client took its request back. call is nil when r
// answers no request.
func (c *conn) answer(call *call, r response) {
	if call == nil {
		b, _ := r.marshal() // errors of our own always marshal
		_ = c.out.send(b)
		return
	}
	if !call.cancelled() {
		_ = c.out.send(c.server.encode(call, r))
	}
}

// deliver sends notifications that belong to no request.
func (c *conn) deliver() {
	for notices := c.client.queue(); ; {
		select {
		case n := <-notices:
			c.server.sendNotice(c.out, n)
		case <-c.calls.Done():
			return
		}
	}
}

// drain waits for the running requests: to their end if the input ended, and once
// ctx has ended until they are cancelled and a moment after.
func (c *conn) drain() {
	c.client.close()
	c.endStreams(errStopped)
	done := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-c.calls.Done():
	}
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// lineWriter writes messages as lines. Messages that become ready together are
// written together.
type lineWriter struct {
	waiting atomic.Int32 // senders that have not written yet
	broken  func(error)  // called at the first error

	mu  sync.Mutex
	w   *bufio.Writer
	err error
}

func (l *lineWriter) send(msg []byte) error {
	l.waiting.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.waiting.Add(-1) == 0
	if l.err != nil {
		return l.err
	}
	_, l.err = l.w.Write(msg)
	if l.err == nil {
		l.err = l.w.WriteByte('\n')
	}
	if l.err == nil && last {
		l.err = l.w.Flush()
	}
	if l.err != nil {
		l.err = fmt.Errorf("transport: writing messages: %w", l.err)
		l.broken(l.err)
	}
	return l.err
}

// readLine returns the next line without its end, which the caller owns. Of a line
// longer than limit it returns a beginning, and passes the rest. With io.EOF it
// may return a last line.
func readLine(r *bufio.Reader, limit int) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		part = bytes.TrimSuffix(part, []byte("\n"))
		if len(line)+len(part) > limit {
			tooLong = true
		}
		line = append(line, part[:min(len(part), limit-len(line))]...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}
