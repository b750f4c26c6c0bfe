package tools

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
)

// A Trial is what a hook would do to a call. Nothing of it has happened.
type Trial struct {
	Agent   string          `json:"agent"`
	On      string          `json:"on"`
	Args    json.RawMessage `json:"args"`             // as hooks read them
	Result  json.RawMessage `json:"result,omitempty"` // the tool's own, for an after hook
	Change  json.RawMessage `json:"change,omitempty"` // the args or the result that it makes of them; absent if it leaves them
	Refused string          `json:"refused,omitempty"`
	Problem string          `json:"problem,omitempty"` // why it failed
	Writes  int             `json:"writes"`            // changes of the memory that it would make itself
	Logs    []logOut        `json:"logs"`
	Stats   usageOut        `json:"stats"`
}

func (t *Trial) ran(r sandbox.Result) { t.Logs, t.Stats = account(r) }

func (t *Trial) failed(err error) {
	if o, ok := errors.AsType[objection](err); ok {
		t.Refused = o.reason
	} else if t.Problem, _ = Explain(err); t.Problem == "" {
		t.Problem = err.Error()
	}
}

// Try runs one hook of an installed agent, approved or not, on a call that the
// caller might make, and takes everything back. on is as in the manifest. With
// an after hook the tool itself runs, too.
func (a *Agents) Try(ctx context.Context, name, on string, in json.RawMessage) (*Trial, error) {
	sp, err := a.space(ctx)
	if err != nil {
		return nil, err
	}
	ag, err := sp.installed(name)
	if err != nil {
		return nil, err
	}
	h, err := a.hookOf(ag, on)
	if err != nil {
		return nil, err
	}
	tool, _ := a.set.Find(ctx, h.tool())
	trial := &Trial{Agent: name, On: on, Logs: []logOut{}}
	c := &hookedCall{a: a, sp: sp, tool: tool, trial: trial}
	if trial.Args, err = tool.plain(in); err != nil {
		return nil, named(tool.Name, err)
	}
	args, err := object(trial.Args)
	if err != nil {
		return nil, err
	}
	staged, _, rollback := a.begin(ctx)
	defer rollback()
	if h.after() {
		err = trial.after(staged, c, h, args)
	} else {
		err = trial.before(staged, c, h, args)
	}
	return trial, err
}

func (t *Trial) before(ctx context.Context, c *hookedCall, h *hook, args map[string]any) error {
	mark := stageOf(ctx).Mark()
	changed, err := c.ask(ctx, h, args)
	t.Writes = stageOf(ctx).Mark() - mark
	if err == nil && changed != nil {
		t.Change, err = marshal(changed)
	}
	return err
}

func (t *Trial) after(ctx context.Context, c *hookedCall, h *hook, args map[string]any) (err error) {
	if t.Result, err = c.tool.run(ctx, t.Args); err != nil {
		return err
	}
	result := &answer{raw: t.Result}
	mark := stageOf(ctx).Mark()
	err = c.tell(ctx, h, args, result)
	t.Writes = stageOf(ctx).Mark() - mark
	if err == nil && result.changed {
		t.Change = result.encode(nil)
	}
	return err
}

// hookOf is the hook of an agent at a moment.
func (a *Agents) hookOf(ag *agent, on string) (*hook, error) {
	var moments []string
	for _, h := range ag.manifest.Hooks {
		if h.On == on {
			act, err := ag.action(h.Action)
			return &hook{h, ag, act}, err
		}
		moments = append(moments, h.On)
	}
	hint := "it has no hooks"
	if len(moments) > 0 {
		slices.Sort(moments)
		hint = "its hooks are on " + strings.Join(slices.Compact(moments), ", ")
	}
	return nil, &memory.Error{Op: "try", Kind: memory.ErrNotFound, Ref: "hook " + quote(on) + " of agent " + ag.manifest.Name, Hint: hint}
}
