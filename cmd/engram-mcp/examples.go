package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// An example is one call of an agent and what it must give: an entry of
// examples.json.
type example struct {
	Name   string          `json:"name"` // what it shows
	Setup  []step          `json:"setup"`
	Action string          `json:"action"`
	Params json.RawMessage `json:"params"`
	Output json.RawMessage `json:"output"` // that it must give, or else
	Error  string          `json:"error"`  // part of the message that it must fail with
	After  []step          `json:"after"`
}

// A step is a call of a tool before or after the agent runs.
type step struct {
	Tool   string          `json:"tool"`
	Args   json.RawMessage `json:"args"`
	Result json.RawMessage `json:"result"` // what its answer must hold, if given
}

// readExamples reads a file of examples.
func readExamples(path string) ([]example, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, failed("there are no examples: "+path+" cannot be read", `write a list such as [{"action": "run", "params": {}, "output": {}}]; --examples names another file`, err)
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	var list []example
	if err := dec.Decode(&list); err != nil {
		return nil, failed(path+" is not a list of examples: "+err.Error(), "the keys of an example are name, setup, action, params, output, error and after", nil)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, failed(path+" goes on after its list", "write one JSON list", nil)
	}
	for i := range list {
		x := &list[i]
		if x.Name == "" {
			x.Name = fmt.Sprint("example ", i+1)
		}
		if (len(x.Output) > 0) == (x.Error != "") {
			return nil, failed(fmt.Sprintf("%s: %s says neither what it gives nor how it fails, or both", path, x.Name), "give it either output or error", nil)
		}
	}
	return list, nil
}

// A scope is what an example can refer to by "$setup.0.engrams.0.id",
// "$output.n" and "$after.0.hits.0.id".
type scope struct {
	setup, after []any
	output       any
}

// fill puts values in the places of strings that refer to them.
func (s *scope) fill(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return json.RawMessage("{}"), nil
	}
	v, err := decoded(raw)
	if err != nil {
		return nil, err
	}
	if v, err = s.filled(v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func (s *scope) filled(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		return s.value(v)
	case []any:
		for i := range v {
			if v[i], err = s.filled(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = s.filled(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// value is text, or what it refers to.
func (s *scope) value(text string) (any, error) {
	path := strings.Split(text, ".")
	var v any
	switch path[0] {
	case "$setup":
		v = s.setup
	case "$after":
		v = s.after
	case "$output":
		v = s.output
	default:
		return text, nil
	}
	for _, key := range path[1:] {
		var ok bool
		switch in := v.(type) {
		case map[string]any:
			v, ok = in[key]
		case []any:
			i, err := strconv.Atoi(key)
			if ok = err == nil && i >= 0 && i < len(in); ok {
				v = in[i]
			}
		}
		if !ok {
			return nil, fmt.Errorf("there is no %s in %s", key, text)
		}
	}
	return v, nil
}

// decoded is raw with its numbers as they are written.
func decoded(raw []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return v, dec.Decode(&v)
}

// differences tells where got is not what is wanted. The string "*" wants
// anything. With whole an object may have no other members than those wanted.
func differences(at string, want, got any, whole bool) (list []string) {
	if want == "*" {
		return nil
	}
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return memberDifferences(at, w, g, whole)
		}
	case []any:
		if g, ok := got.([]any); ok && len(g) == len(w) {
			for i := range w {
				list = append(list, differences(fmt.Sprintf("%s.%d", at, i), w[i], g[i], whole)...)
			}
			return list
		}
	default:
		if same(want, got) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s is %s, not %s", at, brief(got), brief(want))}
}

func memberDifferences(at string, want, got map[string]any, whole bool) (list []string) {
	keys := make([]string, 0, len(want))
	for k := range want {
		keys = append(keys, k)
	}
	for k := range got {
		if _, wanted := want[k]; !wanted && whole {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		w, wanted := want[k]
		g, there := got[k]
		switch {
		case !there:
			list = append(list, fmt.Sprintf("%s.%s is missing, it should be %s", at, k, brief(w)))
		case !wanted:
			list = append(list, fmt.Sprintf("%s.%s is not expected, it is %s", at, k, brief(g)))
		default:
			list = append(list, differences(at+"."+k, w, g, whole)...)
		}
	}
	return list
}

// same compares two values that hold no others.
func same(x, y any) bool {
	a, aNumber := x.(json.Number)
	b, bNumber := y.(json.Number)
	if !aNumber || !bNumber {
		return !aNumber && !bNumber && isScalar(y) && x == y
	}
	f, err1 := a.Float64()
	g, err2 := b.Float64()
	return a == b || err1 == nil && err2 == nil && f == g
}

func isScalar(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

// brief is v as JSON on one line that can be read.
func brief(v any) string {
	raw, err := plainJSON(v)
	if err != nil {
		return err.Error()
	}
	return short(raw)
}

// short is the beginning of a text.
func short(text []byte) string {
	if runes := []rune(string(text)); len(runes) > 200 {
		return string(runes[:200]) + "…"
	}
	return string(text)
}
