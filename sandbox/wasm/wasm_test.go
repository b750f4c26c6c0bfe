package wasm

import (
	"context"
	"errors"
	"os"
	"testing"

	"engram-mcp/sandbox"
)

func open(t testing.TB, opts Options) *Runtime {
	t.Helper()
	r, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func file(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTally(t *testing.T) {
	rt := open(t, Options{})
	m := sandbox.NewManager(sandbox.Options{}, rt)
	defer m.Close(context.Background())
	man, err := sandbox.ParseManifest(file(t, "../../examples/agents/c/tally/agent.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = m.Load(t.Context(), man, file(t, "../../examples/agents/c/tally/tally.wasm")); err != nil {
		t.Fatal(err, sandbox.HintOf(err))
	}
	var asked string
	host := func(_ context.Context, op string, in []byte) ([]byte, error) {
		asked = op + string(in)
		return []byte(`{"hits": [{"id":"1","source":"an\"na","n":{"source":"x"}},{"source":"ben"},{"source":"an\"na"},{"id":"}"}]}`), nil
	}
	for _, tc := range []struct{ params, asked, want string }{
		{`{"query":"a \"b\" c", "by" : "source", "limit":7}`, `engram_search{"query":"a \"b\" c","limit":7}`, `{"hits":4,"by":{"an\"na":2,"ben":1},"other":1}`},
		{`{}`, `engram_search{}`, `{"hits":4,"by":{},"other":4}`},
	} {
		for range 3 {
			res, err := m.Run(t.Context(), "tally", sandbox.Call{Action: "by", Params: []byte(tc.params), Host: host})
			if err != nil || string(res.Output) != tc.want || asked != tc.asked {
				t.Errorf("%s: asked %s, got %s, %v", tc.params, asked, res.Output, err)
			}
			t.Logf("%+v", res.Usage)
		}
	}
	deny := func(context.Context, string, []byte) ([]byte, error) {
		return nil, &sandbox.Error{Op: "call", Kind: sandbox.ErrDenied, Hint: "ask"}
	}
	if _, err := m.Run(t.Context(), "tally", sandbox.Call{Action: "by", Host: deny}); !errors.Is(err, sandbox.ErrDenied) {
		t.Error(err)
	}
}
