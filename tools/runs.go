package tools

import (
	"context"
	"errors"
	"strings"
	"time"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// note keeps what a finished call has used and said, in the space of its
// caller.
func (a *Agents) note(ctx context.Context, agent, action string, r sandbox.Result, err error) {
	store, release, closed := a.open(context.WithoutCancel(ctx))
	if closed != nil {
		return
	}
	defer release()
	run := memory.AgentRun{Agent: agent, Action: action, End: time.Now(), Time: r.Usage.Time, Fuel: r.Usage.Fuel,
		HostCalls: r.Usage.HostCalls, HostBytes: r.Usage.HostBytes, PeakMemory: r.Usage.PeakMemory, Crashed: errors.Is(err, sandbox.ErrCrashed)}
	if err != nil {
		run.Err = err.Error()
	}
	for _, l := range r.Logs {
		run.Lines = append(run.Lines, memory.AgentLine{Level: strings.ToLower(l.Level.String()), Text: l.Text})
	}
	store.NoteRun(run)
}

type statsIn struct {
	Agent string `json:"agent,omitempty" alias:"name,agent_name" eg:"\"tidy-notes\""`
}

type statsOut struct {
	Agents []agentStats `json:"agents"`
}

// agentStats are sums since the agent was installed, and since this process
// started what only it knows.
type agentStats struct {
	Agent      string     `json:"agent"`
	Calls      int64      `json:"calls"`
	Errors     int64      `json:"errors"`
	Crashes    int64      `json:"crashes"`
	Fuel       int64      `json:"fuel"`
	HostCalls  int64      `json:"host_calls"`
	HostBytes  int64      `json:"host_bytes"`
	PeakMemory int64      `json:"peak_memory"`
	TimeMS     float64    `json:"time_ms"`
	LastRun    *time.Time `json:"last_run,omitempty"`
	LastError  string     `json:"last_error,omitempty"`
	Here       hereStats  `json:"since_start"`
}

type hereStats struct {
	Calls    int64 `json:"calls"`
	Errors   int64 `json:"errors"`
	Restarts int64 `json:"restarts,omitempty"`
	Retries  int64 `json:"retries,omitempty"`
}

func (a *Agents) statsTool(ctx context.Context, in statsIn) (statsOut, error) {
	sp, err := a.space(ctx)
	if err != nil {
		return statsOut{}, err
	}
	list := sp.all()
	if in.Agent != "" {
		one, err := sp.installed(in.Agent)
		if err != nil {
			return statsOut{}, err
		}
		list = []*agent{one}
	}
	store, release, err := a.open(ctx)
	if err != nil {
		return statsOut{}, err
	}
	defer release()
	totals, err := store.AgentTotals(ctx)
	if err != nil {
		return statsOut{}, err
	}
	out := statsOut{Agents: []agentStats{}}
	for _, ag := range list {
		t := totals[ag.manifest.Name]
		s := agentStats{Agent: ag.manifest.Name, Calls: t.Calls, Errors: t.Errors, Crashes: t.Crashes, Fuel: t.Fuel, HostCalls: t.HostCalls, HostBytes: t.HostBytes,
			PeakMemory: t.PeakMemory, TimeMS: millis(t.Time), LastError: t.LastError}
		if !t.LastRun.IsZero() {
			s.LastRun = &t.LastRun
		}
		if l, err := sp.manager.Agent(ag.manifest.Name); err == nil { // else it has not run here yet
			s.Here = hereStats{l.Stats.Calls, l.Stats.Errors, l.Stats.Restarts, l.Stats.Retries}
		}
		out.Agents = append(out.Agents, s)
	}
	return out, nil
}
