package tools

import (
	"context"
	"errors"
	"sync"
	"time"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// The pace of schedules.
const (
	lookInterval  = 15 * time.Second // between looks for runs that are due
	retryFirst    = time.Minute      // after the first failure of a run, then twice as long each time
	retryMost     = time.Hour
	claimMargin   = time.Minute // beyond the time limit of an agent, before its claim ends
	runsAtOnce    = 4           // of one space in one process
	commitRetries = 3           // of a run whose commit meets with a conflict
)

// nextRun is when an entry of a schedule is due next after a time.
func nextRun(e sandbox.Schedule, after time.Time) time.Time {
	after = after.UTC()
	if d, err := time.ParseDuration(e.Every); err == nil && d > 0 {
		n := after.UnixMilli() / d.Milliseconds()
		return time.UnixMilli((n + 1) * d.Milliseconds()).UTC()
	}
	at, _ := time.Parse("15:04", e.DailyAt) // the manifest was checked
	due := time.Date(after.Year(), after.Month(), after.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC)
	if !due.After(after) {
		due = due.AddDate(0, 0, 1)
	}
	return due
}

// A Timetable finds the spaces in which something is due.
type Timetable interface {
	// Names lists the spaces.
	Names() ([]string, error)
	// Due is when the next run is due in a space, zero if none is.
	Due(ctx context.Context, space string) (time.Time, error)
}

// Tend makes the runs of approved agents when they are due, in the spaces of t,
// until ctx ends. Then it takes back those under way and returns. Any number of
// processes may tend the same spaces: each run is made by one of them.
func (a *Agents) Tend(ctx context.Context, t Timetable) {
	var under sync.WaitGroup
	defer under.Wait()
	var busy sync.Map // spaces whose runs are under way
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		for _, space := range a.due(ctx, t) {
			if _, already := busy.LoadOrStore(space, true); already {
				continue
			}
			under.Go(func() {
				defer busy.Delete(space)
				in := memory.WithPrincipal(ctx, memory.Principal{Space: space, Name: "schedule", Rights: memory.Read})
				if err := a.RunDue(in, time.Now()); err != nil && ctx.Err() == nil {
					a.opt.Log.WarnContext(ctx, "a schedule cannot be kept", "space", space, "err", err)
				}
			})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// due are the spaces in which something is due.
func (a *Agents) due(ctx context.Context, t Timetable) (spaces []string) {
	names, err := t.Names()
	for _, space := range names {
		var due time.Time
		if due, err = t.Due(ctx, space); err == nil && !due.IsZero() && !due.After(time.Now()) {
			spaces = append(spaces, space)
		}
	}
	if err != nil && ctx.Err() == nil {
		a.opt.Log.WarnContext(ctx, "schedules cannot be looked at", "err", err)
	}
	return spaces
}

// RunDue makes the runs that are due at now in the caller's space, unless
// other processes make them, and returns when they are over. A run that fails
// is put off, which is no error. The caller needs Read.
func (a *Agents) RunDue(ctx context.Context, now time.Time) error {
	sp, err := a.space(ctx)
	if err != nil {
		return err
	}
	store, release, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer release()
	runs, err := store.Schedule(ctx)
	if err != nil {
		return err
	}
	var under sync.WaitGroup
	slots, errs := make(chan struct{}, runsAtOnce), make([]error, len(runs))
	for i, r := range runs {
		if ag, err := sp.installed(r.Agent); err == nil && !r.Due.After(now) && ag.row.Approved && r.Place < len(ag.manifest.Schedule) {
			slots <- struct{}{}
			under.Go(func() {
				defer func() { <-slots }()
				errs[i] = a.claim(ctx, sp, store, ag, r, now)
			})
		}
	}
	under.Wait()
	return errors.Join(errs...)
}

// claim makes a run if no other process does, and notes it or puts it off.
func (a *Agents) claim(ctx context.Context, sp *agentSpace, store *memory.Store, ag *agent, r memory.Run, now time.Time) error {
	limit := a.opt.Policy.Resolve(ag.manifest.Limits).Time()
	if mine, err := store.ClaimRun(ctx, r, now, now.Add(limit+claimMargin)); err != nil || !mine {
		return err
	}
	var err error
	for range commitRetries {
		if err = a.runEntry(ctx, sp, store, ag, r, now); !errors.Is(err, memory.ErrConflict) {
			break
		}
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil { // this process stops: whoever goes on may have it
		return store.PutOffRun(context.WithoutCancel(ctx), r, r.Due, r.Failures)
	}
	wait := min(retryFirst<<min(r.Failures, 10), retryMost)
	a.opt.Log.WarnContext(ctx, "a scheduled run failed", "agent", r.Agent, "action", ag.manifest.Schedule[r.Place].Action, "kind", failure(err).Error(), "again_in", wait)
	return store.PutOffRun(ctx, r, now.Add(wait), r.Failures+1)
}

// runEntry runs the action of an entry as its agent. That it was run is part of
// what it writes.
func (a *Agents) runEntry(ctx context.Context, sp *agentSpace, store *memory.Store, ag *agent, r memory.Run, now time.Time) error {
	entry := ag.manifest.Schedule[r.Place]
	act, err := ag.action(entry.Action)
	if err != nil {
		return err
	}
	caller, _ := memory.PrincipalFrom(ctx)
	who := ag.self(caller.Space)
	if act.ReadOnly {
		who.Rights &= memory.Read
	}
	ctx = memory.WithPrincipal(working(ctx, r.Agent, false), who)
	staged, commit, rollback := a.begin(ctx)
	if err = a.load(staged, sp, ag); err == nil {
		_, err = sp.manager.Run(staged, r.Agent, sandbox.Call{Action: entry.Action, Params: entry.Params, Host: a.host})
	}
	if err == nil {
		_, err = do(staged, store, "", []memory.Change{memory.EndRun{Run: r, Next: nextRun(entry, now), At: now}})
	}
	if err != nil {
		rollback()
		return err
	}
	return commit(ctx)
}
