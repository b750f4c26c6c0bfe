package transport

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

var internal = regexp.MustCompile(`^internal error \(id ([0-9a-f]{8})\)$`)

// What goes wrong inside is logged under the id that the client is shown, and
// nothing else of it is shown.
func TestInternalErrorsAreLoggedAndNotShown(t *testing.T) {
	for _, test := range []struct{ name, method, params string }{
		{"panic of a tool", "tools/call", `"name":"panic","arguments":{}`},
		{"error of a tool", "tools/call", `"name":"fail","arguments":{}`},
		{"result that is no JSON", "tools/call", `"name":"unrenderable","arguments":{}`},
		{"panic of a resource", "resources/read", `"uri":"test://panic"`},
		{"error of a prompt", "prompts/get", `"name":"fail"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachEra(t, func(t *testing.T, e era) {
				s, log := newTestServer(t, Options{})
				c := dial(t, s, e)
				c.send(e.request("1", test.method, test.params))
				w := c.next()
				message := w.text()
				if w.Error != nil {
					message = w.Error.Message
				}
				found := internal.FindStringSubmatch(message)
				if found == nil {
					t.Fatalf("the client is told %q", message)
				}
				if !strings.Contains(log.String(), "id="+found[1]) {
					t.Errorf("the log does not mention %s: %s", found[1], log)
				}
				if test.name != "result that is no JSON" && !strings.Contains(log.String(), secret) {
					t.Errorf("the log does not say what happened: %s", log)
				}
				if strings.Contains(test.name, "panic") && !strings.Contains(log.String(), "transport_test.go") {
					t.Error("the log has no stack")
				}
				c.send(e.call("2", "echo", `"text":"alive"`))
				if w := c.next(); w.text() != "alive" {
					t.Errorf("afterwards: %+v", w)
				}
			})
		})
	}
}

func TestErrorsThatClientsAreMeantToSee(t *testing.T) {
	for _, test := range []struct {
		name, method, params string
		code                 [2]int // legacy, modern
		message, data        string
	}{
		{"chosen by a tool", "tools/call", `"name":"code","arguments":{}`, [2]int{-32007, -32007}, "chosen", `{"n":1}`},
		{"missing capability", "tools/call", `"name":"capability","arguments":{}`, [2]int{-32021, -32021},
			`missing required client capability: "sampling"`, `{"requiredCapabilities":{"sampling":{}}}`},
		{"unknown tool", "tools/call", `"name":"nope","arguments":{}`, [2]int{-32602, -32602}, `there is no tool "nope"; tools/list tells which there are`, ""},
		{"unknown prompt", "prompts/get", `"name":"nope"`, [2]int{-32602, -32602}, `there is no prompt "nope"; prompts/list tells which there are`, ""},
		{"missing argument", "prompts/get", `"name":"needs"`, [2]int{-32602, -32602}, `prompt "needs" needs the argument "what"`, ""},
		{"unknown resource", "resources/read", `"uri":"test://nope"`, [2]int{-32002, -32602},
			`there is no resource "test://nope"; resources/list and resources/templates/list tell what there is`, `{"uri":"test://nope"}`},
		{"resource that its handler misses", "resources/read", `"uri":"item://nope"`, [2]int{-32002, -32602},
			`there is no resource "item://nope"; resources/list and resources/templates/list tell what there is`, `{"uri":"item://nope"}`},
		{"params of a wrong shape", "tools/call", `"name":{}`, [2]int{-32602, -32602}, `the params of tools/call have a wrong shape: params.name has the wrong type: object`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for i, e := range eras {
				t.Run(e.name, func(t *testing.T) {
					s, log := newTestServer(t, Options{})
					c := dial(t, s, e)
					c.send(e.request("1", test.method, test.params))
					w := c.next()
					if w.Error == nil {
						t.Fatalf("got %s", w.Result)
					}
					data := ""
					if w.Error.Data != nil {
						data = mustJSON(w.Error.Data)
					}
					if w.Error.Code != test.code[i] || w.Error.Message != test.message || data != test.data {
						t.Errorf("got %d %q %s", w.Error.Code, w.Error.Message, data)
					}
					if log.String() != "" {
						t.Errorf("the log is bothered: %s", log)
					}
				})
			}
		})
	}
}

func TestCallsRunOutOfTime(t *testing.T) {
	eachEra(t, func(t *testing.T, e era) {
		s, log := newTestServer(t, Options{CallTimeout: 50 * time.Millisecond})
		c := dial(t, s, e)
		c.send(e.call("1", "slow", `"ms":3600000`))
		if w := c.next(); w.text() != "the request took longer than 50ms and was stopped; ask for less at once" {
			t.Errorf("got %+v", w)
		}
		if log.String() != "" {
			t.Errorf("the log is bothered: %s", log)
		}
	})
}
