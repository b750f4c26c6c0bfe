package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"engram-mcp/memory"
)

// fields are the keys of an engram as a search shows it, in their order.
// Values that are nil are left out.
var fields = []struct {
	name  string
	shown bool // unless other fields are asked for
	value func(h *memory.Hit) any
}{
	{"id", true, func(h *memory.Hit) any { return h.ID }},
	{"score", true, func(h *memory.Hit) any { return h.Score }},
	{"content", true, func(h *memory.Hit) any { return h.Content }},
	{"kind", true, func(h *memory.Hit) any { return h.Kind }},
	{"source", true, func(h *memory.Hit) any { return word(h.Source) }},
	{"author", true, func(h *memory.Hit) any { return word(h.Author) }},
	{"trust", true, func(h *memory.Hit) any { return word(string(h.Trust)) }},
	{"confidence", true, func(h *memory.Hit) any { return h.Confidence }},
	{"importance", false, func(h *memory.Hit) any { return h.Importance }},
	{"tags", true, func(h *memory.Hit) any { return words(h.Tags) }},
	{"metadata", true, func(h *memory.Hit) any { return members(h.Metadata) }},
	{"context", true, func(h *memory.Hit) any { return word(h.Context) }},
	{"collections", true, func(h *memory.Hit) any { return words(h.Collections) }},
	{"valid_from", true, func(h *memory.Hit) any { return day(h.ValidFrom) }},
	{"valid_to", true, func(h *memory.Hit) any { return day(h.ValidTo) }},
	{"expires_at", true, func(h *memory.Hit) any { return day(h.ExpiresAt) }},
	{"created_at", true, func(h *memory.Hit) any { return day(h.CreatedAt) }},
	{"updated_at", false, func(h *memory.Hit) any { return day(h.UpdatedAt) }},
	{"version", false, func(h *memory.Hit) any { return h.Version }},
}

func word(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func words(l []string) any {
	if len(l) == 0 {
		return nil
	}
	return l
}

func members(raw json.RawMessage) any {
	if len(raw) == 0 || string(raw) == "{}" {
		return nil
	}
	return raw
}

func day(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// A fieldSet says which of the fields are shown.
type fieldSet func(name string) bool

// everything is the fields of an engram that was not found by a search.
func everything(name string) bool { return name != "score" }

// chosen is the set of the named fields and the id, or of those that are shown
// when none is named.
func chosen(names []string) (fieldSet, error) {
	picked := map[string]bool{"id": true}
	for _, n := range names {
		picked[snake(n)] = true
	}
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.name
		if len(names) == 0 {
			picked[f.name] = f.shown
		}
	}
	for _, n := range names {
		if !strings.Contains(","+strings.Join(known, ",")+",", ","+snake(n)+",") {
			hint := "the fields are " + strings.Join(known, ", ")
			if near := nearest(snake(n), known); near != "" {
				hint = fmt.Sprintf("did you mean %q? %s", near, hint)
			}
			return nil, invalid("", "there is no field "+quote(n), hint)
		}
	}
	if picked["content"] || picked["metadata"] { // no text without who stands behind it
		picked["author"], picked["trust"] = true, true
	}
	return func(name string) bool { return picked[name] }, nil
}

// record is h as JSON, with the fields shown in their order and the parts of
// the score if there are any.
func record(h *memory.Hit, shown fieldSet) json.RawMessage {
	var b bytes.Buffer
	member := func(name string, value any) {
		raw, err := marshal(value)
		if err != nil { // metadata that is not JSON cannot have come in through a tool
			raw = json.RawMessage("null")
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", name, raw)
	}
	for _, f := range fields {
		if shown(f.name) {
			if v := f.value(h); v != nil {
				member(f.name, v)
			}
		}
	}
	if h.Parts != nil {
		member("parts", h.Parts)
	}
	return json.RawMessage("{" + b.String() + "}")
}

// excerpt is record with the content cut so that the whole has about so many
// bytes; "truncated": true marks the cut, and engram_get gives all of it.
func excerpt(h *memory.Hit, shown fieldSet, bytes int) json.RawMessage {
	full := record(h, shown)
	if len(full) <= bytes || !shown("content") {
		return full
	}
	const mark = `,"truncated":true}`
	short := *h
	keep := max(0, len(h.Content)-(len(full)-bytes)-len(mark))
	for keep > 0 && !utf8.RuneStart(h.Content[keep]) {
		keep--
	}
	short.Content = h.Content[:keep]
	full = record(&short, shown)
	return append(full[:len(full)-1], mark...)
}
