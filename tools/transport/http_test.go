package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// web is an HTTP client of one identity.
type web struct {
	t       testing.TB
	url     string
	era     era
	session string
	header  http.Header // sent with every request
}

// serveHTTP serves s on a loopback address for as long as the test lasts.
func serveHTTP(t testing.TB, s *Server, o HTTPOptions) string {
	t.Helper()
	ts := httptest.NewServer(s.Handler(o))
	t.Cleanup(ts.Close)
	return ts.URL + "/mcp"
}

// visit returns a client. A legacy one has initialized.
func visit(t testing.TB, url string, e era, header ...string) *web {
	t.Helper()
	c := &web{t: t, url: url, era: e, header: make(http.Header)}
	for i := 0; i < len(header); i += 2 {
		c.header.Set(header[i], header[i+1])
	}
	if e.name == legacy.name {
		resp, msgs := c.post(initialize)
		c.session = resp.Header.Get("Mcp-Session-Id")
		if c.session == "" || len(msgs) != 1 || msgs[0].Error != nil {
			t.Fatalf("initialize: %s %+v", resp.Status, msgs)
		}
	}
	return c
}

// do sends a request and returns the answer, of which the body is still to be read.
func (c *web) do(ctx context.Context, method, body string) *http.Response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	if c.era.name == modern.name {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		var m struct {
			Method string `json:"method"`
			Params struct {
				Name string `json:"name"`
				URI  string `json:"uri"`
			} `json:"params"`
		}
		_ = json.Unmarshal([]byte(body), &m)
		r.Header.Set("Mcp-Method", m.Method)
		if name := m.Params.Name + m.Params.URI; name != "" {
			r.Header.Set("Mcp-Name", name)
		}
	}
	if c.session != "" {
		r.Header.Set("Mcp-Session-Id", c.session)
	}
	for k, v := range c.header {
		r.Header[k] = v
	}
	r.Host = r.Header.Get("Host")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// post sends a message and returns all messages of the answer.
func (c *web) post(body string) (*http.Response, []wire) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	resp := c.do(ctx, "POST", body)
	defer resp.Body.Close()
	return resp, readMessages(c.t, resp)
}

// call calls a tool and returns the last message of the answer.
func (c *web) call(id, tool, args string) wire {
	c.t.Helper()
	resp, msgs := c.post(c.era.call(id, tool, args))
	if len(msgs) == 0 {
		c.t.Fatalf("%s: no answer", resp.Status)
	}
	return msgs[len(msgs)-1]
}

// readMessages reads the messages of an answer to its end.
func readMessages(t testing.TB, resp *http.Response) []wire {
	t.Helper()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		var msgs []wire
		for events := newEvents(resp.Body); ; {
			w, ok := events.next()
			if !ok {
				return msgs
			}
			msgs = append(msgs, w)
		}
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var w wire
	if json.Unmarshal(b, &w) != nil {
		return nil
	}
	return []wire{w}
}

// events reads an event stream.
type events struct{ r *bufio.Reader }

func newEvents(r io.Reader) events { return events{bufio.NewReader(r)} }

// next returns the next message, and false at the end of the stream.
func (e events) next() (wire, bool) {
	for {
		line, err := e.r.ReadBytes('\n')
		if err != nil {
			return wire{}, false
		}
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			var w wire
			return w, json.Unmarshal(data, &w) == nil
		}
	}
}

func TestHTTPAnswers(t *testing.T) {
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{})
		c := visit(t, serveHTTP(t, s, HTTPOptions{}), e)
		if w := c.call("1", "echo", `"text":"hello"`); w.text() != "hello" {
			t.Errorf("echo: %s %v", w.Result, w.Error)
		}
	})
}

func TestHTTPLosesNoNotification(t *testing.T) {
	for _, tool := range []string{"burst", "mcpgoburst"} {
		t.Run(tool, func(t *testing.T) {
			eachEra(t, func(t *testing.T, e era) {
				s, _ := newTestServer(t, Options{})
				c := visit(t, serveHTTP(t, s, HTTPOptions{}), e)
				lost := 0
				for i := range 200 {
					id := fmt.Sprint(i)
					_, msgs := c.post(e.requestMeta(id, "tools/call", fmt.Sprintf(`"name":%q,"arguments":{"n":3}`, tool), `"progressToken":`+id))
					if len(msgs) != 4 || msgs[3].text() != "sent" {
						lost++
					}
				}
				if lost > 0 {
					t.Errorf("%d of 200 calls lost notifications", lost)
				}
				if _, msgs := c.post(e.requestMeta("1", "tools/call", fmt.Sprintf(`"name":%q,"arguments":{"n":1000}`, tool), `"progressToken":1`)); len(msgs) != 1001 {
					t.Errorf("%d of 1000 notifications arrived", len(msgs)-1)
				}
			})
		})
	}
}

var _ = time.Second
