package tools

import (
	"cmp"
	"context"
	"time"

	"engram-mcp/memory"
)

// A Wiring is what runs an agent without being asked to: its hooks and
// schedules, and whether they do.
type Wiring struct {
	Wired    string        `json:"wired"` // "approved", or "waiting" for it
	Hooks    []WiredHook   `json:"hooks,omitempty"`
	Schedule []WiredAction `json:"schedule,omitempty"`

	// What it would run as; a list of agents says it in its own place.
	SHA256 string   `json:"-"`
	Grants []string `json:"-"`

	row memory.AgentRow
}

// A WiredHook is a hook with its defaults filled in.
type WiredHook struct {
	On        string `json:"on"`
	Action    string `json:"action"`
	Order     int    `json:"order"`
	TimeMS    int64  `json:"time_ms"`
	OnFailure string `json:"on_failure"`
}

// A WiredAction is an entry of a schedule. All times are UTC.
type WiredAction struct {
	Every    string    `json:"every,omitempty"`
	DailyAt  string    `json:"daily_at,omitempty"`
	Action   string    `json:"action"`
	Due      time.Time `json:"due,omitzero"` // the next run; zero while it waits for approval
	Last     time.Time `json:"last,omitzero"`
	Failures int       `json:"failures,omitempty"` // in a row
}

// Wiring shows what runs an agent of the caller's space, or would if it were
// approved.
func (a *Agents) Wiring(ctx context.Context, name string) (Wiring, error) {
	sp, err := a.space(ctx)
	if err != nil {
		return Wiring{}, err
	}
	ag, err := sp.installed(name)
	if err != nil {
		return Wiring{}, err
	}
	runs, err := a.runs(ctx)
	return a.wiringOf(ag, runs), err
}

// Approve lets the hooks and schedules of an agent run as w shows them, or
// takes that back. If the agent has become another since w was made, it is a
// conflict. The caller needs Admin. There is no tool for it: only who works on
// the machine wires agents into the calls of others.
func (a *Agents) Approve(ctx context.Context, w Wiring, approved bool) error {
	if err := unstaged(ctx); err != nil {
		return err
	}
	store, release, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer release()
	row := w.row
	row.Approved = approved
	var due []time.Time
	for _, e := range newAgent(row).manifest.Schedule {
		due = append(due, nextRun(e, time.Now()))
	}
	if err := store.ApproveAgent(ctx, row, due); err != nil {
		return err
	}
	_, err = a.space(ctx) // sees the change, and tells who watches
	return err
}

func (a *Agents) wiringOf(ag *agent, runs []memory.Run) Wiring {
	w := Wiring{Wired: "waiting", SHA256: ag.row.SHA256, Grants: ag.manifest.Grants, row: ag.row}
	if ag.row.Approved {
		w.Wired = "approved"
	}
	for _, h := range ag.manifest.Hooks {
		full := &hook{Hook: h, agent: ag}
		policy := "fail"
		if t, ok := a.set.Find(context.Background(), full.tool()); ok && full.skips(t) {
			policy = "skip"
		}
		w.Hooks = append(w.Hooks, WiredHook{h.On, h.Action, h.Order, full.time().Milliseconds(), cmp.Or(h.OnFailure, policy)})
	}
	for place, e := range ag.manifest.Schedule {
		entry := WiredAction{Every: e.Every, DailyAt: e.DailyAt, Action: e.Action}
		for _, r := range runs {
			if r.Agent == ag.row.Name && r.Place == place {
				entry.Due, entry.Last, entry.Failures = r.Due, r.Last, r.Failures
			}
		}
		w.Schedule = append(w.Schedule, entry)
	}
	return w
}

// runs are those to come in the caller's space.
func (a *Agents) runs(ctx context.Context) ([]memory.Run, error) {
	store, release, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return store.Schedule(ctx)
}
