package transport

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A knock is a connection by hand.
type knock struct {
	net.Conn
	r *bufio.Reader
}

func knockAt(t testing.TB, url string) knock {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return knock{c, bufio.NewReader(c)}
}

// say sends text; whether the server still listens shows in what it answers.
func (k knock) say(text string) { _, _ = io.WriteString(k.Conn, text) }

// status returns the status of the next answer, or "" if none comes.
func (k knock) status(within time.Duration) string {
	_ = k.SetReadDeadline(time.Now().Add(within))
	resp, err := http.ReadResponse(k.r, nil)
	if err != nil {
		return ""
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Status
}

// dismissed reports whether the server closes the connection.
func (k knock) dismissed(within time.Duration) bool {
	_ = k.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, k.r)
	nerr, ok := err.(net.Error)
	return !ok || !nerr.Timeout()
}

const (
	byStranger = "PUT /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"
	byBob      = "PUT /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer bob\r\n\r\n"
)

// Of more connections than there may be, those go first that have shown no token,
// then those that are quiet; whoever is being served stays.
func TestServeMakesRoomForNewConnections(t *testing.T) {
	s, _ := newTestServer(t, Options{MaxConnections: 3})
	url, _, _ := serve(t, s, twoTokens)
	come := func(text, want string) knock {
		t.Helper()
		k := knockAt(t, url)
		k.say(text)
		if got := k.status(patience); !strings.Contains(got, want) {
			t.Fatalf("answered with %q, want %s", got, want)
		}
		return k
	}
	quiet := come(byBob, "405")
	silent := knockAt(t, url)
	silent.say("POST /mcp HTTP/1.1\r\nHost: ")
	refused := come(byStranger, "401")
	if silent.dismissed(50 * time.Millisecond) {
		t.Error("a connection is closed while there is room")
	}

	another := come(byStranger, "401")
	if !silent.dismissed(patience) {
		t.Error("the first stranger stays")
	}
	alice := visit(t, url, legacy, "Authorization", "Bearer alice-1") // takes the place of refused
	if !refused.dismissed(patience) {
		t.Error("the second stranger stays")
	}
	answered := make(chan wire, 1)
	go func() { answered <- alice.call("1", "slow", `"ms":500`) }()
	waitFor(t, func() bool { return inflightCalls(s) == 1 })
	for range 10 {
		come(byStranger, "401")
	}
	if !another.dismissed(patience) {
		t.Error("the third stranger stays")
	}
	if w := <-answered; w.text() != "done" {
		t.Errorf("a client that was being served gets %+v", w)
	}
	quiet.say(byBob)
	if got := quiet.status(patience); !strings.Contains(got, "405") {
		t.Errorf("a client that was quiet is answered with %q", got)
	}
}

// While all connections are being served, one more waits.
func TestServeBoundsConnections(t *testing.T) {
	s, _ := newTestServer(t, Options{MaxConnections: 2})
	url, _, _ := serve(t, s, HTTPOptions{})
	answered := make(chan wire, 2)
	for _, c := range []*web{visit(t, url, legacy), visit(t, url, legacy)} {
		go func() { answered <- c.call("1", "slow", `"ms":1000`) }()
	}
	waitFor(t, func() bool { return inflightCalls(s) == 2 })
	third := knockAt(t, url)
	third.say(byBob)
	if got := third.status(100 * time.Millisecond); got != "" {
		t.Errorf("a third is answered with %q", got)
	}
	for range 2 {
		if w := <-answered; w.text() != "done" {
			t.Errorf("one that was being served gets %+v", w)
		}
	}
	third.r.Reset(third.Conn)
	if got := third.status(patience); !strings.Contains(got, "405") {
		t.Errorf("when there is room the third is answered with %q", got)
	}
}

// A client that is slow to say what it wants keeps a place for seconds only.
func TestServeDoesNotWaitForTheBodiesOfStrangers(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	url, _, _ := serve(t, s, twoTokens)
	k := knockAt(t, url)
	k.say("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	if !k.dismissed(4 * strangerTimeout) {
		t.Error("the connection is kept")
	}
}
