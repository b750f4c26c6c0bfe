package meter_test

import (
	"testing"

	"pgregory.net/rapid"

	"engram-mcp/sandbox/meter"
)

// Whatever the slices, a guest gets to spend its budget, to the unit, and at
// most one step more.
func TestTankHandsOutItsBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := rapid.Int64Range(0, 1000).Draw(t, "budget")
		steps := rapid.SliceOfN(rapid.Int64Range(0, 300), 1, 50).Draw(t, "steps")
		tank := meter.Tank{Left: budget, Slice: rapid.Int64Range(0, 400).Draw(t, "slice")}
		fuel, spent := int64(0), int64(0)
		for _, s := range steps {
			fuel -= s
			spent += s
			if got := budget - tank.Rest(fuel); got != spent {
				t.Fatalf("Rest says %d spent, not %d", got, spent)
			}
			if fuel >= 0 {
				continue
			}
			next, ok := tank.Refill(fuel)
			if ok != (spent <= budget) {
				t.Fatalf("Refill %v after %d of %d", ok, spent, budget)
			}
			if !ok {
				if got := budget - tank.Rest(fuel); got != spent {
					t.Fatalf("after a refusal Rest says %d spent, not %d", got, spent)
				}
				return
			}
			if next < 0 || next > max(tank.Slice, 1) {
				t.Fatalf("slice of %d", next)
			}
			fuel = next
		}
	})
}
