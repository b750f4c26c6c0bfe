package conformance

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"engram-mcp/conformance/binary"
)

var update = flag.Bool("update", false, "rewrite the server sections of testdata/wire")

// The wire is golden: each file holds what a client sends and what the server
// answers, over stdio and over HTTP alike. Ids, times and the program's
// version are replaced by names; $1, $2 … in a client's line stand for the ids
// in the order in which the server first told them.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	transports := map[string]func(*testing.T, string) wire{
		"stdio": func(t *testing.T, data string) wire { return binary.Start(t, data, "--agent", "tester") },
		"http":  func(t *testing.T, data string) wire { return startHTTP(t, data, "--agent", "tester") },
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, start := range transports {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+name, func(t *testing.T) {
				w := start(t, t.TempDir())
				got := converse(t, w, section(ar, "client"))
				w.Close(t)
				if *update && name == "stdio" {
					setSection(ar, "server", got)
					if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if d := cmp.Diff(string(section(ar, "server")), string(got)); d != "" && (!*update || name != "stdio") {
					t.Errorf("the server's side changed (-want +got); 'go test ./conformance -run TestWire -update' if it is meant:\n%s", d)
				}
			})
		}
	}
}

func section(ar *txtar.Archive, name string) []byte {
	for _, f := range ar.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func setSection(ar *txtar.Archive, name string, data []byte) {
	for i := range ar.Files {
		if ar.Files[i].Name == name {
			ar.Files[i].Data = data
			return
		}
	}
	ar.Files = append(ar.Files, txtar.File{Name: name, Data: data})
}

func converse(t *testing.T, w wire, client []byte) []byte {
	t.Helper()
	m := &masker{names: map[string]string{}}
	var out bytes.Buffer
	for line := range bytes.Lines(client) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if answer := w.Send(t, m.fill(line)); answer != nil {
			out.Write(m.mask(t, answer))
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

// masker gives what differs from run to run a name.
type masker struct {
	ids   []string
	names map[string]string
}

var (
	uuidPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timePattern = regexp.MustCompile(`(\\?")20\d\d-\d\d-\d\dT[^"\\]*Z\\?"`)    // also in JSON inside a text
	tookPattern = regexp.MustCompile(`(\\?"(?:time_ms|score)\\?":)[0-9.e+-]+`) // scores change with every weight
	namePattern = regexp.MustCompile(`\$(\d+)`)
)

func (m *masker) fill(line []byte) []byte {
	return namePattern.ReplaceAllFunc(line, func(b []byte) []byte {
		var n int
		fmt.Sscanf(string(b), "$%d", &n)
		if n < 1 || n > len(m.ids) {
			return b
		}
		return []byte(m.ids[n-1])
	})
}

func (m *masker) mask(t *testing.T, answer []byte) []byte {
	var v any
	if err := json.Unmarshal(answer, &v); err != nil {
		t.Fatalf("not JSON: %s", answer)
	}
	dropVersion(v)
	b, err := json.Marshal(v) // keys in order
	if err != nil {
		t.Fatal(err)
	}
	b = uuidPattern.ReplaceAllFunc(b, func(id []byte) []byte {
		name, ok := m.names[string(id)]
		if !ok {
			m.ids = append(m.ids, string(id))
			name = fmt.Sprintf("$%d", len(m.ids))
			m.names[string(id)] = name
		}
		return []byte(name)
	})
	b = timePattern.ReplaceAll(b, []byte(`$1$$time$1`))
	return tookPattern.ReplaceAll(b, []byte(`${1}0`))
}

// dropVersion masks the version of the program wherever serverInfo tells it.
func dropVersion(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if info, ok := x.(map[string]any); ok && strings.HasSuffix(strings.ToLower(k), "serverinfo") {
				info["version"] = "$version"
			}
			dropVersion(x)
		}
	case []any:
		for _, x := range v {
			dropVersion(x)
		}
	}
}
