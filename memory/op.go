package memory

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// An Op is one change of state, as it travels between stores. The state of a
// store is a function of the set of ops it holds: they may arrive in any
// order, and more than once.
type Op struct {
	ID        uuid.UUID       `json:"id"`     // UUIDv7, random
	Origin    string          `json:"origin"` // the store that made it
	OSeq      int64           `json:"oseq"`   // 1, 2, 3 … per origin, without gaps
	HLC       HLC             `json:"hlc"`
	Principal string          `json:"principal,omitempty"`
	Kind      string          `json:"kind"`
	Target    uuid.UUID       `json:"target,omitzero"` // an engram
	Other     uuid.UUID       `json:"other,omitzero"`  // the far end of a link
	Body      json.RawMessage `json:"body,omitempty"`  // empty once compacted or purged
}

// The kinds of op. Create, update, forget and restore share one body, [fields].
const (
	opCreate  = "create"
	opUpdate  = "update"
	opForget  = "forget"
	opRestore = "restore"
	opPurge   = "purge"
	opLink    = "link"
	opUnlink  = "unlink"
	opCount   = "count"
	opGroup   = "group"
)

// HLC is a hybrid logical clock (Kulkarni et al., 2014): 48 bits of
// milliseconds since 1970, then 16 bits that count events within one.
type HLC int64

func hlcAt(t time.Time) HLC { return HLC(t.UnixMilli() << 16) }

// Time is the physical part of the clock.
func (h HLC) Time() time.Time { return time.UnixMilli(int64(h) >> 16).UTC() }

// maxSkew is how far ahead of this machine's clock an op may lie. A clock
// further off would win every conflict until the others catch up.
const maxSkew = time.Minute

// A clock orders concurrent changes: by time, ties by origin.
type clock struct {
	hlc    HLC
	origin string
}

func (c clock) after(d clock) bool {
	if c.hlc != d.hlc {
		return c.hlc > d.hlc
	}
	return c.origin > d.origin
}

func (c clock) String() string {
	if c == (clock{}) {
		return ""
	}
	return strconv.FormatInt(int64(c.hlc), 36) + "." + c.origin
}

// parseClock reads what String wrote.
func parseClock(s string) (clock, error) {
	if s == "" {
		return clock{}, nil
	}
	t, origin, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(t, 36, 64)
	if err != nil {
		return clock{}, fmt.Errorf("clock %q: %w", s, err)
	}
	return clock{HLC(n), origin}, nil
}

// clocks maps the names of fields to their clocks; stored as a JSON object.
type clocks map[string]clock

func (c clocks) String() string {
	if len(c) == 0 {
		return "{}"
	}
	m := make(map[string]string, len(c))
	for k, v := range c {
		m[k] = v.String()
	}
	b, _ := json.Marshal(m) // a map of strings cannot fail; keys are sorted
	return string(b)
}

func parseClocks(s string) (clocks, error) {
	if s == "{}" {
		return clocks{}, nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		return nil, fmt.Errorf("clocks: %w", err)
	}
	c := make(clocks, len(m))
	for k, v := range m {
		one, err := parseClock(v)
		if err != nil {
			return nil, err
		}
		c[k] = one
	}
	return c, nil
}

// fields is the body of an op on an engram: what it sets. Nil fields are not
// set; a time of 0 ms is none. Join and Leave are the changes of membership.
type fields struct {
	Content    *string             `json:"content,omitempty"`
	Kind       *string             `json:"kind,omitempty"`
	Source     *string             `json:"source,omitempty"`
	Author     *string             `json:"author,omitempty"`
	Trust      *string             `json:"trust,omitempty"`
	Confidence *float64            `json:"confidence,omitempty"`
	Importance *float64            `json:"importance,omitempty"`
	Tags       *[]string           `json:"tags,omitempty"`
	Metadata   *string             `json:"metadata,omitempty"` // a JSON object, or ""
	Context    *string             `json:"context,omitempty"`
	ValidFrom  *int64              `json:"valid_from,omitempty"`
	ValidTo    *int64              `json:"valid_to,omitempty"`
	ExpiresAt  *int64              `json:"expires_at,omitempty"`
	CreatedAt  *int64              `json:"created_at,omitempty"`
	Forgotten  *bool               `json:"forgotten,omitempty"`
	Join       []string            `json:"join,omitempty"`
	Leave      map[string][]string `json:"leave,omitempty"` // collection → ids of the ops that joined it
}

// linkBody is the body of opLink; unlinkBody names the ops whose links it saw.
type linkBody struct {
	Relation  string  `json:"relation"`
	Weight    float64 `json:"weight"`
	Metadata  string  `json:"metadata,omitempty"`
	ValidFrom int64   `json:"valid_from,omitempty"`
	ValidTo   int64   `json:"valid_to,omitempty"`
}

type unlinkBody struct {
	Relation string   `json:"relation"`
	Seen     []string `json:"seen"`
}

// countBody is cumulative for its origin, so that the largest one counts.
type countBody struct {
	Count int64 `json:"count"`
	Last  int64 `json:"last"` // ms
}

type groupBody struct {
	Kind        GroupKind `json:"kind"`
	Name        string    `json:"name"`
	Description *string   `json:"description,omitempty"`
	Readers     *nameList `json:"readers,omitempty"`
	Writers     *nameList `json:"writers,omitempty"`
}

// nameList is a list of principals, or open to all.
type nameList struct {
	Open  bool     `json:"open,omitempty"`
	Names []string `json:"names,omitempty"`
}

// valid reports what is wrong with an op that came from elsewhere.
func (o *Op) valid(now time.Time) error {
	bad := func(what string) error {
		return &Error{Op: "apply", Kind: ErrInvalid, Ref: "op " + o.ID.String() + ": " + what,
			Hint: "the store it came from is damaged or newer; look at it with 'engram-mcp doctor'"}
	}
	switch {
	case o.ID == uuid.Nil || o.Origin == "" || len(o.Origin) > MaxName || o.OSeq < 1 || o.HLC < 0:
		return bad("incomplete")
	case o.HLC > hlcAt(now.Add(maxSkew)):
		return bad("its clock is more than a minute ahead")
	case o.Kind != opGroup && o.Target == uuid.Nil:
		return bad("no target")
	case (o.Kind == opLink || o.Kind == opUnlink) && o.Other == uuid.Nil:
		return bad("no far end")
	}
	switch o.Kind {
	case opCreate, opUpdate, opForget, opRestore, opPurge, opLink, opUnlink, opCount, opGroup:
		return nil
	}
	return bad("unknown kind " + o.Kind)
}

// decode reads the body of an op into v; false means that the body is gone.
func (o *Op) decode(v any) (bool, error) {
	if len(o.Body) == 0 {
		return false, nil
	}
	if err := json.Unmarshal(o.Body, v); err != nil {
		return false, &Error{Op: "apply", Kind: ErrInvalid, Ref: "op " + o.ID.String() + ": body", Err: err,
			Hint: "the store it came from is damaged or newer"}
	}
	return true, nil
}
