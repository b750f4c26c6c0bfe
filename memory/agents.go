package memory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// AgentRow is an agent installed in a space: what runs it needs to know. Its
// code lies outside the store, under its hash. Who may call what of it is for
// the layer above; here it is a row that every process on the space sees.
type AgentRow struct {
	Name      string
	Manifest  json.RawMessage
	SHA256    string // of the code, hex
	Installer Principal
	Approved  bool            // hooks and schedules may run
	Globals   json.RawMessage // a JSON object, at most MaxGlobals bytes
	Revision  int64           // of Globals, grows with each change
	CreatedAt time.Time
}

// MaxGlobals bounds the globals of an agent, in bytes of JSON.
const MaxGlobals = 64 << 10

// Agents lists the installed agents by name. The caller needs Read.
func (s *Store) Agents(ctx context.Context) (agents []AgentRow, err error) {
	err = s.view(ctx, "list agents", func(v *view) error {
		agents, err = collect(v, func(r *sql.Rows) (a AgentRow, err error) {
			var manifest, installer, globals string
			var created int64
			if err = r.Scan(&a.Name, &manifest, &a.SHA256, &installer, &a.Approved, &created, &globals, &a.Revision); err != nil {
				return a, err
			}
			a.Manifest, a.Globals, a.CreatedAt = json.RawMessage(manifest), json.RawMessage(globals), instant(created)
			return a, json.Unmarshal([]byte(installer), &a.Installer)
		}, `SELECT name, manifest, sha256, installer, approved, created_at, globals, revision FROM agent ORDER BY name`)
		return err
	})
	return agents, err
}

// SetAgent installs an agent or replaces the one of that name, whose globals
// stay. The caller needs Admin and becomes the installer. An agent is not
// approved by it; it stays approved if nothing about it changes.
func (s *Store) SetAgent(ctx context.Context, a AgentRow) error {
	who, err := s.caller(ctx, "install agent", Admin)
	if err != nil {
		return err
	}
	installer, err := json.Marshal(who)
	if err != nil {
		return err
	}
	return s.write(ctx, "install agent", who, func(t *txn) error {
		var n int64
		if _, err := t.c.one(`SELECT count(*) FROM agent WHERE name <> ?`, []any{a.Name}, &n); err != nil {
			return err
		}
		if q := s.opt.Quota.Agents; q > 0 && n >= q {
			return &Error{Op: "install agent", Kind: ErrQuota, Ref: fmt.Sprintf("%d agents, the most is %d", n, q), Hint: "remove one with agent_remove, or raise the quota"}
		}
		_, err := t.c.exec(`INSERT INTO agent (name, manifest, sha256, installer, created_at) VALUES (?,?,?,?,?)
			ON CONFLICT (name) DO UPDATE SET manifest = excluded.manifest, sha256 = excluded.sha256, installer = excluded.installer,
			approved = approved AND manifest = excluded.manifest AND sha256 = excluded.sha256 AND installer = excluded.installer`,
			a.Name, string(a.Manifest), a.SHA256, string(installer), t.now)
		if err == nil {
			_, err = t.c.exec(`DELETE FROM schedule WHERE agent = (SELECT name FROM agent WHERE name = ? AND NOT approved)`, a.Name)
		}
		t.touchAgents()
		return err
	})
}

// ApproveAgent lets the hooks and schedules of an agent run, the entries of
// its schedule first at the times given, in their order. It approves the agent
// as a shows it: an ErrConflict if the manifest or the code are others by now.
// With a.Approved false it takes the approval back. The caller needs Admin.
func (s *Store) ApproveAgent(ctx context.Context, a AgentRow, due []time.Time) error {
	const op = "approve agent"
	who, err := s.caller(ctx, op, Admin)
	if err != nil {
		return err
	}
	return s.write(ctx, op, who, func(t *txn) error {
		n, err := t.c.exec(`UPDATE agent SET approved = ? WHERE name = ? AND manifest = ? AND sha256 = ?`, a.Approved, a.Name, string(a.Manifest), a.SHA256)
		if err == nil && n == 0 {
			return &Error{Op: op, Kind: ErrConflict, Ref: a.Name + " was replaced or removed meanwhile", Hint: "look at it again, then approve what you see"}
		}
		if err == nil {
			_, err = t.c.exec(`DELETE FROM schedule WHERE agent = ?`, a.Name)
		}
		for place, at := range due {
			if err == nil && a.Approved {
				_, err = t.c.exec(`INSERT INTO schedule (agent, place, due) VALUES (?,?,?)`, a.Name, place, at.UnixMilli())
			}
		}
		t.touchAgents()
		return err
	})
}

// RemoveAgent removes an agent and its globals. The caller needs Admin.
func (s *Store) RemoveAgent(ctx context.Context, name string) error {
	who, err := s.caller(ctx, "remove agent", Admin)
	if err != nil {
		return err
	}
	return s.write(ctx, "remove agent", who, func(t *txn) error {
		n, err := t.c.exec(`DELETE FROM agent WHERE name = ?`, name)
		if err == nil && n == 0 {
			return &Error{Op: "remove agent", Kind: ErrNotFound, Ref: name, Hint: "agent_list shows what is installed"}
		}
		if err == nil {
			_, err = t.c.exec(`DELETE FROM schedule WHERE agent = ?`, name)
		}
		t.touchAgents()
		return err
	})
}

// Globals are an agent's globals and their revision, as the caller has staged
// them if it has; a negative revision is one that only the commit will know.
// The caller needs Read.
func (s *Store) Globals(ctx context.Context, agent string) (value json.RawMessage, revision int64, err error) {
	if st := s.stageOf(ctx); st != nil {
		if value, revision, ok := st.globals(agent); ok {
			return value, revision, nil
		}
	}
	err = s.view(ctx, "read globals", func(v *view) error {
		var text string
		ok, err := v.one(`SELECT globals, revision FROM agent WHERE name = ?`, []any{agent}, &text, &revision)
		if err == nil && !ok {
			err = &Error{Op: "read globals", Kind: ErrNotFound, Ref: agent, Hint: "it has been removed: agent_list shows what is installed"}
		}
		value = json.RawMessage(text)
		return err
	})
	return value, revision, err
}

// globals are those of an agent that were staged last.
func (st *Stage) globals(agent string) (value json.RawMessage, revision int64, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, m := range slices.Backward(st.staged) {
		for _, c := range slices.Backward(m.Changes) {
			if g, ours := c.(SetGlobals); ours && g.Agent == agent {
				if g.Revision < 0 {
					return g.Globals, -1, true
				}
				return g.Globals, g.Revision + 1, true
			}
		}
	}
	return nil, 0, false
}

func (c SetGlobals) plan(t *txn) (Result, error) {
	if len(c.Globals) > MaxGlobals || !json.Valid(c.Globals) {
		return Result{}, invalid(c.verb(), fmt.Sprintf("%d bytes", len(c.Globals)), fmt.Sprintf("keep a JSON object of at most %d bytes, and the rest in engrams", MaxGlobals))
	}
	n, err := t.c.exec(`UPDATE agent SET globals = ?1, revision = revision + 1 WHERE name = ?2 AND (?3 < 0 OR revision = ?3)`, string(c.Globals), c.Agent, c.Revision)
	if err == nil && n == 0 {
		err = &Error{Op: c.verb(), Kind: ErrConflict, Ref: c.Agent, Hint: "another call changed them: run the action again"}
	}
	return Result{}, err
}

// AgentsVersion changes whenever an agent is installed, replaced, approved or
// removed, by any process. The caller needs Read.
func (s *Store) AgentsVersion(ctx context.Context) (n int64, err error) {
	err = s.view(ctx, "list agents", func(v *view) error {
		_, err := v.one(`SELECT agents FROM space`, nil, &n)
		return err
	})
	return n, err
}

func (t *txn) touchAgents() {
	t.sums.agents++
	t.wrote = true
}
