// Package sandbox runs agents: programs that others wrote, beside the memory
// and without trusting them.
//
// A [Runtime] turns code and its [Manifest] into an [Agent]. An agent has one
// door to the outside, its [Host], through which it calls the same tools by
// the same names as every other client. A [Manager] stands in front of every
// runtime: it finds agents by name, keeps their [Limits] and grants, stages
// what a call writes and lets it take effect only when the call succeeds.
//
// The runtimes live in the folders below this one and pass the one suite in
// sandboxtest. Failures are an [*Error] whose kind is one of the Err values
// of this package.
package sandbox

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
)

// A Host performs one operation for an agent. The operation is a tool's name,
// in and out are that tool's JSON arguments and result. A Host may keep
// neither slice beyond the call that it was given or returned it in, must be
// safe for concurrent use, and answers a caller without the right to op with
// an error that matches [ErrDenied].
type Host func(ctx context.Context, op string, in []byte) (out []byte, err error)

// A Runtime loads agents of one kind. Its methods may be called concurrently.
type Runtime interface {
	// Kind is the name that a manifest's runtime key selects it by.
	Kind() string
	// Features says what the runtime can enforce.
	Features() Features
	// Load compiles and checks code and runs nothing of it. The limits in m
	// are taken as they stand: the Manager has filled in defaults and applied
	// caps. The agent may outlive code. Code that cannot be loaded is an
	// error that matches [ErrBadAgent].
	Load(ctx context.Context, m Manifest, code []byte) (Agent, error)
	// Close frees what the runtime holds. All its agents must be closed
	// before. Closing twice is fine.
	Close(ctx context.Context) error
}

// An Agent is loaded code.
//
// An agent whose manifest says instances: private keeps what its code
// remembers between calls; it is given one call at a time. A pooled agent
// starts every call from the same fresh state and is given up to
// Limits.Concurrency calls at once.
type Agent interface {
	// Initialize makes the agent ready. It is called before the first
	// Execute, and again before the next Execute of a private agent whose
	// last one failed other than by [ErrFailed], because its instance is
	// gone. No Execute runs at the same time. c is read only.
	Initialize(ctx context.Context, c *Context) error
	// Execute performs one action. It returns soon after ctx is done,
	// whatever the agent does, if the runtime's Features say so. The Result
	// carries the usage in every case, its output only without error.
	// A pooled agent is usable after any error.
	Execute(ctx context.Context, c Call) (Result, error)
	// Capabilities lists the actions that the code offers, in a fixed order.
	// It is called after Initialize.
	Capabilities() []Action
	// Close frees the agent. No Execute runs, and none follows.
	Close(ctx context.Context) error
}

// Features says what a runtime can enforce on a hostile agent.
type Features struct {
	Fuel          bool // work is counted, and the same work always counts the same
	MemoryLimit   bool // memory is bounded by Limits.MemoryMiB
	HardKill      bool // a call ends soon after its context, whatever the agent does
	CrashIsolated bool // a crash takes nothing else with it
	Sandboxed     bool // files, network and environment are out of reach
}

// A Context is what an agent is apart from its code: it belongs to a name and
// outlives instances, calls and generations of that name.
type Context struct {
	ID           string          // the agent's name
	Globals      json.RawMessage // a JSON object, at most MaxGlobals bytes
	Capabilities []string        // operations that the agent may call, sorted
	Stats        Stats
}

// A Call is one request to an agent.
type Call struct {
	Action string
	Params json.RawMessage // JSON; empty means {}
	Host   Host            // nil denies every operation
	// Log receives the agent's log lines while it runs, Emit its progress
	// messages (JSON). Either may be nil. They are called one at a time and
	// must not keep what they are given.
	Log  func(LogLine)
	Emit func(message []byte)
}

// A Result is what a call gave.
type Result struct {
	Output json.RawMessage // valid JSON from a Manager
	Logs   []LogLine       // filled by the Manager, at most Limits.LogKiB
	Usage  Usage
}

// A LogLine is one line that an agent logged.
type LogLine struct {
	Level slog.Level
	Text  string
}

// Usage is what one call took.
type Usage struct {
	Fuel       int64 // in units of the runtime; 0 where it counts none
	HostCalls  int64
	HostBytes  int64 // in and out of host calls together
	PeakMemory int64 // bytes of agent memory; 0 where it is not known
	Time       time.Duration
	Reused     bool // an instance of an earlier call served it
}

// Stats sums up the calls of one agent.
type Stats struct {
	Calls      int64 // finished calls, failed ones included
	Errors     int64 // calls that returned an error
	Crashes    int64 // calls that ended with ErrCrashed
	Restarts   int64 // times that a private instance was made anew
	Retries    int64 // calls run a second time because their globals had changed
	Fuel       int64
	HostCalls  int64
	HostBytes  int64
	PeakMemory int64 // the highest of all calls
	Time       time.Duration
	LastTime   time.Duration
	LastError  string // of the newest failed call, shortened
}

func (s *Stats) add(u Usage, err error) {
	s.Calls++
	s.Fuel += u.Fuel
	s.HostCalls += u.HostCalls
	s.HostBytes += u.HostBytes
	s.PeakMemory = max(s.PeakMemory, u.PeakMemory)
	s.Time += u.Time
	s.LastTime = u.Time
	if err != nil {
		s.Errors++
		s.LastError = shorten(err.Error(), 300)
	}
}
