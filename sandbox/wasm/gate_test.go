package wasm

import (
	"testing"
	"time"
)

// What the host does for a guest counts as the guest's work, as long as it is
// work: whoever waits for something longer than a turn lets others in.
func TestGate_OperationsOfTheHost(t *testing.T) {
	g := newGate(1, 10)
	one, two := turn{gate: g}, turn{gate: g}
	if err := one.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	one.away()
	if err := two.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(start); waited < turnTime {
		t.Errorf("while the host worked for one guest another computed, after %v", waited)
	}
	returned := make(chan error, 1)
	go func() { returned <- one.back(t.Context()) }()
	select {
	case err := <-returned:
		t.Errorf("two guests compute: %v", err)
	case <-time.After(3 * turnTime):
	}
	two.give()
	if err := <-returned; err != nil {
		t.Error(err)
	}
	one.away()
	if err := one.back(t.Context()); err != nil || len(g.turns) != 1 {
		t.Errorf("a short operation: %v, %d turns are taken", err, len(g.turns))
	}
	one.give()
	one.give() // a second time is fine
	if len(g.turns) != 0 || g.waiting.Load() != 0 {
		t.Errorf("%d turns are taken and %d wait", len(g.turns), g.waiting.Load())
	}
}
