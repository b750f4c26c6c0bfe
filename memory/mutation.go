package memory

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// A Mutation is a list of changes that are made all or none, in order, in one
// transaction.
type Mutation struct {
	// RequestID, a UUID, makes the mutation safe to repeat: the same id by the
	// same principal returns the first result and changes nothing. The same id
	// with other changes is an ErrConflict. Empty means that it is not repeated.
	RequestID string
	Changes   []Change
}

// A Change is one of [Create], [Update], [Forget], [Restore], [Purge],
// [SetLink], [Unlink], [SetGroup], [SetGlobals] and [EndRun].
type Change interface {
	verb() string
	// plan checks the change against the state and the caller's rights, and
	// records the ops that make it happen.
	plan(t *txn) (Result, error)
}

// A Result is what became of one change, in the order of the changes.
type Result struct {
	Engram    *Engram `json:"engram,omitempty"`
	Duplicate bool    `json:"duplicate,omitempty"` // Create found Engram already there
	Link      *Link   `json:"link,omitempty"`
	Group     *Group  `json:"group,omitempty"`
	ID        string  `json:"id,omitempty"` // of a forgotten, restored or purged engram
}

// Create remembers something new. If the same memory exists already (equal
// context, collections, source, kind, content and valid_from, live and
// readable by the caller) that engram is returned as a duplicate, with the new
// tags and links added to it.
type Create struct {
	Content        string
	Kind           string // DefaultKind if empty
	Source         string
	Confidence     *float64 // 1 if nil
	Importance     *float64 // .5 if nil
	Tags           []string
	Metadata       json.RawMessage // a JSON object
	Context        string          // created if unknown
	Collections    []string        // created if unknown
	ValidFrom      time.Time
	ValidTo        time.Time
	ExpiresAt      time.Time
	TTL            time.Duration // instead of ExpiresAt: counted from now; 0 for none
	AllowDuplicate bool
	Links          []Link // From is ignored: the links start at the new engram

	// ID and CreatedAt are kept when an export is imported; both are optional
	// and need Admin. An id that exists already makes the change a duplicate.
	ID        string
	CreatedAt time.Time

	staged uuid.UUID // the id that a stage has promised
}

// Update changes fields of an engram. Nil fields stay as they are; a zero time
// removes the time.
type Update struct {
	ID         string
	IfVersion  int64 // if not 0, ErrConflict unless the engram has this version
	Content    *string
	Kind       *string
	Source     *string
	Confidence *float64
	Importance *float64
	Tags       *[]string
	Metadata   json.RawMessage // replaces the whole object
	Context    *string
	// Collections becomes the set the engram belongs to, as far as the caller
	// can read them: memberships it cannot see stay.
	Collections *[]string
	ValidFrom   *time.Time
	ValidTo     *time.Time
	ExpiresAt   *time.Time
	TTL         *time.Duration // instead of ExpiresAt: counted from now; 0 removes the expiry
}

// Forget hides an engram. It can be restored.
type Forget struct{ ID string }

// Restore brings a forgotten engram back, or takes an engram back to an
// earlier version of itself; either way a new version is made. Its collections
// and links stay as they are.
type Restore struct {
	ID      string
	Version int64 // 0: as it was when it was forgotten
}

// Purge erases an engram for good: its content, its links, its history and its
// traces in the indexes. It needs Admin.
type Purge struct{ ID string }

// SetLink creates a link, or changes the link with the same key.
type SetLink struct {
	Link
}

// Unlink removes a link. Relation empty removes every link from From to To.
type Unlink struct {
	From, To, Relation string
}

// SetGroup creates or changes a context or a collection. Nil fields stay as
// they are. The lists may be changed by Admin, and by whoever may write the
// group and stays on its list.
type SetGroup struct {
	Kind        GroupKind
	Name        string
	Description *string
	Readers     *[]string // a nil slice behind the pointer opens it to the space
	Writers     *[]string
	Create      bool // ErrConflict if it exists
	MustExist   bool // ErrNotFound if it does not
}

// SetGlobals stores the globals of an agent, a JSON object, if they are still
// at Revision (any, if it is negative); ErrConflict otherwise. It needs Read alone: an agent keeps its
// state whoever calls it.
type SetGlobals struct {
	Agent    string
	Globals  json.RawMessage
	Revision int64
}

func (Create) verb() string     { return "create" }
func (Update) verb() string     { return "update" }
func (Forget) verb() string     { return "forget" }
func (Restore) verb() string    { return "restore" }
func (Purge) verb() string      { return "purge" }
func (SetLink) verb() string    { return "link" }
func (Unlink) verb() string     { return "unlink" }
func (SetGroup) verb() string   { return "set group" }
func (SetGlobals) verb() string { return "set globals" }
