package tools

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"engram-mcp/memory"
)

// The bounds of a call's arguments beside their bytes: deeper or more numerous
// ones cost more memory to hold than any honest call needs.
const (
	maxDepth  = 64
	maxValues = 500_000
)

// An arg is one argument, learnt from a struct field and its tags:
//
//	json        the name; without omitempty or omitzero it is required
//	jsonschema  the description
//	alias       other names that models are known to guess for it
//	enum        the values it can have
//	min, max    the range of a number
//	items       the most items of a list, memory.MaxBatch if absent
//	eg          an example, as JSON, for error texts
//	show        "brief" hides the inside of an object from the schema
//	            "flat" takes the one item of a list from beside the list
type arg struct {
	name     string
	index    []int
	shape    *shape
	required bool
	aliases  []string
	enum     []string
	min, max *float64
	items    int
	eg       string
	show     string
}

// A kind is a sort of JSON value, as a caller thinks of it.
type kind string

const (
	aText     kind = "a string"
	aFlag     kind = "true or false"
	anInteger kind = "a whole number"
	aNumber   kind = "a number"
	aTime     kind = "a time"
	anObject  kind = "an object"
	aList     kind = "a list"
)

var examples = map[kind]string{
	aText: `"text"`, aFlag: `true`, anInteger: `10`, aNumber: `0.8`, aTime: `"2026-01-31"`, anObject: `{"page": 12}`, aList: `["a", "b"]`,
}

// An obj is an argument that is a JSON object of any content.
type obj json.RawMessage

// MarshalJSON writes the object as it is.
func (o obj) MarshalJSON() ([]byte, error) { return o, nil }

// A shape is what values of a Go type look like as arguments.
type shape struct {
	kind   kind
	goType reflect.Type // without pointers
	elem   *shape       // of a list
	args   []*arg       // of an object with known members
	names  map[string]*arg
}

func shapeFor[T any]() *shape { return shapeOf(reflect.TypeFor[T]()) }

func shapeOf(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := &shape{goType: t}
	switch {
	case t == reflect.TypeFor[time.Time]():
		s.kind = aTime
	case t == reflect.TypeFor[obj]():
		s.kind = anObject
	case t.Kind() == reflect.String:
		s.kind = aText
	case t.Kind() == reflect.Bool:
		s.kind = aFlag
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		s.kind = anInteger
	case t.Kind() == reflect.Float64:
		s.kind = aNumber
	case t.Kind() == reflect.Slice:
		s.kind, s.elem = aList, shapeOf(t.Elem())
	case t.Kind() == reflect.Struct:
		s.kind = anObject
		s.members(t)
	default:
		panic(fmt.Sprintf("%v cannot be an argument", t))
	}
	return s
}

func (s *shape) members(t reflect.Type) {
	s.names = map[string]*arg{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		a := argOf(f)
		s.args = append(s.args, a)
		s.names[a.name] = a
	}
	for _, a := range s.args {
		for _, alias := range a.aliases {
			if _, taken := s.names[alias]; taken {
				panic(fmt.Sprintf("%v: two arguments answer to %q", t, alias))
			}
			s.names[alias] = a
		}
	}
}

func argOf(f reflect.StructField) *arg {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	a := &arg{
		name: name, index: f.Index, shape: shapeOf(f.Type), required: !strings.Contains(options, "omit"),
		eg: f.Tag.Get("eg"), show: f.Tag.Get("show"),
	}
	if v := f.Tag.Get("alias"); v != "" {
		a.aliases = strings.Split(v, ",")
	}
	if v := f.Tag.Get("enum"); v != "" {
		a.enum = strings.Split(v, ",")
	}
	if v := f.Tag.Get("items"); v != "" {
		a.items = int(mustNumber(v))
	}
	for tag, bound := range map[string]**float64{"min": &a.min, "max": &a.max} {
		if v := f.Tag.Get(tag); v != "" {
			n := mustNumber(v)
			*bound = &n
		}
	}
	if a.eg == "" {
		a.eg = examples[a.shape.kind]
	}
	return a
}

func mustNumber(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// read decodes raw, the one time that it is decoded, into dst, a pointer to a
// struct of the shape.
func (s *shape) read(raw json.RawMessage, dst any) error {
	tree, err := parse(raw)
	if err != nil {
		return err
	}
	members, ok := unwrap(tree).(map[string]any)
	if !ok {
		return invalid("", "the arguments are "+describe(tree)+", not an object", `e.g. {"`+s.args[0].name+`": `+s.args[0].eg+`}`)
	}
	if err := s.bindObject(reflect.ValueOf(dst).Elem(), members, ""); err != nil {
		return err
	}
	return nil
}

// parse decodes JSON whose size was bounded beforehand. Nothing at all, and
// null, are an empty object.
func parse(raw json.RawMessage) (any, error) {
	if err := bounded(raw); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // integers beyond 2^53 keep their digits
	var tree any
	err := dec.Decode(&tree)
	if errors.Is(err, io.EOF) || err == nil && tree == nil {
		return map[string]any{}, nil
	}
	if err == nil {
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, invalid("", "the arguments go on after their end", "send one JSON object")
		}
		return tree, nil
	}
	return nil, invalid("", fmt.Sprintf("the arguments are not JSON: %v", err), `send one JSON object, e.g. {"query": "tea"}`)
}

// bounded counts the bytes, the depth and the values of raw without decoding it.
func bounded(raw []byte) error {
	if len(raw) > MaxArguments {
		return invalid("", fmt.Sprintf("the arguments have %d bytes, the most is %d", len(raw), MaxArguments), "send them in several calls")
	}
	depth, values, quoted := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			values++
			if depth++; depth > maxDepth {
				return invalid("", fmt.Sprintf("the arguments are nested more than %d deep", maxDepth), "send flatter JSON")
			}
		case c == '}' || c == ']':
			depth--
		case c == ',':
			values++
		}
	}
	if values > maxValues {
		return invalid("", fmt.Sprintf("the arguments hold more than %d values", maxValues), "send them in several calls")
	}
	return nil
}

// unwrap takes JSON that came as text out of its string.
func unwrap(x any) any {
	s, ok := x.(string)
	if !ok {
		return x
	}
	if trimmed := strings.TrimSpace(s); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		if tree, err := parse(json.RawMessage(trimmed)); err == nil {
			return tree
		}
	}
	return x
}

// bindObject fills the struct dst from members. at is the path to it, empty
// or with a dot at its end.
func (s *shape) bindObject(dst reflect.Value, members map[string]any, at string) error {
	given := make(map[*arg]any, len(members))
	var loose []string
	for _, key := range sortedKeys(members) {
		x := members[key]
		a, ok := s.names[key]
		if !ok {
			a, ok = s.names[snake(key)]
		}
		switch {
		case !ok:
			loose = append(loose, key)
		case x == nil: // models write null for what they leave out
		case given[a] != nil && !reflect.DeepEqual(given[a], x):
			return invalid("", fmt.Sprintf("%s%s is given twice, once as %s", at, a.name, quote(key)), "give it once")
		default:
			given[a] = x
		}
	}
	if len(loose) > 0 {
		if err := s.gather(given, members, loose, at); err != nil {
			return err
		}
	}
	for _, a := range s.args {
		x, ok := given[a]
		if !ok {
			if a.required {
				return invalid("", at+a.name+" is missing", a.example())
			}
			continue
		}
		if err := a.bind(settable(dst, a.index), x, at+a.name); err != nil {
			return err
		}
	}
	return nil
}

// gather makes the one item of a flat list out of members that belong to it,
// and complains of a member that belongs nowhere.
func (s *shape) gather(given map[*arg]any, members map[string]any, loose []string, at string) error {
	i := slices.IndexFunc(s.args, func(a *arg) bool { return a.show == "flat" && given[a] == nil })
	item := map[string]any{}
	for _, key := range loose {
		if i < 0 || s.args[i].shape.elem.names[snake(key)] == nil {
			return s.unknown(at, key)
		}
		item[key] = members[key]
	}
	given[s.args[i]] = []any{item}
	return nil
}

func (s *shape) unknown(at, key string) error {
	names := make([]string, len(s.args))
	for i, a := range s.args {
		names[i] = a.name
	}
	hint := "the arguments are " + strings.Join(names, ", ")
	if len(names) == 0 {
		hint = "it takes no arguments"
	}
	if near := nearest(snake(key), names); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return invalid("", "there is no argument "+quote(at+key), hint)
}

// settable is the field of dst at index, allocated if it lies behind a pointer.
func settable(dst reflect.Value, index []int) reflect.Value {
	v := dst.FieldByIndex(index)
	for v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	return v
}

// bind puts x, which is not null, into dst. path names it in errors.
func (a *arg) bind(dst reflect.Value, x any, path string) error {
	wrong := func() error {
		return invalid("", fmt.Sprintf("%s is %s, not %s", path, describe(x), a.shape.kind), a.example())
	}
	switch a.shape.kind {
	case aText:
		s, ok := asText(x)
		if !ok {
			return wrong()
		}
		if s, ok = a.among(s); !ok {
			return invalid("", fmt.Sprintf("%s is %s", path, quote(s)), "it can be "+strings.Join(a.enum, ", "))
		}
		dst.SetString(s)
	case aFlag:
		b, ok := asFlag(x)
		if !ok {
			return wrong()
		}
		dst.SetBool(b)
	case anInteger, aNumber:
		n, ok := asNumber(x)
		if !ok || a.shape.kind == anInteger && (n != math.Trunc(n) || math.Abs(n) > 1<<53) {
			return wrong()
		}
		if a.min != nil && n < *a.min || a.max != nil && n > *a.max {
			return invalid("", fmt.Sprintf("%s is %v", path, n), "it goes "+a.span())
		}
		if a.shape.kind == anInteger {
			dst.SetInt(int64(n))
		} else {
			dst.SetFloat(n)
		}
	case aTime:
		t, ok := asTime(x)
		if !ok {
			return invalid("", fmt.Sprintf("%s is %s, not a time", path, describe(x)), fmt.Sprintf(`e.g. "%s": "2026-01-31" or "2026-01-31T09:00:00Z"`, a.name))
		}
		dst.Set(reflect.ValueOf(t))
	case anObject:
		members, ok := unwrap(x).(map[string]any)
		if !ok {
			return wrong()
		}
		if a.shape.names != nil {
			return a.shape.bindObject(dst, members, path+".")
		}
		raw, err := marshal(members)
		if err != nil {
			return err
		}
		dst.SetBytes(raw)
	case aList:
		return a.bindList(dst, x, path)
	}
	return nil
}

// bindList puts a list into dst; a single item stands for a list of one.
func (a *arg) bindList(dst reflect.Value, x any, path string) error {
	items, ok := unwrap(x).([]any)
	if !ok {
		items = []any{x}
	}
	if most := cmp.Or(a.items, memory.MaxBatch); len(items) > most {
		return invalid("", fmt.Sprintf("%s has %d items, the most is %d", path, len(items), most), "send them in several calls")
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(items), len(items)))
	item := *a
	item.shape, item.min, item.max = a.shape.elem, nil, nil
	if item.shape.kind == anObject && item.shape.names != nil {
		item.eg = item.shape.exampleObject()
	} else {
		item.eg = examples[item.shape.kind]
	}
	for i, x := range items {
		at := path
		if len(items) > 1 || ok {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		if x == nil {
			return invalid("", at+" is null, not "+string(item.shape.kind), a.example())
		}
		if err := item.bind(dst.Index(i), x, at); err != nil {
			return err
		}
	}
	return nil
}

func (a *arg) example() string { return fmt.Sprintf("e.g. %q: %s", a.name, a.eg) }

// exampleObject is an object with the required members only.
func (s *shape) exampleObject() string {
	var parts []string
	for _, a := range s.args {
		if a.required {
			parts = append(parts, fmt.Sprintf("%q: %s", a.name, a.eg))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (a *arg) span() string {
	switch {
	case a.max == nil:
		return fmt.Sprintf("from %v upwards", *a.min)
	case a.min == nil:
		return fmt.Sprintf("up to %v", *a.max)
	}
	return fmt.Sprintf("from %v to %v, e.g. %q: %s", *a.min, *a.max, a.name, a.eg)
}

// among matches s with the values that the argument can have, in any case.
func (a *arg) among(s string) (string, bool) {
	if a.enum == nil {
		return s, true
	}
	for _, v := range a.enum {
		if strings.EqualFold(v, s) {
			return v, true
		}
	}
	return s, s == ""
}

// The conversions below accept what a model may write for a value when it can
// mean nothing else.

func asText(x any) (string, bool) {
	switch v := x.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

func asFlag(x any) (value, ok bool) {
	switch v := x.(type) {
	case bool:
		return v, true
	case string:
		return strings.EqualFold(v, "true"), strings.EqualFold(v, "true") || strings.EqualFold(v, "false")
	}
	return false, false
}

func asNumber(x any) (float64, bool) {
	var s string
	switch v := x.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = strings.TrimSpace(v)
		if strings.ContainsAny(s, "xXpPnN_") { // hexadecimal, NaN and Inf are not JSON numbers
			return 0, false
		}
	default:
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

var timeLayouts = []string{
	time.RFC3339Nano, time.DateOnly,
	"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15:04Z07:00",
	time.DateTime, "2006-01-02 15:04", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 -0700",
}

// asTime reads a time, UTC if it names no zone. An empty string is the zero
// time, which stands for no time.
func asTime(x any) (time.Time, bool) {
	s, ok := x.(string)
	if !ok {
		return time.Time{}, false
	}
	if s = strings.TrimSpace(s); s == "" {
		return time.Time{}, true
	}
	s = strings.TrimSuffix(s, " UTC")
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// describe says in few words what x is, for an error text.
func describe(x any) string {
	switch v := x.(type) {
	case nil:
		return "null"
	case string:
		return quote(v)
	case json.Number:
		return shorten(v.String(), 40)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return string(aList)
	default:
		return string(anObject)
	}
}

func quote(s string) string { return strconv.Quote(shorten(s, 60)) }

// shorten cuts s to at most n bytes at a rune's border and marks the cut.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// marshal is json.Marshal that leaves <, > and & as they are.
func marshal(x any) (json.RawMessage, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(x); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
