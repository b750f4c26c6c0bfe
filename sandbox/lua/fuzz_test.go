package lua

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"engram-mcp/sandbox"
)

// What Go takes for JSON, scripts do too, and get the same out of it; nothing
// else.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`null`, `[1,-0.5e3,{"a":[true,false,null],"":""}]`, `"\u00e9\ud83d\ude00\ud800\n"`, `{"a":1,"a":{}}`, `[[[]]]`, `01`, `[1,]`, `"\x"`, ` 9223372036854775808 `} {
		f.Add(seed)
	}
	m := newManager(f, sandbox.Options{})
	install(f, m, "probe", `function tool_run(p)
		local ok, v = pcall(json.decode, p.text)
		return { ok, ok and json.encode(v) or v } end`, func(m *sandbox.Manifest) { m.Limits.TimeMS = 5000 })
	f.Fuzz(func(t *testing.T, text string) {
		var want any
		valid := json.Valid([]byte(text))
		if !utf8.ValidString(text) || valid && json.Unmarshal([]byte(text), &want) != nil {
			t.Skip("it cannot be handed over, or holds a number that no float can")
		}
		params, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.Run(t.Context(), "probe", sandbox.Call{Action: "run", Params: params})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var got struct {
			ok   bool
			text string
		}
		if err := json.Unmarshal(res.Output, &[]any{&got.ok, &got.text}); err != nil {
			t.Fatalf("%q: %s", text, res.Output)
		}
		if got.ok != valid {
			t.Fatalf("%q: taken %v, Go %v: %s", text, got.ok, valid, got.text)
		}
		var v any
		if valid && (json.Unmarshal([]byte(got.text), &v) != nil || !reflect.DeepEqual(v, want)) {
			t.Errorf("%q became %q", text, got.text)
		}
	})
}
