package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The audit log tells the ids of engrams, and nothing that somebody wrote.
func TestTouched(t *testing.T) {
	id := func(n int) string { return fmt.Sprintf("0198c0de-0000-7000-8000-%012d", n) }
	for _, test := range []struct {
		in, out string
		want    []string
	}{
		{`{"ids":["` + id(1) + `","nonsense"]}`, `{"engrams":[{"id":"` + id(1) + `","content":"` + id(7) + `"}],"missing":[]}`, []string{id(1)}},
		{`{"query":"` + id(7) + `"}`, `{"hits":[{"id":"` + id(2) + `","metadata":{"id":"` + id(7) + `"},"tags":["` + id(7) + `"]},{"id":"` + id(3) + `"}]}`, []string{id(2), id(3)}},
		{`{"links":[{"from":"` + id(1) + `","to":"` + id(2) + `","relation":"x"}]}`, `{"links":[{"from":"` + id(1) + `","to":"` + id(2) + `"}]}`, []string{id(1), id(2)}},
		{`{"engrams":[{"content":"x","links":[{"to":"` + id(4) + `"}]}],"request_id":"` + id(7) + `"}`, ``, []string{id(4)}},
		{`"engram://` + id(5) + `"`, ``, []string{id(5)}},
		{`{"id":["a","b"`, `null`, nil},
	} {
		if d := cmp.Diff(test.want, touched(json.RawMessage(test.in), json.RawMessage(test.out))); d != "" {
			t.Errorf("%s %s: %s", test.in, test.out, d)
		}
	}
}
