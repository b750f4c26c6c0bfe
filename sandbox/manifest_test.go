package sandbox

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const fullManifest = `{
	"name": "tidy-notes", "version": "1.2", "description": "Tidies\u001b[2J\nnotes.", "runtime": "wasm", "entry": "tidy.wasm",
	"sha256": "5694D08A2E53FFCAE0C3103E5AD6F6076ABD960EB1F8A56577040BC1028F702B",
	"grants": ["engram_search", "engram_update"],
	"collections": {"read": ["notes"], "write": []}, "contexts": {"read": ["team"]},
	"limits": {"time_ms": 500, "fuel": 1000, "memory_mib": 8, "output_kib": 16, "log_kib": 4, "host_calls": 9, "concurrency": 2, "depth": 1},
	"instances": "pooled", "engine": "interpreter",
	"actions": [{"name": "tidy", "description": "Tidy.", "input_schema": {"type": "object", "description": "x\u202ey"}, "output_schema": {"type": "object"}, "read_only": true}],
	"hooks": [{"on": "before:engram_create", "action": "tidy", "order": -1, "time_ms": 20, "on_failure": "skip"}],
	"schedule": [{"every": "15m", "action": "tidy"}, {"daily_at": "03:30", "action": "tidy", "params": {"deep": true}}],
	"config": {"free": {"form": [1]}}
}`

func TestParseManifest(t *testing.T) {
	got, err := ParseManifest([]byte(fullManifest))
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{
		Name: "tidy-notes", Version: "1.2", Description: "Tidies[2J notes.", Runtime: "wasm", Entry: "tidy.wasm",
		SHA256:      "5694d08a2e53ffcae0c3103e5ad6f6076abd960eb1f8a56577040bc1028f702b",
		Grants:      []string{"engram_search", "engram_update"},
		Collections: Scope{Read: []string{"notes"}, Write: []string{}}, Contexts: Scope{Read: []string{"team"}},
		Limits:    Limits{TimeMS: 500, Fuel: 1000, MemoryMiB: 8, OutputKiB: 16, LogKiB: 4, HostCalls: 9, Concurrency: 2, Depth: 1},
		Instances: "pooled", Engine: "interpreter",
		Actions: []Action{{Name: "tidy", Description: "Tidy.", ReadOnly: true,
			InputSchema: json.RawMessage(`{"description":"xy","type":"object"}`), OutputSchema: json.RawMessage(`{"type":"object"}`)}},
		Hooks: []Hook{{On: "before:engram_create", Action: "tidy", Order: -1, TimeMS: 20, OnFailure: "skip"}},
		Schedule: []Schedule{{Every: "15m", Action: "tidy"},
			{DailyAt: "03:30", Action: "tidy", Params: json.RawMessage(`{"deep": true}`)}},
		Config: json.RawMessage(`{"free": {"form": [1]}}`),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Every row is a mistake that somebody makes, with the words that must be in
// the message and in the hint.
func TestParseManifestExplains(t *testing.T) {
	deep := strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200)
	for _, tc := range []struct{ json, message, hint string }{
		{``, "ends too early", "complete"},
		{`{"name": "a"`, "ends too early", "complete"},
		{`{"name": "a",}`, "byte", "linter"},
		{`[]`, "not a JSON object", "begin with"},
		{`{"name": "a"} {}`, "more than one", "remove"},
		{`{"name": "a", "grant": []}`, "grant: there is no such key", "did you mean grants?"},
		{`{"Name": "a"}`, "Name", "did you mean name?"},
		{`{"name": "a", "limits": {"wall": 3}}`, "limits.wall", "known keys: time_ms"},
		{`{"name": "a", "actions": [{"name": "x"}, {"name": "y", "input": {}}]}`, "actions[1].input: there is no such key", "known keys: name"},
		{`{"name": "a", "name": "b"}`, "twice", "keep one"},
		{`{"name": "a", "config": {"k": 1, "k": 2}}`, "config.k", "keep one"},
		{`{"name": "a", "config": {"k": ` + deep + `}}`, "nested", "flatten"},
		{`{"name": 7}`, "JSON number does not fit", "a string"},
		{`{"name": "a", "limits": {"time_ms": "2s"}}`, "limits.time_ms", "a whole number"},
		{`{"name": "a", "grants": "engram_get"}`, "grants", "a list"},
		{`{}`, "name: it is missing", "such as"},
		{`{"name": "Tidy Notes"}`, `"Tidy Notes" is not a name`, "a-z"},
		{`{"name": "engram"}`, "reserved", "another name"},
		{`{"name": "a", "runtime": "../x"}`, "no runtime", "wasm, lua"},
		{`{"name": "a", "sha256": "12"}`, "no SHA-256", "64 hexadecimal"},
		{`{"name": "a", "entry": "x", "command": ["y"]}`, "entry is set too", "keep one"},
		{`{"name": "a", "engine": "jit"}`, `engine: "jit"`, "compiler or interpreter"},
		{`{"name": "a", "grants": ["engram_get", "*"]}`, "grants[1]", "such as engram_search"},
		{`{"name": "a", "collections": {"read": ["\u0007"]}}`, "collections.read[0]", "printable"},
		{`{"name": "a", "limits": {"memory_mib": 99999}}`, "above the cap of 1024", "1024 or less"},
		{`{"name": "a", "limits": {"fuel": -1}}`, "negative", "leave it out"},
		{`{"name": "a", "actions": [{"name": "Do"}]}`, "actions[0].name", "a-z"},
		{`{"name": "a", "actions": [{"name": "x"}, {"name": "x"}]}`, "twice", "rename"},
		{`{"name": "abcdefghijklmnopqrstuvwx", "actions": [{"name": "abcdefghijklmnopqrstuvwxyz"}]}`, "longer than 48", "shorten"},
		{`{"name": "a", "actions": [{"name": "x", "description": "` + strings.Repeat("d", 501) + `"}]}`, "501 bytes", "500"},
		{`{"name": "a", "actions": [{"name": "x", "input_schema": []}]}`, "not a JSON object", "{ … }"},
		{`{"name": "a", "actions": [{"name": "x", "output_schema": {"type": "string"}}]}`, "output_schema.type", `"type": "object"`},
		{`{"name": "a", "hooks": [{"on": "engram_create", "action": "x"}]}`, "hooks[0].on", "before:"},
		{`{"name": "a", "actions": [{"name": "x"}], "hooks": [{"on": "after:engram_get", "action": "y"}]}`, `"y" is no action`, "name one of x"},
		{`{"name": "a", "schedule": [{"every": "1s", "action": "x"}]}`, "no interval", "15m"},
		{`{"name": "a", "schedule": [{"every": "1h", "daily_at": "01:00", "action": "x"}]}`, "exactly one", "either"},
		{`{"name": "a", "schedule": [{"daily_at": "25:00", "action": "x"}]}`, "time of day", "03:30"},
	} {
		_, err := ParseManifest([]byte(tc.json))
		if !errors.Is(err, ErrBadAgent) {
			t.Errorf("%s: error %v", tc.json, err)
			continue
		}
		if !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: message %q lacks %q", tc.json, err, tc.message)
		}
		if !strings.Contains(HintOf(err), tc.hint) {
			t.Errorf("%s: hint %q lacks %q", tc.json, HintOf(err), tc.hint)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                    "plain",
		" two\nlines\t":            "two lines",
		"a\x00b\x1b[31m\u0085\x7f": "ab[31m",
		"\u202eevil\u2066\u200b":   "evil",
		"tag\U000e0041\U000e0042":  "tag",
		"bad\xff\xfe":              "bad",
		"👩‍👩‍👧 zażółć 日本":          "👩‍👩‍👧 zażółć 日本",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzParseManifest checks that whatever is accepted is a fixed point: it is
// written and read again as the same manifest, and shows nothing hidden.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(fullManifest))
	f.Add([]byte(`{"name":"a"}`))
	f.Add([]byte(`{"name":"a","config":{"":{"":1}},"limits":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseManifest(data)
		if err != nil {
			if !errors.Is(err, ErrBadAgent) || HintOf(err) == "" {
				t.Fatalf("error without kind or hint: %v", err)
			}
			return
		}
		for _, a := range m.Actions {
			if a.Description != Clean(a.Description) || len(m.Name+a.Name) >= MaxToolName {
				t.Fatalf("accepted %+v", a)
			}
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		m2, err := ParseManifest(again)
		if err != nil {
			t.Fatalf("%v reading back %s", err, again)
		}
		third, err := json.Marshal(m2)
		if err != nil || string(third) != string(again) {
			t.Fatalf("%s became %s", again, third)
		}
	})
}
