package memory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of one engram and one call.
const (
	MaxContent     = 256 << 10 // bytes of content
	MaxMetadata    = 64 << 10  // bytes of metadata, as JSON
	MaxName        = 200       // bytes of a kind, source, tag, relation, context or collection name
	MaxTags        = 100       // tags of one engram
	MaxCollections = 50        // collections of one engram
	MaxBatch       = 1000      // changes in one mutation, ids in one call
	MaxPage        = 200       // items in one page of any list
	MaxPageBytes   = 512 << 10 // bytes of content and metadata that one Get returns
	DefaultKind    = "fact"
)

// An Engram is one atomic unit of knowledge. Times are UTC in whole
// milliseconds; a zero time means that there is none.
type Engram struct {
	ID          string          `json:"id"` // UUIDv7
	Content     string          `json:"content"`
	Kind        string          `json:"kind"`
	Source      string          `json:"source,omitempty"`
	Author      string          `json:"author,omitempty"` // the principal that created it
	Trust       Trust           `json:"trust,omitempty"`
	Confidence  float64         `json:"confidence"` // 0..1
	Importance  float64         `json:"importance"` // 0..1
	Tags        []string        `json:"tags,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"` // a JSON object
	Context     string          `json:"context,omitempty"`
	Collections []string        `json:"collections,omitempty"` // only those the caller may read
	ValidFrom   time.Time       `json:"valid_from,omitzero"`
	ValidTo     time.Time       `json:"valid_to,omitzero"`
	ExpiresAt   time.Time       `json:"expires_at,omitzero"`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
	Version     int64           `json:"version"` // the number of changes it has had, 1 when new

	// The following are filled by Get only.
	AccessCount  int64     `json:"access_count,omitempty"`
	LastAccessed time.Time `json:"last_accessed,omitzero"`
	Previous     string    `json:"previous,omitempty"` // the engram before it in its context
	Next         string    `json:"next,omitempty"`     // the engram after it in its context
	Links        []Link    `json:"links,omitempty"`    // with GetOptions.Links
}

// A Link is a typed, weighted edge. Its key is (From, To, Relation).
type Link struct {
	From      string          `json:"from"`
	To        string          `json:"to"`
	Relation  string          `json:"relation"`
	Weight    float64         `json:"weight"` // 0..1
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	ValidFrom time.Time       `json:"valid_from,omitzero"`
	ValidTo   time.Time       `json:"valid_to,omitzero"`
}

// GroupKind tells contexts from collections.
type GroupKind string

// The kinds of group.
const (
	Context    GroupKind = "context"    // a shared environment with an order; an engram is in at most one
	Collection GroupKind = "collection" // a named set; an engram may be in many
)

// A Group is a context or a collection. A nil list of readers or writers is
// open to the space; writers may always read.
type Group struct {
	Kind        GroupKind `json:"-"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Readers     []string  `json:"readers,omitempty"`
	Writers     []string  `json:"writers,omitempty"`
	Engrams     int64     `json:"engrams"` // visible ones; filled by Groups
}

// checker collects the first thing wrong with a caller's values.
type checker struct {
	op  string
	err error
}

func (c *checker) fail(ref, hint string) {
	if c.err == nil {
		c.err = invalid(c.op, ref, hint)
	}
}

func (c *checker) content(s string) {
	switch {
	case strings.TrimSpace(s) == "":
		c.fail("content is empty", `give the knowledge itself, e.g. "content": "Ada prefers tea"`)
	case len(s) > MaxContent:
		c.fail(fmt.Sprintf("content has %d bytes, the most is %d", len(s), MaxContent), "split it into several engrams and link them, e.g. with relation part_of")
	case !utf8.ValidString(s):
		c.fail("content is not UTF-8", "send text, or base64 of bytes")
	}
}

// name checks a short label; empty is allowed when the field is optional.
func (c *checker) name(field, s string, required bool) {
	switch {
	case required && strings.TrimSpace(s) == "":
		c.fail(field+" is empty", fmt.Sprintf(`give a short name, e.g. %q: "project-x"`, field))
	case len(s) > MaxName:
		c.fail(fmt.Sprintf("%s has %d bytes, the most is %d", field, len(s), MaxName), "use a short name and put the rest into metadata")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		c.fail(field+" has control characters", "use plain text on one line")
	}
}

func (c *checker) names(field string, list []string, most int) {
	if len(list) > most {
		c.fail(fmt.Sprintf("%s has %d items, the most is %d", field, len(list), most), "keep the most telling ones")
	}
	for _, s := range list {
		c.name(field, s, true)
	}
}

func (c *checker) unit(field string, v float64) {
	if math.IsNaN(v) || v < 0 || v > 1 {
		c.fail(fmt.Sprintf("%s is %v", field, v), fmt.Sprintf(`it goes from 0 to 1, e.g. %q: 0.8`, field))
	}
}

func (c *checker) metadata(raw json.RawMessage) {
	if raw == nil {
		return
	}
	trimmed := bytes.TrimSpace(raw)
	switch {
	case len(raw) > MaxMetadata:
		c.fail(fmt.Sprintf("metadata has %d bytes, the most is %d", len(raw), MaxMetadata), "put long text into content")
	case len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(raw):
		c.fail("metadata is not a JSON object", `e.g. "metadata": {"page": 12}`)
	}
}

// span checks that a period does not end before it starts, and that both ends
// can be written as RFC 3339.
func (c *checker) span(from, to time.Time) {
	for _, t := range []time.Time{from, to} {
		if !t.IsZero() && (t.Year() < 1 || t.Year() > 9999) {
			c.fail("a time lies outside the years 1 to 9999", "use RFC 3339, e.g. 2026-01-31T09:00:00Z")
		}
	}
	if !from.IsZero() && !to.IsZero() && to.Before(from) {
		c.fail("valid_to lies before valid_from", "swap them, or leave one out")
	}
}
