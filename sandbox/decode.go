package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// decodeStrict reads one JSON object into a struct. Unlike encoding/json it
// refuses unknown and repeated keys, matches keys exactly, and says where
// something is wrong in words that a person can act on.
func decodeStrict(data []byte, into *Manifest) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := checkKeys(dec, reflect.TypeFor[Manifest](), "", 0); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return badManifest("", "remove what follows the closing brace", "there is more than one JSON value")
	}
	if err := json.Unmarshal(data, into); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			return badManifest(te.Field, "give "+jsonKind(te.Type), "a JSON %s does not fit", te.Value)
		}
		return badSyntax(err)
	}
	return nil
}

// maxNesting keeps deep JSON from growing the stack; no manifest comes near.
const maxNesting = 100

// checkKeys reads the next value and compares the keys of every object that
// lands in a struct with that struct's.
func checkKeys(dec *json.Decoder, t reflect.Type, path string, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return badSyntax(err)
	}
	if depth > maxNesting {
		return badManifest(path, "flatten it", "it is nested more than %d deep", maxNesting)
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	d, ok := tok.(json.Delim)
	if path == "" && d != '{' {
		return badManifest("", "begin with { \"name\": … }", "it is not a JSON object")
	}
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for i := 0; dec.More(); i++ {
		var elem reflect.Type
		at := fmt.Sprintf("%s[%d]", path, i)
		if d == '{' {
			k, err := dec.Token()
			if err != nil {
				return badSyntax(err)
			}
			key := k.(string)
			at = strings.TrimPrefix(path+"."+key, ".")
			if seen[key] {
				return badManifest(shorten(at, 100), "keep one of the two", "the key is there twice")
			}
			seen[key] = true
			if t != nil && t.Kind() == reflect.Struct {
				f, keys := fieldOf(t, key)
				if f == nil {
					return badManifest(shorten(at, 100), suggest(key, keys), "there is no such key")
				}
				elem = f
			}
		} else if t != nil && t.Kind() == reflect.Slice && t != reflect.TypeFor[json.RawMessage]() {
			elem = t.Elem()
		}
		if err := checkKeys(dec, elem, at, depth+1); err != nil {
			return err
		}
	}
	if _, err = dec.Token(); err != nil {
		return badSyntax(err)
	}
	return nil
}

func fieldOf(t reflect.Type, key string) (reflect.Type, []string) {
	var keys []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == key {
			return t.Field(i).Type, nil
		}
		keys = append(keys, name)
	}
	return nil, keys
}

// suggest returns a hint that names the nearest known key, or all of them.
func suggest(key string, keys []string) string {
	best, at := 3, ""
	for _, k := range keys {
		if d := distance(strings.ToLower(key), k); d < best {
			best, at = d, k
		}
	}
	if at != "" {
		return "did you mean " + at + "?"
	}
	return "known keys: " + strings.Join(keys, ", ")
}

// distance is the Levenshtein distance; long keys count as far away.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost++
			}
			prev = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func badSyntax(err error) error {
	var se *json.SyntaxError
	if errors.As(err, &se) {
		return badManifest("", "check the JSON with a linter", "byte %d: %v", se.Offset, se)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return badManifest("", "check that the file is complete", "the JSON ends too early")
	}
	return badManifest("", "check the JSON with a linter", "%v", err)
}

func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// checkObject checks that raw is empty or a JSON object of at most limit bytes.
func checkObject(key string, raw json.RawMessage, limit int) error {
	switch {
	case len(raw) == 0:
		return nil
	case len(raw) > limit:
		return badManifest(key, fmt.Sprintf("keep it below %d KiB", limit>>10), "%d bytes is too long", len(raw))
	case !isObject(raw):
		return badManifest(key, "write { … }", "it is not a JSON object")
	}
	return nil
}

// checkSchema checks that raw is a schema of objects and cleans the texts in
// it, since models are shown them.
func checkSchema(key string, raw *json.RawMessage) error {
	if len(*raw) == 0 {
		return nil
	}
	if err := checkObject(key, *raw, maxSchema); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(*raw))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return badManifest(key, "write a JSON schema", "%v", err)
	}
	if v["type"] != "object" {
		return badManifest(key+".type", `set "type": "object"`, "the schema does not describe an object")
	}
	clean, err := json.Marshal(cleanAll(v))
	if err != nil {
		return badManifest(key, "write a JSON schema", "%v", err)
	}
	*raw = clean
	return nil
}

func cleanAll(v any) any {
	switch v := v.(type) {
	case string:
		return Clean(v)
	case []any:
		for i := range v {
			v[i] = cleanAll(v[i])
		}
	case map[string]any:
		for _, k := range slices.Collect(maps.Keys(v)) {
			e := cleanAll(v[k])
			delete(v, k)
			v[Clean(k)] = e
		}
	}
	return v
}

func isObject(raw []byte) bool {
	t := bytes.TrimLeft(raw, " \t\r\n")
	return len(t) > 0 && t[0] == '{' && json.Valid(raw)
}

// Clean returns s as one line of text without the characters that could hide
// something from its reader: control characters, bidirectional overrides,
// invisible tags, and bytes that are not UTF-8.
func Clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case hidden(r):
			return -1
		}
		return r
	}, s))
}

// cleanLines is Clean for text of several lines.
func cleanLines(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && hidden(r) {
			return -1
		}
		return r
	}, s)
}

func hidden(r rune) bool {
	return unicode.IsControl(r) || r == unicode.ReplacementChar ||
		r == '\u061c' || r == '\u200b' || r == '\u200e' || r == '\u200f' || r == '\ufeff' ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2060' && r <= '\u206f' ||
		r >= '\ufff9' && r <= '\ufffb' || r >= 0xe0000 && r <= 0xe0fff
}
