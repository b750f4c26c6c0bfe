package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// maxAnnotation bounds what a hook may add at one place of an answer, in bytes
// of JSON.
const maxAnnotation = 4 << 10

// An answer is that of a tool while hooks look at it: everything in it stays,
// byte for byte, what the tool said; hooks only rearrange lists, and annotate.
type answer struct {
	raw     json.RawMessage // as it came
	changed bool
	members []*member // nil before they are needed
	notes   notes
}

type member struct {
	key   string
	raw   json.RawMessage
	list  bool
	items []*item // of a list, or the one object
}

type item struct {
	raw    json.RawMessage
	tree   any // as it is shown to the hook at work; nil if all of it is
	hidden bool
	notes  notes
}

// A note is what an agent has to say of something.
type note struct {
	agent string
	value json.RawMessage
}

// notes are at most one an agent.
type notes []note

func (n *notes) add(x note) {
	*n = append(slices.DeleteFunc(*n, func(o note) bool { return o.agent == x.agent }), x)
}

// open reads the members of the answer, once it matters what they are.
func (a *answer) open() error {
	if a.members != nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(a.raw))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		m := &member{key: fmt.Sprint(key)}
		if err := dec.Decode(&m.raw); err != nil {
			return err
		}
		switch m.raw[0] {
		case '{':
			m.items = []*item{{raw: m.raw}}
		case '[':
			var items []json.RawMessage
			if err := json.Unmarshal(m.raw, &items); err != nil {
				return err
			}
			m.list = true
			for _, raw := range items {
				m.items = append(m.items, &item{raw: raw})
			}
		}
		a.members = append(a.members, m)
	}
	return nil
}

// shown is the answer as v lets it be seen; ok is false if something is hidden
// and nothing is left.
func (a *answer) shown(v *veil) (raw json.RawMessage, ok bool, err error) {
	if v == nil && a.members == nil {
		return a.raw, true, nil
	}
	if err := a.open(); err != nil {
		return nil, false, err
	}
	left, gone := 0, 0
	out := map[string]any{}
	for _, m := range a.members {
		list := []any{}
		for _, it := range m.items {
			one, err := it.shown(m.key, v)
			if err != nil {
				return nil, false, err
			}
			if it.hidden {
				gone++
				continue
			}
			left++
			list = append(list, one)
		}
		switch {
		case m.list:
			out[m.key] = list
		case len(m.items) == 0:
			out[m.key] = m.raw
		case len(list) == 1:
			out[m.key] = list[0]
		}
	}
	if v == nil && !a.changed {
		return a.raw, true, nil
	}
	raw, err = marshal(out)
	return raw, left > 0 || gone == 0, err
}

// shown is the item for the hook at work, without what v hides.
func (it *item) shown(key string, v *veil) (any, error) {
	it.hidden, it.tree = false, nil
	if v == nil {
		return it.raw, nil
	}
	tree, err := parse(it.raw)
	if err != nil {
		return nil, err
	}
	it.hidden = v.hides(key, tree)
	it.tree = v.show(key, tree)
	return it.tree, nil
}

// take makes the answer what a hook of agent made of it. Only the answer of a
// tool that reads can be rearranged. On error nothing has changed.
func (a *answer) take(agent string, raw json.RawMessage, reads bool) error {
	var made map[string]json.RawMessage
	if err := json.Unmarshal(raw, &made); err != nil {
		return fmt.Errorf("result is not an object")
	}
	if err := a.open(); err != nil {
		return err
	}
	var changes []func()
	for _, key := range sortedKeys(made) {
		if key == "annotation" {
			n, err := newNote(agent, made[key])
			if err != nil {
				return err
			}
			changes = append(changes, func() { a.notes.add(n) })
			continue
		}
		i := slices.IndexFunc(a.members, func(m *member) bool { return m.key == key })
		if i < 0 || a.members[i].gone() {
			return fmt.Errorf("the tool's answer has no member %s", quote(key))
		}
		more, err := a.members[i].take(agent, made[key], reads)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		changes = append(changes, more...)
	}
	for _, change := range changes {
		change()
		a.changed = true
	}
	return nil
}

// gone reports whether all of it is hidden from the hook at work.
func (m *member) gone() bool { return !m.list && len(m.items) == 1 && m.items[0].hidden }

func (m *member) take(agent string, raw json.RawMessage, reads bool) (changes []func(), err error) {
	made := []json.RawMessage{raw}
	switch {
	case len(m.raw) == 0 || len(raw) == 0 || raw[0] != m.raw[0]:
		return nil, fmt.Errorf("it is of another type than in the tool's answer")
	case m.list:
		if err := json.Unmarshal(raw, &made); err != nil {
			return nil, err
		}
	case len(m.items) == 0:
		return nil, nil // the tool's own word stands
	}
	free := map[string][]*item{}
	for _, it := range m.items {
		if !it.hidden {
			id := identity(it.raw)
			free[id] = append(free[id], it)
		}
	}
	var order []*item
	for i, raw := range made {
		it := m.items[0]
		if m.list {
			id := identity(raw)
			if len(free[id]) == 0 {
				return nil, fmt.Errorf("item %d is not, or not so often, in the tool's answer", i)
			}
			it, free[id] = free[id][0], free[id][1:]
		}
		n, err := it.annotation(agent, raw)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		if n.value != nil {
			changes = append(changes, func() { it.notes.add(n) })
		}
		order = append(order, it)
	}
	if m.list && reads {
		items := weave(m.items, order, func(it *item) bool { return it.hidden })
		changes = append(changes, func() { m.items = items })
	}
	return changes, nil
}

// annotation is what the hook adds to the item. All its other members must be
// those of the item.
func (it *item) annotation(agent string, raw json.RawMessage) (n note, err error) {
	var made map[string]json.RawMessage
	if json.Unmarshal(raw, &made) != nil {
		return n, nil // a text, which cannot be annotated
	}
	if it.tree == nil {
		if it.tree, err = parse(it.raw); err != nil {
			return n, err
		}
	}
	own, _ := it.tree.(map[string]any)
	for key, value := range made {
		if key == "annotation" {
			if n, err = newNote(agent, value); err != nil {
				return n, err
			}
		} else if _, ok := own[key]; !ok {
			return n, fmt.Errorf("it has no member %s in the tool's answer", quote(key))
		}
	}
	return n, nil
}

func newNote(agent string, value json.RawMessage) (note, error) {
	if len(value) > maxAnnotation {
		return note{}, fmt.Errorf("an annotation of %d bytes is longer than %d", len(value), maxAnnotation)
	}
	return note{agent, clean(value)}, nil
}

// identity is what an item of a list is known by.
func identity(raw json.RawMessage) string {
	var x struct {
		ID                           string
		From, To                     string
		Relation, RelationType, Name string
		Version                      json.Number
	}
	if json.Unmarshal(raw, &x) != nil {
		var text any
		if json.Unmarshal(raw, &text) == nil {
			return fmt.Sprintf("is %v", text)
		}
		return string(raw)
	}
	switch {
	case x.ID != "":
		return "id " + x.ID
	case x.From != "" || x.To != "":
		return fmt.Sprintf("link %q %q %q", x.From, x.To, x.Relation+x.RelationType)
	case x.Version != "":
		return "version " + x.Version.String()
	}
	return "name " + x.Name
}

// encode is the answer as the caller gets it, changedBy being the agents that
// changed the arguments.
func (a *answer) encode(changedBy []string) json.RawMessage {
	if !a.changed && len(changedBy) == 0 || a.open() != nil {
		return a.raw
	}
	var b bytes.Buffer
	member := func(key string, raw json.RawMessage) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", key, raw)
	}
	for _, m := range a.members {
		switch {
		case m.list:
			parts := make([][]byte, len(m.items))
			for i, it := range m.items {
				parts[i] = it.notes.onto(it.raw)
			}
			member(m.key, slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]")))
		case len(m.items) == 1:
			member(m.key, m.items[0].notes.onto(m.raw))
		default:
			member(m.key, m.raw)
		}
	}
	if len(changedBy) > 0 {
		raw, _ := marshal(changedBy) // names always encode
		member("changed_by", raw)
	}
	return a.notes.onto(json.RawMessage("{" + b.String() + "}"))
}

// onto adds the notes to an object.
func (n notes) onto(raw json.RawMessage) json.RawMessage {
	if len(n) == 0 || len(raw) < 2 || raw[0] != '{' {
		return raw
	}
	var b bytes.Buffer
	b.Write(raw[:len(raw)-1])
	if len(raw) > 2 {
		b.WriteByte(',')
	}
	b.WriteString(`"annotations":{`)
	for i, note := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", note.agent, note.value)
	}
	b.WriteString("}}")
	return b.Bytes()
}
