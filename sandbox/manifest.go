package sandbox

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds on what a manifest and an agent may hold.
const (
	MaxManifest    = 256 << 10 // bytes of a manifest as JSON
	MaxGlobals     = 64 << 10  // bytes of an agent's globals as JSON
	MaxDescription = 500       // bytes of a description
	MaxToolName    = 48        // bytes of an agent's and an action's name together

	maxSchema  = 32 << 10
	maxConfig  = 64 << 10
	maxActions = 64
	maxList    = 64 // grants, hooks, schedules, scopes
)

// A Manifest says what an agent is, what it asks for and what it offers: the
// content of agent.json.
type Manifest struct {
	Name        string          `json:"name"`
	Version     string          `json:"version,omitempty"`
	Description string          `json:"description,omitempty"`
	Runtime     string          `json:"runtime,omitempty"`
	Entry       string          `json:"entry,omitempty"`   // file with the code, beside the manifest
	Command     []string        `json:"command,omitempty"` // instead of entry: a program and its arguments
	SHA256      string          `json:"sha256,omitempty"`  // of the code, in hexadecimal
	Grants      []string        `json:"grants,omitempty"`  // names of the tools that the agent may call
	Collections Scope           `json:"collections,omitzero"`
	Contexts    Scope           `json:"contexts,omitzero"`
	Limits      Limits          `json:"limits,omitzero"`
	Instances   string          `json:"instances,omitempty"` // "pooled" (default) or "private"
	Engine      string          `json:"engine,omitempty"`    // "compiler" (default) or "interpreter"
	Actions     []Action        `json:"actions,omitempty"`
	Hooks       []Hook          `json:"hooks,omitempty"`
	Schedule    []Schedule      `json:"schedule,omitempty"`
	Config      json.RawMessage `json:"config,omitempty"` // a JSON object that the agent can read
}

// A Scope narrows an agent to named collections or contexts. An empty list
// leaves the agent what its caller may do; the memory enforces it.
type Scope struct {
	Read  []string `json:"read,omitempty"`
	Write []string `json:"write,omitempty"`
}

// An Action is something that an agent can be asked to do.
type Action struct {
	Name         string          `json:"name"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"input_schema,omitempty"`
	OutputSchema json.RawMessage `json:"output_schema,omitempty"`
	ReadOnly     bool            `json:"read_only,omitempty"`
}

// A Hook runs an action before or after a memory tool.
type Hook struct {
	On        string `json:"on"` // before:TOOL or after:TOOL
	Action    string `json:"action"`
	Order     int    `json:"order,omitempty"`      // lower runs first
	TimeMS    int64  `json:"time_ms,omitempty"`    // 0 means the host's default
	OnFailure string `json:"on_failure,omitempty"` // "fail" or "skip"; empty means the host's default
}

// A Schedule runs an action at fixed times. Exactly one of Every and DailyAt
// is set.
type Schedule struct {
	Every   string          `json:"every,omitempty"`    // a duration such as 15m
	DailyAt string          `json:"daily_at,omitempty"` // HH:MM in UTC
	Action  string          `json:"action"`
	Params  json.RawMessage `json:"params,omitempty"`
}

// Private reports whether the agent keeps state in an instance of its own.
func (m *Manifest) Private() bool { return m.Instances == "private" }

// Action returns the action of that name, or nil.
func (m *Manifest) Action(name string) *Action {
	if i := slices.IndexFunc(m.Actions, func(a Action) bool { return a.Name == name }); i >= 0 {
		return &m.Actions[i]
	}
	return nil
}

// ParseManifest reads a manifest from JSON and checks it. Unknown and
// repeated keys are errors. Characters that could hide text from a reader are
// taken out of everything that a model or a person is shown.
func ParseManifest(data []byte) (Manifest, error) {
	var m Manifest
	if len(data) > MaxManifest {
		return m, badManifest("", "move data out of config", "%d bytes is more than %d", len(data), MaxManifest)
	}
	if err := decodeStrict(data, &m); err != nil {
		return Manifest{}, err
	}
	if err := m.Check(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

var (
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	opPattern   = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	hookPattern = regexp.MustCompile(`^(before|after):[a-z][a-z0-9_]*$`)
	hashPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	timePattern = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
)

// reservedNames cannot name an agent: with "_" and an action they could read
// like one of the host's own tools.
var reservedNames = []string{
	"engram", "agent", "script", "context", "collection", "memory", "globals",
	"create", "add", "delete", "read", "search", "open", "update", "list",
}

// Check cleans what is shown, fills nothing in, and returns an error that
// matches ErrBadAgent and names the key at fault.
func (m *Manifest) Check() error {
	m.Version, m.Description = Clean(m.Version), Clean(m.Description)
	m.SHA256 = strings.ToLower(m.SHA256)
	for _, check := range []func() error{m.checkIdentity, m.Limits.check, m.checkLists, m.checkActions, m.checkHooks, m.checkSchedule} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

const nameHint = "use a-z, 0-9 and -, beginning with a letter"

func (m *Manifest) checkIdentity() error {
	switch {
	case m.Name == "":
		return badManifest("name", "give the agent a name such as tidy-notes", "it is missing")
	case !namePattern.MatchString(m.Name) || len(m.Name) >= MaxToolName:
		return badManifest("name", nameHint+", at most 47 characters", "%q is not a name", shorten(m.Name, 60))
	case slices.Contains(reservedNames, m.Name):
		return badManifest("name", "take another name", "%q is reserved", m.Name)
	case len(m.Version) > 64:
		return badManifest("version", "shorten it to 64 bytes", "%d bytes is too long", len(m.Version))
	case len(m.Description) > MaxDescription:
		return badManifest("description", "shorten it to 500 bytes", "%d bytes is too long", len(m.Description))
	case m.Runtime != "" && !namePattern.MatchString(m.Runtime):
		return badManifest("runtime", "use wasm, lua, js, process or native", "%q is no runtime", shorten(m.Runtime, 60))
	case m.SHA256 != "" && !hashPattern.MatchString(m.SHA256):
		return badManifest("sha256", "give 64 hexadecimal digits, as sha256sum prints", "%q is no SHA-256", shorten(m.SHA256, 80))
	case m.Entry != "" && len(m.Command) > 0:
		return badManifest("command", "keep one of entry and command", "entry is set too")
	case strings.ContainsAny(m.Entry, "\x00\n\r") || len(m.Entry) > 1024:
		return badManifest("entry", "give a file name", "it is not a path")
	}
	if err := oneOf("instances", m.Instances, "pooled", "private"); err != nil {
		return err
	}
	if err := oneOf("engine", m.Engine, "compiler", "interpreter"); err != nil {
		return err
	}
	return checkObject("config", m.Config, maxConfig)
}

func (m *Manifest) checkLists() error {
	for i, g := range m.Grants {
		if !opPattern.MatchString(g) || len(g) > 64 {
			return badManifest(fmt.Sprintf("grants[%d]", i), "name a tool such as engram_search", "%q is no tool name", shorten(g, 60))
		}
	}
	for key, list := range map[string][]string{
		"grants": m.Grants, "command": m.Command,
		"collections.read": m.Collections.Read, "collections.write": m.Collections.Write,
		"contexts.read": m.Contexts.Read, "contexts.write": m.Contexts.Write,
	} {
		if len(list) > maxList {
			return badManifest(key, "shorten the list", "%d entries is more than %d", len(list), maxList)
		}
		for i, s := range list {
			if key != "command" && (s == "" || s != Clean(s) || len(s) > 256) || len(s) > 4096 || strings.ContainsRune(s, 0) {
				return badManifest(fmt.Sprintf("%s[%d]", key, i), "give 1 to 256 printable characters", "%q cannot be used", shorten(s, 60))
			}
		}
	}
	return nil
}

func (m *Manifest) checkActions() error {
	if len(m.Actions) > maxActions {
		return badManifest("actions", "split the agent in two", "%d actions is more than %d", len(m.Actions), maxActions)
	}
	seen := map[string]bool{}
	for i := range m.Actions {
		a, key := &m.Actions[i], fmt.Sprintf("actions[%d]", i)
		a.Description = Clean(a.Description)
		switch {
		case !namePattern.MatchString(a.Name):
			return badManifest(key+".name", nameHint, "%q is not a name", shorten(a.Name, 60))
		case len(m.Name)+1+len(a.Name) > MaxToolName:
			return badManifest(key+".name", "shorten one of the two", "%s_%s is longer than %d characters", m.Name, shorten(a.Name, 60), MaxToolName)
		case seen[a.Name]:
			return badManifest(key+".name", "rename one of the two", "%q is there twice", a.Name)
		case len(a.Description) > MaxDescription:
			return badManifest(key+".description", "shorten it to 500 bytes", "%d bytes is too long", len(a.Description))
		}
		seen[a.Name] = true
		for _, s := range []struct {
			key string
			raw *json.RawMessage
		}{{key + ".input_schema", &a.InputSchema}, {key + ".output_schema", &a.OutputSchema}} {
			if err := checkSchema(s.key, s.raw); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Manifest) checkHooks() error {
	if len(m.Hooks) > maxList {
		return badManifest("hooks", "shorten the list", "%d hooks is more than %d", len(m.Hooks), maxList)
	}
	for i, h := range m.Hooks {
		key := fmt.Sprintf("hooks[%d]", i)
		switch {
		case !hookPattern.MatchString(h.On) || len(h.On) > 80:
			return badManifest(key+".on", "write before:engram_create or after:engram_search", "%q names no moment", shorten(h.On, 60))
		case h.TimeMS < 0 || h.TimeMS > 5_000:
			return badManifest(key+".time_ms", "ask for 1 to 5000", "%d is out of range", h.TimeMS)
		}
		if err := oneOf(key+".on_failure", h.OnFailure, "fail", "skip"); err != nil {
			return err
		}
		if err := m.checkUse(key, h.Action); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manifest) checkSchedule() error {
	if len(m.Schedule) > maxList {
		return badManifest("schedule", "shorten the list", "%d entries is more than %d", len(m.Schedule), maxList)
	}
	for i, s := range m.Schedule {
		key := fmt.Sprintf("schedule[%d]", i)
		if (s.Every == "") == (s.DailyAt == "") {
			return badManifest(key, "write either every or daily_at", "it needs exactly one time")
		}
		if s.DailyAt != "" && !timePattern.MatchString(s.DailyAt) {
			return badManifest(key+".daily_at", "write a UTC time such as 03:30", "%q is no time of day", shorten(s.DailyAt, 60))
		}
		if s.Every != "" {
			if d, err := time.ParseDuration(s.Every); err != nil || d < time.Minute || d > 366*24*time.Hour {
				return badManifest(key+".every", "write a duration of a minute or more, such as 15m or 24h", "%q is no interval", shorten(s.Every, 60))
			}
		}
		if err := m.checkUse(key, s.Action); err != nil {
			return err
		}
		if len(s.Params) > 0 {
			if err := checkObject(key+".params", s.Params, maxConfig); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkUse checks that a hook's or schedule's action exists. Without a list
// of actions the code brings one, and Manager checks again when it is known.
func (m *Manifest) checkUse(key, action string) error {
	if action == "" || len(m.Actions) > 0 && m.Action(action) == nil {
		return badManifest(key+".action", "name one of "+actionNames(m.Actions), "%q is no action of the agent", shorten(action, 60))
	}
	return nil
}

func actionNames(actions []Action) string {
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = a.Name
	}
	if len(names) == 0 {
		return "its actions"
	}
	return strings.Join(names, ", ")
}

func oneOf(key, v string, allowed ...string) error {
	if v == "" || slices.Contains(allowed, v) {
		return nil
	}
	return badManifest(key, "use "+strings.Join(allowed, " or "), "%q is not known", shorten(v, 60))
}

func badManifest(key, hint, format string, args ...any) error {
	if key != "" {
		key += ": "
	}
	return &Error{Op: "read manifest", Kind: ErrBadAgent, Err: fmt.Errorf(key+format, args...), Hint: hint}
}
