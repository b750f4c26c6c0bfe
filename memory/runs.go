package memory

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// An AgentRun is one finished call of an agent.
type AgentRun struct {
	Agent, Action string
	End           time.Time
	Time          time.Duration
	Fuel          int64
	HostCalls     int64
	HostBytes     int64
	PeakMemory    int64
	Crashed       bool
	Err           string // empty if it succeeded
	Lines         []AgentLine
}

// An AgentLine is a line that an agent logged, or one that tells how a call of
// it failed, whose level is LevelFailed.
type AgentLine struct {
	At     time.Time `json:"at"`
	Action string    `json:"action"`
	Level  string    `json:"level"`
	Text   string    `json:"text"`
}

// LevelFailed is the level of a line that tells how a call failed.
const LevelFailed = "failed"

// AgentTotal sums up the calls of an agent in a space since it was installed.
type AgentTotal struct {
	Agent      string
	Calls      int64 // failed ones included
	Errors     int64
	Crashes    int64
	Fuel       int64
	HostCalls  int64
	HostBytes  int64
	PeakMemory int64
	Time       time.Duration
	LastRun    time.Time // when the newest call ended; zero if there was none
	LastTime   time.Duration
	LastError  string // of the newest failed call; for those with Admin
}

const (
	// MaxAgentLines is how many lines are kept of each agent.
	MaxAgentLines = 200
	maxLine       = 1000 // bytes of the text of one
	runsFlush     = 3 * time.Second
)

// runLog sums up runs in memory until they are written; a kill loses at most
// runsFlush of them. While no agent runs it costs nothing.
type runLog struct {
	flushing sync.Mutex // held while what was taken is written

	mu     sync.Mutex
	agents map[string]*agentRuns
	armed  bool // a flush will come
}

// agentRuns is what is not written yet of one agent.
type agentRuns struct {
	AgentTotal
	failedFrom int64 // when the call of LastError began, ms
	lines      []pendingLine
}

type pendingLine struct {
	AgentLine
	from int64 // when its call began, ms
}

// NoteRun takes note of a finished call of an agent. It returns at once; what
// it noted is written some seconds later, or when the store is closed. Of its
// lines the newest are kept, cut to a bounded length.
func (s *Store) NoteRun(r AgentRun) {
	if s.opt.ReadOnly {
		return
	}
	l := &s.runs
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.agents == nil {
		l.agents = map[string]*agentRuns{}
	}
	a := l.agents[r.Agent]
	if a == nil {
		a = &agentRuns{AgentTotal: AgentTotal{Agent: r.Agent}}
		l.agents[r.Agent] = a
	}
	a.add(r)
	if !l.armed {
		l.armed = true
		time.AfterFunc(runsFlush, s.flushRuns)
	}
}

func (a *agentRuns) add(r AgentRun) {
	from := r.End.Add(-r.Time).UnixMilli()
	a.Calls++
	a.Fuel += r.Fuel
	a.HostCalls += r.HostCalls
	a.HostBytes += r.HostBytes
	a.PeakMemory = max(a.PeakMemory, r.PeakMemory)
	a.Time += r.Time
	a.LastRun, a.LastTime = r.End, r.Time
	if r.Crashed {
		a.Crashes++
	}
	lines := r.Lines
	if r.Err != "" {
		a.Errors++
		a.LastError, a.failedFrom = cutLine(r.Err), from
		lines = append(lines[:len(lines):len(lines)], AgentLine{Level: LevelFailed, Text: r.Err})
	}
	for _, line := range lines[max(0, len(lines)-MaxAgentLines):] {
		line.At, line.Action, line.Text = r.End, r.Action, cutLine(line.Text)
		a.lines = append(a.lines, pendingLine{line, from})
	}
	if extra := len(a.lines) - MaxAgentLines; extra > 0 {
		a.lines = append(a.lines[:0], a.lines[extra:]...)
	}
}

// cutLine is text cut to what is kept of a line, and a copy of its own.
func cutLine(text string) string {
	if len(text) <= maxLine {
		return strings.Clone(text)
	}
	n := maxLine
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

func (l *runLog) take() map[string]*agentRuns {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.agents
	l.agents, l.armed = nil, false
	return taken
}

// drop forgets what is not written yet of an agent that was removed.
func (l *runLog) drop(agent string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.agents, agent)
}

// flushRuns writes what NoteRun has noted.
func (s *Store) flushRuns() {
	s.runs.flushing.Lock()
	defer s.runs.flushing.Unlock()
	taken := s.runs.take()
	if len(taken) == 0 {
		return
	}
	ctx, cancel := s.background()
	defer cancel()
	err := s.write(ctx, "note runs", Principal{Space: s.space}, func(t *txn) error {
		var purgedAt int64
		if _, err := t.c.one(`SELECT purged_at FROM space`, nil, &purgedAt); err != nil {
			return err
		}
		for _, a := range taken {
			if err := t.noteRuns(a, purgedAt); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.opt.Log("runs of agents not noted", "err", err)
	}
}

// noteRuns adds to the totals and lines of an agent that is still there. What
// was said in a call that began before the newest purge may be of what was
// purged, and is left out.
func (t *txn) noteRuns(a *agentRuns, purgedAt int64) error {
	if a.failedFrom <= purgedAt {
		a.LastError = ""
	}
	n, err := t.c.exec(`INSERT INTO agent_total (agent, calls, errors, crashes, fuel, host_calls, host_bytes, peak_memory, time_us, last_at, last_us, last_error)
		SELECT name, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM agent WHERE name = ?
		ON CONFLICT (agent) DO UPDATE SET calls = calls + excluded.calls, errors = errors + excluded.errors, crashes = crashes + excluded.crashes,
			fuel = fuel + excluded.fuel, host_calls = host_calls + excluded.host_calls, host_bytes = host_bytes + excluded.host_bytes,
			peak_memory = max(peak_memory, excluded.peak_memory), time_us = time_us + excluded.time_us,
			last_us = iif(excluded.last_at >= last_at, excluded.last_us, last_us), last_at = max(last_at, excluded.last_at),
			last_error = iif(excluded.last_error <> '', excluded.last_error, last_error)`,
		a.Calls, a.Errors, a.Crashes, a.Fuel, a.HostCalls, a.HostBytes, a.PeakMemory, a.Time.Microseconds(), a.LastRun.UnixMilli(), a.LastTime.Microseconds(), a.LastError, a.Agent)
	if err != nil || n == 0 {
		return err
	}
	for _, line := range a.lines {
		if line.from <= purgedAt {
			continue
		}
		_, err := t.c.exec(`INSERT INTO agent_line (agent, at, action, level, text) VALUES (?,?,?,?,?)`, a.Agent, line.At.UnixMilli(), line.Action, line.Level, line.Text)
		if err != nil {
			return err
		}
	}
	_, err = t.c.exec(`DELETE FROM agent_line WHERE agent = ?1 AND row <= (SELECT row FROM agent_line WHERE agent = ?1 ORDER BY row DESC LIMIT 1 OFFSET ?2)`, a.Agent, MaxAgentLines)
	return err
}

// hush erases what agents have said, when something is purged: it could be
// what they said it of.
func (t *txn) hush() error {
	for _, q := range []string{`DELETE FROM agent_line`, `UPDATE agent_total SET last_error = '' WHERE last_error <> ''`} {
		if _, err := t.c.exec(q); err != nil {
			return err
		}
	}
	_, err := t.c.exec(`UPDATE space SET purged_at = ?`, t.now)
	return err
}

// AgentTotals returns what agents have used, by name; those that have not run
// are not in it. Runs of this process are included, those of others some
// seconds after they ended. The caller needs Read, and Admin to see errors,
// whose text is the agent's own.
func (s *Store) AgentTotals(ctx context.Context) (map[string]AgentTotal, error) {
	who, err := s.caller(ctx, "agent totals", Read)
	if err != nil {
		return nil, err
	}
	s.flushRuns()
	totals := map[string]AgentTotal{}
	err = s.view(ctx, "agent totals", func(v *view) error {
		list, err := collect(v, func(r *sql.Rows) (a AgentTotal, err error) {
			var us, last, lastUS int64
			err = r.Scan(&a.Agent, &a.Calls, &a.Errors, &a.Crashes, &a.Fuel, &a.HostCalls, &a.HostBytes, &a.PeakMemory, &us, &last, &lastUS, &a.LastError)
			a.Time, a.LastTime, a.LastRun = time.Duration(us)*time.Microsecond, time.Duration(lastUS)*time.Microsecond, instant(last)
			return a, err
		}, `SELECT agent, calls, errors, crashes, fuel, host_calls, host_bytes, peak_memory, time_us, last_at, last_us, last_error FROM agent_total`)
		for _, a := range list {
			if !who.Can(Admin) {
				a.LastError = ""
			}
			totals[a.Agent] = a
		}
		return err
	})
	return totals, err
}

// AgentLines returns the newest lines of an agent, at most limit of them,
// oldest first. What agents log can be anything that they could read, so the
// caller needs Admin.
func (s *Store) AgentLines(ctx context.Context, agent string, limit int) (lines []AgentLine, err error) {
	if _, err := s.caller(ctx, "agent lines", Admin); err != nil {
		return nil, err
	}
	s.flushRuns()
	err = s.viewAs(ctx, "agent lines", Admin, func(v *view) error {
		lines, err = collect(v, func(r *sql.Rows) (l AgentLine, err error) {
			var at int64
			err = r.Scan(&at, &l.Action, &l.Level, &l.Text)
			l.At = instant(at)
			return l, err
		}, `SELECT at, action, level, text FROM (SELECT * FROM agent_line WHERE agent = ? ORDER BY row DESC LIMIT ?) ORDER BY row`, agent, limit)
		return err
	})
	return lines, err
}
