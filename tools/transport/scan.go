package transport

import (
	"bytes"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
)

// maxDepth bounds how deeply the JSON of a message may be nested. encoding/json
// allows 10,000, at which a small message costs stack and time out of proportion.
const maxDepth = 128

// message is what the transport itself must know of a JSON-RPC message. All
// slices point into raw.
type message struct {
	raw     []byte
	id      []byte // as written, so that a client gets its own spelling back; nil if absent
	method  string // empty for an answer to a request of ours
	params  []byte // an object, or nil
	result  []byte // of an answer
	failure []byte // the error of an answer
	version string // protocol revision that params._meta declares, or empty
	token   []byte // params._meta.progressToken, or nil
}

// modern reports whether m declares a revision without initialize.
func (m *message) modern() bool { return mcp.IsModernProtocol(m.version) }

var (
	errSyntax = &Error{Code: mcp.PARSE_ERROR, Message: "the message is not valid JSON"}
	errDeep   = &Error{Code: mcp.INVALID_REQUEST, Message: "the message is nested too deeply (the limit is 128)"}
	errBatch  = &Error{Code: mcp.INVALID_REQUEST, Message: "batches are not part of MCP; send one message at a time"}
)

// scan checks that raw is one JSON-RPC message and finds its parts in one pass
// without building values. A message that passes is decoded once more by mcp-go,
// so scan refuses whatever encoding/json could read differently: a member given
// twice, or under a name that differs from a known one only in case.
//
// With an error, the message still holds what was found before it, so that an
// answer can carry the id.
func scan(raw []byte) (message, *Error) {
	m := message{raw: raw}
	s := scanner{b: raw}
	s.space()
	if s.peek() == '[' {
		return m, errBatch
	}
	if s.peek() != '{' {
		if s.value(0) != nil {
			return m, errSyntax
		}
		return m, invalidRequest("a message must be a JSON object")
	}
	seen := make(map[string]bool, 4)
	var version []byte
	err := s.object(1, func(key []byte) *Error {
		name, err := known(key, seen, "jsonrpc", "id", "method", "params", "result", "error")
		if err != nil {
			return err
		}
		start := s.i
		if name == "params" && s.peek() == '{' {
			err = s.params(&m)
		} else {
			err = s.value(1)
		}
		if err != nil {
			return err
		}
		v := raw[start:s.i]
		switch name {
		case "jsonrpc":
			version = v
		case "id":
			m.id = v
		case "method":
			if v[0] != '"' {
				return invalidRequest("method must be a string")
			}
			m.method = unquote(v)
		case "params":
			if v[0] == '{' {
				m.params = v
			} else if v[0] != 'n' {
				return invalidParams("params must be an object")
			}
		case "result":
			m.result = v
		case "error":
			m.failure = v
		}
		return nil
	})
	if err != nil {
		return m, err
	}
	if s.space(); s.i != len(raw) {
		return m, errSyntax
	}
	return m, m.check(version, seen["method"])
}

// check reports what makes a well-formed object no JSON-RPC message.
func (m *message) check(version []byte, hasMethod bool) *Error {
	answer := m.result != nil || m.failure != nil
	switch {
	case string(version) != `"2.0"` && unquote(version) != "2.0":
		return invalidRequest(`jsonrpc must be "2.0"`)
	case hasMethod && (m.method == "" || answer):
		return invalidRequest("a message has either a method or a result")
	case !hasMethod && !answer:
		return invalidRequest("method is missing")
	case m.id != nil && m.id[0] != '"' && m.id[0] != '-' && (m.id[0] < '0' || m.id[0] > '9'):
		if !answer {
			m.id = nil
			return invalidRequest("id must be a string or a number")
		}
	}
	return nil
}

// isRequest reports whether an answer is due to m.
func (m *message) isRequest() bool { return m.method != "" && m.id != nil }

// listens reports whether m opens a stream of notifications.
func (m *message) listens() bool {
	return m.isRequest() && m.modern() && m.method == string(mcp.MethodSubscriptionsListen)
}

// known returns the name that key spells, or "" when it is none of names. It
// refuses a name already seen and a near miss that encoding/json would take.
func known(key []byte, seen map[string]bool, names ...string) (string, *Error) {
	text := key[1 : len(key)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		text = []byte(unquote(key))
	}
	for _, name := range names {
		if !bytes.EqualFold(text, []byte(name)) {
			continue
		}
		if string(text) != name {
			return "", invalidRequest("%q must be spelled %q", text, name)
		}
		if seen[name] {
			return "", invalidRequest("%q is given twice", name)
		}
		seen[name] = true
		return name, nil
	}
	return "", nil
}

// unquote decodes a JSON string that is known to be valid. Anything else yields "".
func unquote(v []byte) string {
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	if text := v[1 : len(v)-1]; isPlain(text) {
		return string(text)
	}
	var s string
	_ = json.Unmarshal(v, &s)
	return s
}

// isPlain reports whether text is ASCII without escapes.
func isPlain(text []byte) bool {
	for _, c := range text {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// scanner walks valid JSON from left to right.
type scanner struct {
	b []byte
	i int
}

// params scans the params object and takes from its _meta what m needs.
func (s *scanner) params(m *message) *Error {
	seen := make(map[string]bool, 1)
	return s.object(2, func(key []byte) *Error {
		name, err := known(key, seen, "_meta")
		if err != nil {
			return err
		}
		if name == "" || s.peek() != '{' {
			if name != "" && s.peek() != 'n' {
				return invalidParams("_meta must be an object")
			}
			return s.value(2)
		}
		return s.object(3, func(key []byte) *Error {
			start := s.i
			if err := s.value(3); err != nil {
				return err
			}
			switch v := s.b[start:s.i]; unquote(key) {
			case mcp.MetaKeyProtocolVersion:
				m.version = unquote(v)
			case "progressToken":
				m.token = v
			}
			return nil
		})
	})
}

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// value passes one value that lies within depth arrays and objects.
func (s *scanner) value(depth int) *Error {
	switch c := s.peek(); {
	case c == '"':
		return s.string()
	case c == '{':
		return s.object(depth+1, func([]byte) *Error { return s.value(depth + 1) })
	case c == '[':
		return s.array(depth + 1)
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return errSyntax
}

// object passes an object; member is called at each value with the quoted key and
// must pass that value.
func (s *scanner) object(depth int, member func(key []byte) *Error) *Error {
	if depth > maxDepth {
		return errDeep
	}
	s.i++
	s.space()
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		start := s.i
		if s.peek() != '"' {
			return errSyntax
		}
		if err := s.string(); err != nil {
			return err
		}
		key := s.b[start:s.i]
		if s.space(); s.peek() != ':' {
			return errSyntax
		}
		s.i++
		s.space()
		if err := member(key); err != nil {
			return err
		}
		if done, err := s.next('}'); done || err != nil {
			return err
		}
	}
}

func (s *scanner) array(depth int) *Error {
	if depth > maxDepth {
		return errDeep
	}
	s.i++
	s.space()
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		if done, err := s.next(']'); done || err != nil {
			return err
		}
	}
}

// next passes a comma, or the closing byte and reports that it was there.
func (s *scanner) next(closing byte) (done bool, err *Error) {
	s.space()
	switch s.peek() {
	case closing:
		s.i++
		return true, nil
	case ',':
		s.i++
		s.space()
		return false, nil
	}
	return false, errSyntax
}

func (s *scanner) string() *Error {
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return nil
		case c < 0x20:
			return errSyntax
		case c == '\\':
			if !s.escape() {
				return errSyntax
			}
		}
	}
	return errSyntax
}

// escape moves from a backslash to the last byte of its escape sequence.
func (s *scanner) escape() bool {
	s.i++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			s.i++
			c := s.peek()
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return false
			}
		}
		return true
	}
	return false
}

func (s *scanner) literal(word string) *Error {
	if !bytes.HasPrefix(s.b[s.i:], []byte(word)) {
		return errSyntax
	}
	s.i += len(word)
	return nil
}

func (s *scanner) number() *Error {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return errSyntax
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return errSyntax
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return errSyntax
		}
	}
	return nil
}

// digits passes decimal digits and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}
