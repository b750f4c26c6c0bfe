package transport

import (
	"errors"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"
)

// errNoStream says that a client cannot be told anything but the answer.
var errNoStream = errors.New("the client accepts no event stream")

// nowhere takes messages for a client that cannot be told anything now.
type nowhere struct{}

func (nowhere) send([]byte) error { return errNoStream }

// postStream writes the answer to one HTTP request: as JSON, or as a stream of
// events from the first message that comes before the answer. While the stream is
// open it shows signs of life. It must be closed.
type postStream struct {
	streams bool   // the client accepts a stream
	gone    func() // called when the client cannot be reached any more

	mu   sync.Mutex
	w    http.ResponseWriter
	beat *time.Timer // not nil when the stream has begun
	done bool
}

// send writes one message as an event.
func (p *postStream) send(msg []byte) error { return p.write(event(msg)) }

// comment writes what clients ignore, so that the connection is seen to live.
func (p *postStream) comment() error { return p.write([]byte(":\n\n")) }

func (p *postStream) keepAlive() { _ = p.comment() } // write sees to errors

// event renders a message as a server-sent event.
func event(msg []byte) []byte {
	b := make([]byte, 0, len(msg)+32)
	b = append(b, "event: message\ndata: "...)
	b = append(b, msg...)
	return append(b, "\n\n"...)
}

// write begins the stream if need be, and writes a part of it.
func (p *postStream) write(part []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done || !p.streams {
		return errNoStream
	}
	err := p.timely(func() error {
		if p.beat == nil {
			p.beat = time.AfterFunc(heartbeat, p.keepAlive)
			p.w.Header().Set("Content-Type", "text/event-stream")
			p.w.Header().Set("Cache-Control", "no-cache")
			p.w.Header().Set("X-Accel-Buffering", "no")
			p.w.WriteHeader(http.StatusOK)
		}
		_, err := p.w.Write(part)
		return err
	})
	if err != nil {
		p.done = true
		p.gone()
		return err
	}
	p.beat.Reset(heartbeat)
	return nil
}

// timely writes and flushes within the write timeout. The deadline is lifted
// afterwards: it would outlast a quiet spell, and the request.
func (p *postStream) timely(write func() error) error {
	rc := http.NewResponseController(p.w)
	_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer can; that of a server can
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()
	if err := write(); err != nil {
		return err
	}
	return rc.Flush()
}

// finish writes the answer, as the last event if the stream has begun. Nothing is
// written after it. A client that is gone needs no answer, so errors are ignored.
func (p *postStream) finish(status int, answer []byte) {
	begun := p.close()
	_ = p.timely(func() error {
		if begun {
			_, err := p.w.Write(event(answer))
			return err
		}
		writeJSON(p.w, status, answer)
		return nil
	})
}

// close keeps whoever still holds p from writing, and reports whether the stream
// has begun.
func (p *postStream) close() (begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
	if p.beat == nil {
		return false
	}
	p.beat.Stop()
	return true
}

// acceptsStream reports whether the client of r takes an event stream. One that
// says nothing of what it takes is given JSON, unless it asks for a stream.
func acceptsStream(r *http.Request) bool {
	for _, value := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(value, ",") {
			switch media, _, _ := mime.ParseMediaType(part); media {
			case "text/event-stream", "text/*", "*/*":
				return true
			}
		}
	}
	return false
}
