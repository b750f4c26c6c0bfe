package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestScanFindsTheParts(t *testing.T) {
	raw := ` {"jsonrpc":"2.0", "id" : 9007199254740993 ,"params":{"name":"x","_meta":{"progressToken":"a\u0062",
		"io.modelcontextprotocol/protocolVersion":"2026-07-28"}},"method":"tools\/call"} `
	m, err := scan([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if string(m.id) != "9007199254740993" || m.method != "tools/call" || m.version != "2026-07-28" || string(m.token) != `"a\u0062"` {
		t.Errorf("id %s, method %s, version %s, token %s", m.id, m.method, m.version, m.token)
	}
	if !m.modern() || !m.isRequest() || m.listens() {
		t.Errorf("modern %v, request %v, listens %v", m.modern(), m.isRequest(), m.listens())
	}
}

func TestScanRefuses(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, test := range []struct {
		name, raw string
		code      int // 0 means that it passes
	}{
		{"nothing", ``, -32700},
		{"a number", `1`, -32600},
		{"two messages", `{"jsonrpc":"2.0","method":"a"}{}`, -32700},
		{"a bare word", `{"jsonrpc":"2.0","method":a}`, -32700},
		{"a control character", "{\"jsonrpc\":\"2.0\",\"method\":\"a\tb\"}", -32700},
		{"a bad escape", `{"jsonrpc":"2.0","method":"\x41"}`, -32700},
		{"a short escape", `{"jsonrpc":"2.0","method":"\u004"}`, -32700},
		{"a leading zero", `{"jsonrpc":"2.0","id":01,"method":"a"}`, -32700},
		{"a trailing comma", `{"jsonrpc":"2.0","method":"a",}`, -32700},
		{"a method given twice", `{"jsonrpc":"2.0","method":"a","method":"b"}`, -32600},
		{"a method in capitals", `{"jsonrpc":"2.0","id":1,"method":"a","METHOD":"b"}`, -32600},
		{"an escaped method in capitals", `{"jsonrpc":"2.0","id":1,"method":"a","\u004dethod":"b"}`, -32600},
		{"a name that folds to a known one", `{"jsonrpc":"2.0","id":1,"method":"a","reſult":1}`, -32600},
		{"two _meta", `{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{},"_META":{}}}`, -32600},
		{"a method and a result", `{"jsonrpc":"2.0","id":1,"method":"a","result":1}`, -32600},
		{"neither", `{"jsonrpc":"2.0","id":1}`, -32600},
		{"an empty method", `{"jsonrpc":"2.0","id":1,"method":""}`, -32600},
		{"a method that is no string", `{"jsonrpc":"2.0","id":1,"method":1}`, -32600},
		{"an id that is an object", `{"jsonrpc":"2.0","id":{},"method":"a"}`, -32600},
		{"an id that is true", `{"jsonrpc":"2.0","id":true,"method":"a"}`, -32600},
		{"no version", `{"id":1,"method":"a"}`, -32600},
		{"params that are a list", `{"jsonrpc":"2.0","id":1,"method":"a","params":[]}`, -32602},
		{"a _meta that is a list", `{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":[]}}`, -32602},
		{"too deep", `{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":` + deep(maxDepth-1) + `}}`, -32600},
		{"as deep as may be", `{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":` + deep(maxDepth-2) + `}}`, 0},
		{"params null", `{"jsonrpc":"2.0","id":1,"method":"a","params":null}`, 0},
		{"an answer with id null", `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := scan([]byte(test.raw))
			code := 0
			if err != nil {
				code = err.Code
			}
			if code != test.code {
				t.Errorf("code %d (%v), want %d", code, err, test.code)
			}
		})
	}
}

// agrees checks that scan and encoding/json, which decodes what scan lets pass,
// see the same message.
func agrees(raw []byte) error {
	m, err := scan(raw)
	valid := json.Valid(raw)
	if err != nil {
		if err == errSyntax && valid {
			return fmt.Errorf("scan calls valid JSON invalid: %q", raw)
		}
		return nil
	}
	if !valid {
		return fmt.Errorf("scan passes invalid JSON: %q", raw)
	}
	var std struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  string          `json:"method"`
		Result  json.RawMessage `json:"result"`
		Error   json.RawMessage `json:"error"`
		Params  struct {
			Meta map[string]any `json:"_meta"`
		} `json:"params"`
	}
	if err := json.Unmarshal(raw, &std); err != nil {
		return fmt.Errorf("scan passes what cannot be decoded: %q: %v", raw, err)
	}
	version, _ := std.Params.Meta["io.modelcontextprotocol/protocolVersion"].(string)
	switch {
	case std.JSONRPC != "2.0", std.Method != m.method, version != m.version:
		return fmt.Errorf("%q: scan sees method %q version %q; encoding/json sees %q %q", raw, m.method, m.version, std.Method, version)
	case !bytes.Equal(std.ID, m.id), !bytes.Equal(std.Result, m.result), !bytes.Equal(std.Error, m.failure):
		return fmt.Errorf("%q: scan sees id %s, result %s, error %s; encoding/json sees %s, %s, %s",
			raw, m.id, m.result, m.failure, std.ID, std.Result, std.Error)
	}
	var token any
	if m.token != nil {
		_ = json.Unmarshal(m.token, &token)
	}
	if fmt.Sprint(token) != fmt.Sprint(std.Params.Meta["progressToken"]) {
		return fmt.Errorf("%q: scan sees token %v; encoding/json sees %v", raw, token, std.Params.Meta["progressToken"])
	}
	return nil
}

func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		initialize,
		modern.call("1", "echo", `"text":"é\u00e9\ud83d\ude00"`),
		modern.requestMeta(`"x"`, "subscriptions/listen", "", `"progressToken":1e3`),
		`{"jsonrpc":"2.0","id":-1.5E+3,"result":{"a":[true,false,null,"\\\"\/\b"]}}`,
		`{"jsonrpc":"2.0","method":"a","reſult":1,"\u0069d":2}`,
		"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\xfe\",\"id\":\"\xff\"}",
		`{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":null}}`,
		`{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"progressToken":1,"progressToken":2}}}`,
		`[[[[`, `{"a":{"b"`, `1`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := agrees(raw); err != nil {
			t.Error(err)
		}
	})
}

// Messages made of the parts that matter reach further than random bytes do.
func TestScanAgreesWithTheDecoder(t *testing.T) {
	member := rapid.SampledFrom([]string{
		`"jsonrpc":"2.0"`, `"jsonrpc":"2.0"`, `"jsonrpc":2`, `"id":1`, `"id":"a\n"`, `"id":null`, `"ID":1`, `"id":[1]`,
		`"method":"tools/call"`, `"method":"\u0061"`, `"Method":"x"`, `"method":null`, `"result":{}`, `"result":null`,
		`"error":{"code":1}`, `"params":{}`, `"params":null`, `"params":{"_meta":{"progressToken":1e2}}`,
		`"params":{"_meta":{"io.modelcontextprotocol\/protocolVersion":"2026-07-28"}}`,
		`"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}`, `"params":{"_Meta":{}}`, `"x":"\ud800"`,
		`"x":-0.0e-1`, `"x":.5`, `"x":[1,]`, `"x":"` + "\x7f" + `"`, `"k":1`, `"K":1`,
	})
	rapid.Check(t, func(t *rapid.T) {
		raw := "{" + strings.Join(rapid.SliceOfN(member, 1, 5).Draw(t, "members"), rapid.SampledFrom([]string{",", " ,\n"}).Draw(t, "comma")) + "}"
		if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
			raw = raw[:rapid.IntRange(0, len(raw)).Draw(t, "at")]
		}
		if err := agrees([]byte(raw)); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	raw := []byte(modern.call("1", "echo", `"text":"hello"`))
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := scan(raw); err != nil {
			b.Fatal(err)
		}
	}
}
