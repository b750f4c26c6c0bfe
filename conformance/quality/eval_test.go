package quality

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"engram-mcp/conformance/binary"
)

func TestMain(m *testing.M) { binary.Main(m) }

// A report is what "engram-mcp eval --json" prints.
type report struct {
	Spaces, Engrams int
	Types, Summary  []struct {
		Name      string
		Questions float64
		Figures   scores
	}
	SearchMS struct{ P50, P95 float64 } `json:"search_ms"`
	Asked    []asked
}

// evaluate measures a labelled file with the built program, and checks that the
// figures it prints are those of the ranks it tells.
func evaluate(t *testing.T, args ...string) report {
	t.Helper()
	var complaints bytes.Buffer
	cmd := binary.Command(t, t.TempDir(), append([]string{"eval", "--json"}, args...)...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("engram-mcp eval %s: %v\n%s", strings.Join(args, " "), err, &complaints)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Asked) == 0 || len(r.Types) == 0 || len(r.Summary) == 0 {
		t.Fatalf("nothing was measured: %.300s", out)
	}
	same := func(name string, got, want scores) {
		for key, v := range got {
			if math.Abs(v-want[key]) > 1e-9 {
				t.Errorf("eval says that %s of %s is %v; its ranks say %v", key, name, v, want[key])
			}
		}
		if len(got) < 6 {
			t.Errorf("eval has only %d figures of %s", len(got), name)
		}
	}
	for _, row := range r.Types {
		same(row.Name, row.Figures, score(r.Asked, ofType(row.Name)))
	}
	same("all", r.Summary[0].Figures, score(r.Asked, anyType))
	return r
}

// columns are what tables show of scores.
var columns = []struct{ key, head string }{
	{"recall@1", "R@1"}, {"recall@5", "R@5"}, {"recall@10", "R@10"}, {"recall@20", "R@20"}, {"hit@10", "hit@10"}, {"mrr", "MRR"},
	{"context_recall@5", "ctx R@5"}, {"context_recall@10", "ctx R@10"},
}

// A table is printed by tests, so that a run with -v shows what was measured.
type table struct{ strings.Builder }

func newTable(first string) *table {
	t := &table{}
	fmt.Fprintf(t, "\n%-32s%6s", first, "n")
	for _, c := range columns {
		fmt.Fprintf(t, "%9s", c.head)
	}
	return t
}

func (t *table) row(name string, s scores) {
	fmt.Fprintf(t, "\n%-32s%6.0f", name, s["questions"])
	for _, c := range columns {
		if v, ok := s[c.key]; ok {
			fmt.Fprintf(t, "%9.3f", v)
		} else {
			fmt.Fprintf(t, "%9s", "-")
		}
	}
}

// gate fails the test if a figure is below its floor.
func gate(t *testing.T, name string, s scores, floors scores) {
	t.Helper()
	for key, floor := range floors {
		switch got, ok := s[key]; {
		case !ok || s["questions"] == 0:
			t.Errorf("%s: %s was not measured", name, key)
		case got < floor:
			t.Errorf("%s: %s is %.4f, below %.3f", name, key, got, floor)
		}
	}
}

func typesOf(all []asked) []string {
	var list []string
	for _, q := range all {
		if !slices.Contains(list, q.Type) {
			list = append(list, q.Type)
		}
	}
	slices.Sort(list)
	return list
}
