package tools

import (
	"cmp"
	"encoding/json"
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"
)

// maxOutputSchema bounds the schema of an answer: every client reads it at
// every start.
const maxOutputSchema = 600

// inferred types: what a client should see of types that say little of
// themselves.
var inferred = &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
	reflect.TypeFor[obj]():             {Type: "object"},
	reflect.TypeFor[json.RawMessage](): {Type: "object"},
}}

func infer(t reflect.Type) *jsonschema.Schema {
	s, err := jsonschema.ForType(t, inferred)
	if err != nil {
		panic(err)
	}
	return s
}

// inputSchema describes the arguments in as few words as will do, in the
// subset of JSON Schema that every client and model provider takes: one type
// a value, no combinators. Unknown members are not ruled out, because aliases
// are taken.
func (s *shape) inputSchema() json.RawMessage {
	schema := infer(s.goType)
	simplify(schema)
	s.refine(schema)
	if len(s.args) == 0 { // some clients insist on the key
		return json.RawMessage(`{"type":"object","properties":{}}`)
	}
	return encode(schema)
}

// simplify removes what inference adds for Go's sake: null beside the type of
// a pointer or a slice, and the ban of further members.
func simplify(s *jsonschema.Schema) {
	if len(s.Types) == 2 && s.Types[0] == "null" {
		s.Type, s.Types = s.Types[1], nil
	}
	s.AdditionalProperties = nil
	if s.Type == "" {
		s.Description = cmp.Or(s.Description, "any JSON") // an empty schema is written as true, which few clients take
	}
	for _, p := range s.Properties {
		simplify(p)
	}
	if s.Items != nil {
		simplify(s.Items)
	}
}

// refine adds what the tags say of the arguments.
func (s *shape) refine(schema *jsonschema.Schema) {
	for _, a := range s.args {
		p := schema.Properties[a.name]
		for _, v := range a.enum {
			p.Enum = append(p.Enum, v)
		}
		p.Minimum, p.Maximum = a.min, a.max
		if a.items > 0 {
			p.MaxItems = &a.items
		}
		inside, part := a.shape, p
		if a.shape.kind == aList {
			inside, part = a.shape.elem, p.Items
		}
		if a.show == "brief" {
			part.Properties, part.PropertyOrder, part.Required = nil, nil, nil
		} else {
			inside.refine(part)
		}
	}
}

// outputSchema describes an answer, down to its lists and objects, and into
// them as far as maxOutputSchema allows.
func outputSchema[T any]() json.RawMessage {
	schema := infer(reflect.TypeFor[T]())
	simplify(schema)
	full := encode(schema)
	if len(full) <= maxOutputSchema {
		return full
	}
	for _, p := range schema.Properties {
		hollow(p)
	}
	return encode(schema)
}

func hollow(s *jsonschema.Schema) {
	s.Properties, s.PropertyOrder, s.Required = nil, nil, nil
	if s.Items != nil {
		hollow(s.Items)
	}
}

func encode(s *jsonschema.Schema) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return raw
}
