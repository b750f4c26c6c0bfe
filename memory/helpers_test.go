package memory_test

import (
	"testing"

	"engram-mcp/memory"

	"github.com/google/go-cmp/cmp"
)

func diffEngram(t testing.TB, want, got memory.Engram) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("engram differs (-want +got):\n%s", d)
	}
}
