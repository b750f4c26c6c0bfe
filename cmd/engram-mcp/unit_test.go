package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestListenAddress(t *testing.T) {
	for given, want := range map[string]struct {
		address  string
		loopback bool
	}{
		"127.0.0.1:7077": {"127.0.0.1:7077", true},
		"8080":           {"127.0.0.1:8080", true},
		"localhost:1":    {"localhost:1", true},
		"[::1]:7077":     {"[::1]:7077", true},
		":7077":          {":7077", false},
		"0.0.0.0:7077":   {"0.0.0.0:7077", false},
		"10.0.0.1:7077":  {"10.0.0.1:7077", false},
		"host.name:80":   {"host.name:80", false},
	} {
		address, loopback, err := listenAddress(given)
		if err != nil || address != want.address || loopback != want.loopback {
			t.Errorf("%s: %s, loopback %v, err %v", given, address, loopback, err)
		}
	}
	for _, given := range []string{"", "127.0.0.1:", "::1", "a:b:c"} {
		if address, _, err := listenAddress(given); !errors.Is(err, errUsage) {
			t.Errorf("%q is taken as %s, err %v", given, address, err)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 3 << 20: "3.0 MiB", 5 << 50: "5120.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d bytes are %s", n, got)
		}
	}
}

// Wrapping loses no word and keeps every line that can be kept within the width.
func TestWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[a-zäöü]{1,30}`)).Draw(t, "words")
		p := &printer{width: rapid.IntRange(1, 200).Draw(t, "width")}
		margin := rapid.IntRange(0, 50).Draw(t, "margin")
		lines := p.wrap(strings.Join(words, " "), margin)
		if got := strings.Fields(strings.Join(lines, " ")); !slices.Equal(got, words) && len(got)+len(words) > 0 {
			t.Fatalf("%q became %q", words, got)
		}
		for _, l := range lines {
			if columns(l) > max(p.width-margin, 20) && strings.Contains(l, " ") {
				t.Fatalf("%q is wider than %d", l, p.width-margin)
			}
		}
	})
}

func TestColoursTakeNoColumns(t *testing.T) {
	p := &printer{color: true}
	if n := columns(p.red("five") + p.bold("!")); n != 5 {
		t.Errorf("%d columns", n)
	}
}

// A progress speaks every five seconds where there is no terminal, and at once
// to nobody.
func TestProgressWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	p := (&app{err: &out}).progress("importing")
	p.tell(1, 100, "1 engram")
	if out.Len() > 0 {
		t.Errorf("it said at once %q", out.String())
	}
	p.told = time.Now().Add(-6 * time.Second)
	p.tell(50, 100, "5 engrams")
	p.end()
	if got := out.String(); got != "importing: 5 engrams 50 %\n" {
		t.Errorf("it said %q", got)
	}
}

func TestProgressOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := &progress{w: &out, terminal: true, label: "importing", started: time.Now().Add(-10 * time.Second)}
	p.tell(50, 100, "5 engrams")
	p.end()
	if got := out.String(); !strings.Contains(got, "━━━━━━━━━━━━────────────  50 %  5 engrams  10s left") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("it drew %q", got)
	}
}

func TestShellLine(t *testing.T) {
	got := shellLine([]string{"claude", "add", "--", "/a b/c", "it's", "", "$HOME", "plain=1"})
	if want := `claude add -- '/a b/c' 'it'\''s' '' '$HOME' plain=1`; got != want {
		t.Errorf("%s", got)
	}
}

// A configuration keeps all that was in it, in its order, whatever it is; what
// is not a JSON object is refused.
func FuzzSetJSON(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"a": 1, "mcpServers": {"x": {"command": "y"}}, "b": [1, {"c": null}]}`,
		`{"mcpServers": 7}`, `[]`, `{"a": "<&>"}`, `{"a": 1, "a": 2}`, "{// comment\n}", "\ufeff{}", `{"mcpServers": {"engram": {}}}`} {
		f.Add([]byte(seed))
	}
	set := setJSON("mcpServers", entry.json)
	f.Fuzz(func(t *testing.T, config []byte) {
		before, err := parseObject(config)
		text, bad := set(config, entry{command: "/bin/engram-mcp", args: []string{"serve"}})
		if err != nil || bad != nil {
			if text != nil {
				t.Fatalf("refused, and written: %s", text)
			}
			return
		}
		if text == nil {
			t.Skip("it was there already")
		}
		after, err := parseObject(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var servers struct {
			MCPServers map[string]struct{ Command string } `json:"mcpServers"`
		}
		if !slices.ContainsFunc(before, func(m member) bool { return strings.EqualFold(m.key, "mcpServers") }) {
			if err := json.Unmarshal(text, &servers); err != nil || servers.MCPServers["engram"].Command != "/bin/engram-mcp" {
				t.Fatalf("%s: %v", text, err)
			}
		}
		for i, m := range before {
			if m.key != after[i].key || m.key != "mcpServers" && !sameJSON(m.value, after[i].value) {
				t.Fatalf("%s: member %d was %s", text, i, m.key)
			}
		}
		again, err := set(text, entry{command: "/bin/engram-mcp", args: []string{"serve"}})
		if err != nil || again != nil {
			t.Fatalf("a second time it is %s, %v", again, err)
		}
	})
}

func TestSetTOML(t *testing.T) {
	s := entry{command: `C:\bin\engram-mcp.exe`, args: []string{"serve", "--space=work"}}
	text, err := setTOML([]byte("model = \"x\" # mine\n"), s)
	if err != nil {
		t.Fatal(err)
	}
	want := "model = \"x\" # mine\n\n[mcp_servers.engram]\ncommand = \"C:\\\\bin\\\\engram-mcp.exe\"\nargs = [\"serve\", \"--space=work\"]\n"
	if d := cmp.Diff(want, string(text)); d != "" {
		t.Error(d)
	}
	if again, err := setTOML(text, s); again != nil || err != nil {
		t.Errorf("a second time it is %s, %v", again, err)
	}
	if _, err := setTOML([]byte("a = \n"), s); err == nil {
		t.Error("what is no TOML is changed")
	}
}

func TestWriteOnceNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "token")
	errs := make(chan error)
	for range 8 {
		go func() { errs <- writeOnce(path, []byte(randomToken())) }()
	}
	wrote := 0
	for range 8 {
		if <-errs == nil {
			wrote++
		}
	}
	token, err := readToken(path)
	if wrote != 1 || err != nil || len(token) != len(randomToken()) {
		t.Errorf("%d wrote it, it is %q, err %v", wrote, token, err)
	}
}
