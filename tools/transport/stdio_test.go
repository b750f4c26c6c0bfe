package transport

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestStdioAnswersEverythingReadBeforeTheEnd(t *testing.T) {
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{})
		c := dial(t, s, e)
		const calls = 100
		var lines strings.Builder
		for i := range calls {
			fmt.Fprintln(&lines, e.call(fmt.Sprint(i), "slow", `"ms":50`))
		}
		c.send(strings.TrimSpace(lines.String()))
		got := make(map[string]bool)
		for _, w := range c.end() {
			if w.text() != "done" {
				t.Errorf("id %s: %s %v", w.ID, w.Result, w.Error)
			}
			got[string(w.ID)] = true
		}
		if len(got) != calls {
			t.Errorf("%d of %d requests were answered", len(got), calls)
		}
	})
}

func TestStdioDropsNothingUnderPipelining(t *testing.T) {
	s, _ := newTestServer(t, Options{MaxConcurrent: 4})
	c := dial(t, s, modern)
	const calls = 5000
	go func() {
		for i := range calls {
			c.send(modern.call(fmt.Sprint(i), "echo", `"text":"x"`))
		}
	}()
	got := make(map[string]bool)
	for range calls {
		w := c.next()
		if w.text() != "x" {
			t.Fatalf("id %s: %s %v", w.ID, w.Result, w.Error)
		}
		got[string(w.ID)] = true
	}
	if len(got) != calls {
		t.Errorf("%d of %d requests were answered", len(got), calls)
	}
}

func TestStdioGoesOnAfterABadLine(t *testing.T) {
	s, _ := newTestServer(t, Options{MaxMessage: 4096})
	c := dial(t, s, legacy)
	for _, test := range []struct {
		name, line string
		code       int
		id         string
	}{
		{"no JSON", `{"jsonrpc":"2.0","id":1,"method":"ping"`, -32700, "null"},
		{"too long", `{"jsonrpc":"2.0","id":"big","method":"ping","params":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`, -32600, `"big"`},
		{"too deep", `{"jsonrpc":"2.0","id":7,"method":"ping","params":` + strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 201), -32600, "7"},
		{"batch", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, -32600, "null"},
		{"id null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, -32600, "null"},
		{"not 2.0", `{"jsonrpc":"1.0","id":3,"method":"ping"}`, -32600, "3"},
		{"unknown method", `{"jsonrpc":"2.0","id":4,"method":"no/such"}`, -32601, "4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.t = t
			c.send(test.line)
			w := c.next()
			if w.Error == nil || w.Error.Code != test.code || !bytes.Equal(w.ID, []byte(test.id)) {
				t.Errorf("got id %s, error %+v, want id %s, code %d", w.ID, w.Error, test.id, test.code)
			}
			c.send(legacy.call(`"after"`, "echo", `"text":"alive"`))
			if w := c.next(); w.text() != "alive" {
				t.Errorf("afterwards: %s %v", w.Result, w.Error)
			}
		})
	}
}
