package sandbox

import (
	"fmt"
	"time"
)

// Limits bound one call of an agent. The keys and units are those of a
// manifest; zero means the default.
type Limits struct {
	TimeMS      int64 `json:"time_ms,omitempty"`     // wall time of one call
	Fuel        int64 `json:"fuel,omitempty"`        // about one unit an instruction
	MemoryMiB   int64 `json:"memory_mib,omitempty"`  // of one instance
	OutputKiB   int64 `json:"output_kib,omitempty"`  // of the result
	LogKiB      int64 `json:"log_kib,omitempty"`     // further lines are dropped
	HostCalls   int64 `json:"host_calls,omitempty"`  // in one call
	Concurrency int64 `json:"concurrency,omitempty"` // calls at once; 1 for private agents
	Depth       int64 `json:"depth,omitempty"`       // agents that call agents
}

// Time returns the wall time limit.
func (l Limits) Time() time.Duration { return time.Duration(l.TimeMS) * time.Millisecond }

// Memory returns the memory limit in bytes.
func (l Limits) Memory() int64 { return l.MemoryMiB << 20 }

// Output returns the output limit in bytes.
func (l Limits) Output() int64 { return l.OutputKiB << 10 }

// DefaultLimits hold where a manifest and a policy are silent.
var DefaultLimits = Limits{
	TimeMS:      2_000,
	Fuel:        10_000_000_000,
	MemoryMiB:   64,
	OutputKiB:   256,
	LogKiB:      64,
	HostCalls:   1_000,
	Concurrency: 4,
	Depth:       3,
}

// MaxLimits are the hard caps: a manifest that asks for more is refused, a
// policy that allows more does not.
var MaxLimits = Limits{
	TimeMS:      300_000,
	Fuel:        1_000_000_000_000,
	MemoryMiB:   1_024,
	OutputKiB:   4_096,
	LogKiB:      1_024,
	HostCalls:   100_000,
	Concurrency: 64,
	Depth:       8,
}

// A Policy is what an operator allows the agents of one Manager. The zero
// value stands for DefaultLimits and MaxLimits.
type Policy struct {
	Default Limits // where a manifest is silent
	Max     Limits // more than this is cut to this
}

// Resolve returns the limits in force for a manifest that asks for asked:
// each is set, and at most the policy's maximum and the hard cap.
func (p Policy) Resolve(asked Limits) Limits {
	var out Limits
	for _, f := range limitFields {
		v := *f.of(&asked)
		if v == 0 {
			v = *f.of(&p.Default)
		}
		if v == 0 {
			v = *f.of(&DefaultLimits)
		}
		if m := *f.of(&p.Max); m > 0 {
			v = min(v, m)
		}
		*f.of(&out) = min(v, *f.of(&MaxLimits))
	}
	return out
}

// check returns an error that names the first limit out of range.
func (l Limits) check() error {
	for _, f := range limitFields {
		switch v, top := *f.of(&l), *f.of(&MaxLimits); {
		case v < 0:
			return badManifest("limits."+f.key, "leave it out for the default", "%d is negative", v)
		case v > top:
			return badManifest("limits."+f.key, fmt.Sprintf("ask for %d or less", top), "%d is above the cap of %d", v, top)
		}
	}
	return nil
}

var limitFields = []struct {
	key string
	of  func(*Limits) *int64
}{
	{"time_ms", func(l *Limits) *int64 { return &l.TimeMS }},
	{"fuel", func(l *Limits) *int64 { return &l.Fuel }},
	{"memory_mib", func(l *Limits) *int64 { return &l.MemoryMiB }},
	{"output_kib", func(l *Limits) *int64 { return &l.OutputKiB }},
	{"log_kib", func(l *Limits) *int64 { return &l.LogKiB }},
	{"host_calls", func(l *Limits) *int64 { return &l.HostCalls }},
	{"concurrency", func(l *Limits) *int64 { return &l.Concurrency }},
	{"depth", func(l *Limits) *int64 { return &l.Depth }},
}
