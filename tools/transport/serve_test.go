package transport

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serve serves s by Serve, and returns its URL, how to stop it and how it ended.
func serve(t *testing.T, s *Server, o HTTPOptions) (url string, stop func(), ended chan error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ended = make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln, nil, s.Handler(o)) }()
	return "http://" + ln.Addr().String() + "/mcp", cancel, ended
}

func TestServeDrains(t *testing.T) {
	s, _ := newTestServer(t, Options{DrainTimeout: patience})
	url, stop, ended := serve(t, s, HTTPOptions{})
	old, new := visit(t, url, legacy), visit(t, url, modern)
	get := old.do(t.Context(), "GET", "")
	listen := newEvents(new.do(t.Context(), "POST", modern.request("1", "subscriptions/listen", `"notifications":{"toolsListChanged":true}`)).Body)
	listen.next()
	running := make(chan wire, 1)
	go func() { running <- old.call("1", "slow", `"ms":500`) }()
	waitFor(t, func() bool { return inflightCalls(s) > 0 })

	stop()
	if _, more := newEvents(get.Body).next(); more {
		t.Error("the GET stream goes on")
	}
	if w, _ := listen.next(); string(w.ID) != "1" || w.Error != nil {
		t.Errorf("the listen stream ends with %+v", w)
	}
	if w := <-running; w.text() != "done" {
		t.Errorf("a running request ends with %+v", w)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Serve does not return")
	}
	if _, err := net.Dial("tcp", url[len("http://"):len(url)-len("/mcp")]); err == nil {
		t.Error("connections are still taken")
	}
}

func TestServeDoesNotWaitForever(t *testing.T) {
	s, log := newTestServer(t, Options{DrainTimeout: 100 * time.Millisecond})
	url, stop, ended := serve(t, s, HTTPOptions{})
	c := visit(t, url, legacy)
	r, _ := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(legacy.call("1", "slow", `"ms":3600000`)))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Mcp-Session-Id": {c.session}}
	cut := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(r)
		cut <- err
	}()
	waitFor(t, func() bool { return inflightCalls(s) > 0 })
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Serve does not return")
	}
	if err := <-cut; err == nil {
		t.Error("the request was answered")
	}
	if log.String() == "" {
		t.Error("nothing is logged")
	}
}
