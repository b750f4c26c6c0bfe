package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// An object is a JSON object that keeps the order of its members, so that a
// configuration that people write by hand is changed only where it must be.
type object []member

type member struct {
	key   string
	value any // json.RawMessage where it was read
}

// parseObject reads an object; nothing at all is an empty one.
func parseObject(text []byte) (object, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	if !json.Valid(text) {
		return nil, errors.New("it is not JSON; comments are not understood")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	o := object{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		o = append(o, member{key.(string), value}) // JSON has no other keys
	}
	return o, nil
}

func (o object) get(key string) (any, bool) {
	for _, m := range o {
		if m.key == key {
			return m.value, true
		}
	}
	return nil, false
}

// object is the member of that name, which may be missing.
func (o object) object(key string) (object, error) {
	value, ok := o.get(key)
	if !ok {
		return nil, nil
	}
	raw, _ := value.(json.RawMessage)
	inner, err := parseObject(raw)
	if err != nil {
		err = fmt.Errorf("%s: %w", key, err)
	}
	return inner, err
}

// with is a copy of o with a member replaced, or added at the end.
func (o object) with(key string, value any) object {
	o = slices.Clone(o)
	for i, m := range o {
		if m.key == key {
			o[i].value = value
			return o
		}
	}
	return append(o, member{key, value})
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := plainJSON(m.key)
		if err != nil {
			return nil, err
		}
		value, err := plainJSON(m.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s:%s", key, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plainJSON is v as JSON in which <, > and & stand as they are.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// indented is o for people.
func (o object) indented() []byte {
	raw, err := o.MarshalJSON()
	if err != nil {
		return nil // its values are strings, lists of them, and what was JSON before
	}
	var b bytes.Buffer
	_ = json.Indent(&b, raw, "", "  ") // it is JSON
	return b.Bytes()
}

// sameJSON compares two values as JSON.
func sameJSON(x, y any) bool {
	var values [2]any
	for i, v := range []any{x, y} {
		raw, err := plainJSON(v)
		if err != nil || json.Unmarshal(raw, &values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
