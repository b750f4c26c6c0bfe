package transport

import (
	"net/http/httptest"
	"testing"
	"time"
)

// timedWriter records the write deadline of a response.
type timedWriter struct {
	*httptest.ResponseRecorder
	deadline time.Time
	set      int
}

func (w *timedWriter) SetWriteDeadline(t time.Time) error {
	w.deadline = t
	w.set++
	return nil
}

func (w *timedWriter) Write(b []byte) (int, error) {
	if w.deadline.IsZero() {
		panic("a write without a deadline")
	}
	return w.ResponseRecorder.Write(b)
}

// A stalled client must not hold a request for ever, and the deadline of one
// message must not end a stream that was quiet after it, nor a later request.
func TestWritesHaveADeadlineAndLeaveNone(t *testing.T) {
	for name, write := range map[string]func(*postStream){
		"JSON":   func(p *postStream) { p.finish(200, []byte(`{}`)) },
		"event":  func(p *postStream) { _ = p.send([]byte(`{}`)) },
		"stream": func(p *postStream) { _ = p.send([]byte(`{}`)); p.finish(200, []byte(`{}`)) },
		"beat":   func(p *postStream) { _ = p.comment() },
	} {
		w := &timedWriter{ResponseRecorder: httptest.NewRecorder()}
		write(&postStream{w: w, streams: true, gone: func() {}})
		if w.set == 0 || !w.deadline.IsZero() || w.Body.Len() == 0 {
			t.Errorf("%s: the deadline was set %d times and is %v; body %q", name, w.set, w.deadline, w.Body)
		}
	}
}

func TestNothingIsWrittenAfterTheAnswer(t *testing.T) {
	w := httptest.NewRecorder()
	p := &postStream{w: w, streams: true, gone: func() {}}
	p.finish(200, []byte(`{"id":1}`))
	if err := p.send([]byte(`{"late":1}`)); err != errNoStream {
		t.Errorf("got %v", err)
	}
	if w.Body.String() != `{"id":1}` {
		t.Errorf("body is %q", w.Body)
	}
}
