package wasm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"engram-mcp/sandbox"
)

const examples = "../../examples/agents/"

// A tape is a host that gives prepared results and notes what it was asked.
type tape struct {
	results map[string]string
	asked   []string
}

func (p *tape) host(_ context.Context, op string, in []byte) ([]byte, error) {
	p.asked = append(p.asked, op+" "+string(in))
	r, ok := p.results[op]
	if !ok {
		return nil, &sandbox.Error{Op: op, Kind: sandbox.ErrDenied, Err: errors.New("not on the tape"), Hint: "none"}
	}
	return []byte(r), nil
}

// TestExamples runs every example agent, with its own manifest, on both
// engines, three times each: the first call, and two on a used instance.
func TestExamples(t *testing.T) {
	for _, tc := range []struct {
		dir, name, action string
		params            string
		results           map[string]string
		asked             []string
		output            string
	}{
		{"c", "tally", "by", `{"query":"a \"b\" c", "by" : "source", "limit":7}`,
			map[string]string{"engram_search": `{"hits": [{"id":"1","source":"an\"na","n":{"source":"x"}},{"source":"ben"},{"source":"an\"na"},{"id":"}"}]}`},
			[]string{`engram_search {"query":"a \"b\" c","limit":7}`},
			`{"hits":4,"by":{"an\"na":2,"ben":1},"other":1}`},
		{"c", "tally", "by", `{}`,
			map[string]string{"engram_search": `{"hits":[]}`},
			[]string{`engram_search {}`},
			`{"hits":0,"by":{},"other":0}`},
		{"wat", "save", "note", `{"content":"tea"}`,
			map[string]string{"engram_create": `{"engrams":[{"id":"1"}]}`},
			[]string{`engram_create {"content":"tea"}`},
			`{"engrams":[{"id":"1"}]}`},
		{"wat", "guard", "check", `{"tool":"engram_create","args":{"engrams":[{"content":"his password"}]}}`,
			nil, nil, `{"refuse":"it holds a word that is not to be remembered"}`},
		{"wat", "guard", "check", `{"tool":"engram_create","args":{"engrams":[{"content":"passwor passwor dd"}]}}`,
			nil, nil, `null`},
		{"assemblyscript", "lines", "store", `{"source":"a \\ b","text":"one\n\ntw\"o\\n\nzażółć"}`,
			map[string]string{"engram_create": `{"engrams":[]}`},
			[]string{`engram_create {"engrams":[{"content":"one","source":"a \\ b"},{"content":"tw\"o\\n","source":"a \\ b"},{"content":"zażółć","source":"a \\ b"}]}`},
			`{"ids":[]}`},
		{"rust", "chain", "link", `{"relation":"then","ids":["a","b\"]","c"]}`,
			map[string]string{"engram_link": `{"links":[]}`},
			[]string{`engram_link {"links":[{"from":"a","to":"b\"]","relation":"then"},{"from":"b\"]","to":"c","relation":"then"}]}`},
			`{"links":[]}`},
		{"rust", "chain", "link", ` { "ids" : [ "\u0061\/\t\ud83d\ude00" , "\ud800x" ] , "n" : [-1.50e+2, true, {}, null, []] } `,
			map[string]string{"engram_link": `{"links":[{"weight":-1.50e+2,"metadata":{"a":[true,{},null,[]],"b":"\u0001\n"}}]}`},
			[]string{`engram_link {"links":[{"from":"a/\u0009😀","to":"�x","relation":"next"}]}`},
			`{"links":[{"weight":-1.50e+2,"metadata":{"a":[true,{},null,[]],"b":"\u0001\n"}}]}`},
	} {
		for _, engine := range []string{"compiler", "interpreter"} {
			t.Run(tc.name+"/"+engine, func(t *testing.T) {
				m := manager(t, Options{})
				dir := filepath.Join(examples, tc.dir, tc.name)
				man := readManifest(t, dir)
				man.Engine = engine
				load(t, m, man, file(t, filepath.Join(dir, man.Entry)))
				for i := range 3 {
					tape := &tape{results: tc.results}
					res, err := m.Run(t.Context(), tc.name, sandbox.Call{Action: tc.action, Params: []byte(tc.params), Host: tape.host})
					if res.Usage.Reused != (i > 0) {
						t.Errorf("call %d: reused %v", i, res.Usage.Reused)
					}
					if err != nil || string(res.Output) != tc.output || !slices.Equal(tape.asked, tc.asked) {
						t.Errorf("asked %s\ngave %s, %v", tape.asked, res.Output, err)
					}
				}
				if tc.asked == nil {
					return
				}
				_, err := m.Run(t.Context(), tc.name, sandbox.Call{Action: tc.action, Params: []byte(tc.params), Host: (&tape{}).host})
				if !errors.Is(err, sandbox.ErrDenied) || !strings.Contains(err.Error(), "not on the tape") {
					t.Errorf("when its operation is refused: %v", err)
				}
			})
		}
	}
}

func readManifest(t testing.TB, dir string) sandbox.Manifest {
	t.Helper()
	man, err := sandbox.ParseManifest(file(t, filepath.Join(dir, "agent.json")))
	if err != nil {
		t.Fatalf("%s: %v (%s)", dir, err, sandbox.HintOf(err))
	}
	return man
}

// goAgent builds the example in Go, which is too large to be kept.
func goAgent(t testing.TB) []byte {
	t.Helper()
	if testing.Short() {
		t.Skip("building and compiling a Go guest takes seconds")
	}
	out := t.TempDir()
	cmd := exec.Command("sh", examples+"go/build.sh")
	cmd.Env = append(os.Environ(), "OUT="+out, "GOFLAGS=-buildvcs=false")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("cannot build the Go guest here: %v\n%s", err, msg)
	}
	return file(t, filepath.Join(out, "journal.wasm"))
}

func TestGoAgent(t *testing.T) {
	code := goAgent(t)
	m := manager(t, Options{})
	man := readManifest(t, examples+"go/journal")
	load(t, m, man, code)
	tape := &tape{results: map[string]string{"engram_create": `{"engrams":[{"id":"x"}]}`}}
	fuel := map[string]int64{}
	for i, want := range []string{`{"id":"x","n":1}`, `{"id":"x","n":2}`, `{"id":"x","n":3}`} {
		res, err := m.Run(t.Context(), "journal", sandbox.Call{Action: "write", Params: []byte(`{"text":" tea "}`), Host: tape.host})
		if err != nil || string(res.Output) != want {
			t.Fatalf("call %d: %s, %v (%s)", i, res.Output, err, sandbox.HintOf(err))
		}
		if res.Usage.Reused != (i > 0) {
			t.Errorf("call %d: reused %v", i, res.Usage.Reused)
		}
		if i > 0 { // the first reads {}, which takes less work
			same(t, fuel, "a journal entry", res.Usage.Fuel)
		}
	}
	if want := `engram_create {"engrams":[{"content":"tea","kind":"entry","metadata":{"n":3},"context":"journal"}]}`; tape.asked[2] != want {
		t.Errorf("asked %s", tape.asked[2])
	}
	_, err := m.Run(t.Context(), "journal", sandbox.Call{Action: "write", Params: []byte(`{"text":" "}`), Host: tape.host})
	if !errors.Is(err, sandbox.ErrFailed) || !strings.Contains(err.Error(), "text is empty") {
		t.Error(err)
	}
	if _, err = m.Run(t.Context(), "journal", sandbox.Call{Action: "write", Params: []byte(`{"text":"x"}`)}); !errors.Is(err, sandbox.ErrDenied) {
		t.Error(err)
	}
	if c, err := m.Context(t.Context(), "journal"); err != nil || string(c.Globals) != `{"n":3}` {
		t.Errorf("globals %s, %v", c.Globals, err)
	}
}

func TestExtismPlugin(t *testing.T) {
	m := manager(t, Options{})
	man := manifest("plugin")
	man.Config = []byte(`{"greeting": "Good morning,"}`)
	l := load(t, m, man, file(t, "testdata/plugin.wasm"))
	var names []string
	for _, a := range l.Manifest.Actions {
		names = append(names, a.Name)
	}
	if want := []string{"greet", "count-calls", "remember"}; !slices.Equal(names, want) {
		t.Fatalf("actions %v, want %v", names, want)
	}
	tape := &tape{results: map[string]string{"engram_create": `{"engrams":[{"id":"1"}]}`}}
	run := func(action, params string) (string, error) {
		res, err := m.Run(t.Context(), "plugin", sandbox.Call{Action: action, Params: []byte(params), Host: tape.host})
		return string(res.Output), err
	}
	for _, tc := range []struct{ action, params, want string }{
		{"greet", `{"name":"Anna"}`, `"Good morning, {\"name\":\"Anna\"}"`},
		{"count-calls", `{}`, `1`},
		{"count-calls", `{}`, `1`}, // pooled: every call is the first
		{"remember", `{"content":"x"}`, `{"engrams":[{"id":"1"}]}`},
	} {
		if out, err := run(tc.action, tc.params); err != nil || out != tc.want {
			t.Errorf("%s: %s, %v", tc.action, out, err)
		}
	}
	if !slices.Equal(tape.asked, []string{`engram_create {"content":"x"}`}) {
		t.Errorf("asked %s", tape.asked)
	}
	tape.results = nil
	if out, err := run("remember", `{}`); err != nil || !strings.Contains(out, `"code":"denied"`) {
		t.Errorf("a refused operation gives %s, %v", out, err)
	}
	man.Instances = "private"
	load(t, m, man, file(t, "testdata/plugin.wasm"))
	for _, want := range []string{"1", "2", "3"} {
		if out, err := run("count-calls", `{}`); err != nil || out != want {
			t.Errorf("private, call %s: %s, %v", want, out, err)
		}
	}
}

func TestWASICommand(t *testing.T) {
	m := manager(t, Options{})
	load(t, m, manifest("wc"), file(t, "testdata/command.wasm"))
	for range 2 {
		for params, want := range map[string]string{
			`"two words\nand a line"`:        `"1 5 20\n"`,
			`{"stdin":"a b\n"}`:              `"1 2 4\n"`,
			`{"stdin":"a","more":1}`:         `"0 1 22\n"`,
			`[1, 2]`:                         `"0 2 6\n"`,
			`{"stdin":"` + long(9000) + `"}`: `"0 1 9000\n"`,
		} {
			res, err := m.Run(t.Context(), "wc", sandbox.Call{Action: "run", Params: []byte(params)})
			if err != nil || string(res.Output) != want {
				t.Errorf("%.40s: %s, %v %v", params, res.Output, err, res.Logs)
			}
		}
		res, err := m.Run(t.Context(), "wc", sandbox.Call{Action: "run", Params: []byte(`{"stdin":""}`)})
		if !errors.Is(err, sandbox.ErrFailed) || !strings.Contains(err.Error(), "nothing to count") || len(res.Logs) != 1 {
			t.Errorf("exit code 1: %v, logs %v", err, res.Logs)
		}
	}
	load(t, m, manifest("wc", func(m *sandbox.Manifest) { m.Instances = "private" }), file(t, "testdata/command.wasm"))
	for range 3 { // it has no state to keep
		if res, err := m.Run(t.Context(), "wc", sandbox.Call{Action: "run", Params: []byte(`"a"`)}); err != nil || string(res.Output) != `"0 1 1\n"` {
			t.Errorf("private: %s, %v", res.Output, err)
		}
	}
	load(t, m, manifest("wc", func(m *sandbox.Manifest) { m.Actions = []sandbox.Action{{Name: "a"}, {Name: "b"}} }), file(t, "testdata/command.wasm"))
	res, err := m.Run(t.Context(), "wc", sandbox.Call{Action: "b", Params: []byte(`"x"`)})
	if err != nil || string(res.Output) != `"0 1 27\n"` { // {"action":"b","params":"x"}
		t.Errorf("%s, %v", res.Output, err)
	}
}

func TestPrivateAgentThatExits(t *testing.T) {
	m := manager(t, Options{})
	load(t, m, manifest("x", func(m *sandbox.Manifest) { m.Instances = "private" }), file(t, "testdata/hostile.wasm"))
	for range 2 {
		if _, err := m.Run(t.Context(), "x", sandbox.Call{Action: "exit-well"}); !errors.Is(err, sandbox.ErrCrashed) || sandbox.HintOf(err) == "" {
			t.Error(err)
		}
		for err := errors.New(""); err != nil; _, err = m.Run(t.Context(), "x", sandbox.Call{Action: "fine"}) {
			if t.Context().Err() != nil {
				t.Fatal(err)
			}
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// A program that somebody else built and published: an SMT solver.
func TestForeignWASICommand(t *testing.T) {
	path := os.Getenv("ENGRAM_BOOLECTOR_WASM")
	if path == "" {
		t.Skip("set ENGRAM_BOOLECTOR_WASM to boolector.wasm of the Python package in testdata/requirements.txt; .ci/run does")
	}
	m := manager(t, Options{})
	load(t, m, manifest("solve"), file(t, path))
	for _, tc := range []struct{ x, want string }{{"3", "unsat"}, {"4", "sat"}} {
		script := `(set-logic QF_BV)(declare-fun x () (_ BitVec 8))(assert (= (bvmul x x) #x09))(assert (bvult x (_ bv` + tc.x + ` 8)))(check-sat)(exit)`
		res, err := m.Run(t.Context(), "solve", sandbox.Call{Action: "run", Params: []byte(`"` + script + `"`)})
		// Its exit codes are 10 and 20, so that its answer is the message of a failure.
		if !errors.Is(err, sandbox.ErrFailed) || !strings.HasSuffix(err.Error(), ": "+tc.want) {
			t.Errorf("x < %s: %v, logs %v", tc.x, err, res.Logs)
		}
	}
}

// The binaries that are kept are what their source gives.
func TestBinariesMatchTheirSource(t *testing.T) {
	for _, dir := range []string{examples + "c", examples + "wat", examples + "assemblyscript", examples + "rust", "testdata", "../meter/testdata", "../../cmd/engram-mcp/testdata/agents"} {
		t.Run(strings.Trim(dir, "./"), func(t *testing.T) {
			if os.Getenv("ENGRAM_REBUILD") == "" {
				t.Skip("set ENGRAM_REBUILD=1 to build the guests again; the scripts build.sh name the compilers")
			}
			out := t.TempDir()
			cmd := exec.Command("sh", filepath.Join(dir, "build.sh"))
			cmd.Env = append(os.Environ(), "OUT="+out)
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("the toolchain of %s/build.sh is not here: %v\n%s", dir, err, msg)
			}
			built, err := filepath.Glob(filepath.Join(out, "*.wasm"))
			if err != nil || len(built) == 0 {
				t.Fatalf("nothing was built: %v", err)
			}
			for _, path := range built {
				name := filepath.Base(path)
				kept := filepath.Join(dir, name)
				if own := filepath.Join(dir, strings.TrimSuffix(name, ".wasm")); !strings.HasSuffix(dir, "testdata") {
					kept = filepath.Join(own, name) // each in a folder of its own
				}
				if !bytes.Equal(file(t, path), file(t, kept)) {
					t.Errorf("%s differs from what its source gives; run %s/build.sh", kept, dir)
				}
			}
		})
	}
}
