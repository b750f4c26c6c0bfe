package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"engram-mcp/memory"
)

// The memory file of the knowledge-graph server that the compat tools speak
// for: JSON Lines of entities and relations. It is imported through these
// tools, so that they find in it what they would have written.

type graphLine struct {
	Type         string   `json:"type"`
	Name         string   `json:"name"`
	EntityType   string   `json:"entityType"`
	Observations []string `json:"observations"`
	From         string   `json:"from"`
	To           string   `json:"to"`
	RelationType string   `json:"relationType"`
}

const (
	maxGraphLine      = 8 << 20 // bytes
	graphObservations = 500     // in one call
	graphRelations    = 100     // in one call
)

// isGraph reports whether what in begins with is a line of such a file.
func isGraph(in *bufio.Reader) bool {
	head, _ := in.Peek(in.Size()) // what there is, if that is less
	line, _, whole := bytes.Cut(bytes.TrimLeft(head, " \t\r\n\ufeff"), []byte("\n"))
	if !whole { // longer than the buffer, or all there is
		return bytes.Contains(line, []byte(`"type":"entity"`))
	}
	var l graphLine
	return json.Unmarshal(line, &l) == nil && (l.Type == "entity" || l.Type == "relation")
}

// A graphImport reads one such file.
type graphImport struct {
	call     func(tool string, in, out any) error
	done     memory.Imported
	line     int64
	relation []graphRelation
}

type graphRelation struct {
	From         string `json:"from"`
	To           string `json:"to"`
	RelationType string `json:"relationType"`
	line         int64
}

// importGraph imports the file as the caller of ctx. Entities and observations
// that are there already are skipped, as are relations.
func importGraph(ctx context.Context, e *engine, in *bufio.Reader, tell func(memory.Imported)) (memory.Imported, error) {
	g := &graphImport{call: func(tool string, in, out any) error {
		raw, err := json.Marshal(in)
		if err == nil {
			raw, err = e.set.Call(ctx, tool, raw)
		}
		if err == nil {
			err = json.Unmarshal(raw, out)
		}
		return err
	}}
	err := g.read(ctx, in, tell)
	if err == nil {
		err = g.relations(tell)
	}
	g.done.Lines = g.line
	return g.done, err
}

func (g *graphImport) read(ctx context.Context, in *bufio.Reader, tell func(memory.Imported)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxGraphLine)
	for lines.Scan() {
		g.line++
		text := bytes.TrimSpace(bytes.TrimPrefix(lines.Bytes(), []byte("\ufeff")))
		if len(text) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var l graphLine
		if err := json.Unmarshal(text, &l); err != nil {
			return g.at(g.line, errors.New("it is not JSON"))
		}
		switch l.Type {
		case "entity":
			if err := g.entity(l); err != nil {
				return g.at(g.line, err)
			}
			tell(g.done)
		case "relation": // once all entities are there
			g.relation = append(g.relation, graphRelation{l.From, l.To, l.RelationType, g.line})
		default:
			return g.at(g.line, fmt.Errorf("its type is %q, neither entity nor relation", l.Type))
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return g.at(g.line+1, fmt.Errorf("it is longer than %s", size(maxGraphLine)))
	} else if err != nil && !errors.Is(err, io.EOF) {
		return failed("the file cannot be read to its end", "check it, and import it again: what was imported is skipped", err)
	}
	return nil
}

// entity creates an entity, and adds to it what one call cannot take, or what
// it has more in the file than here.
func (g *graphImport) entity(l graphLine) error {
	first := l.Observations[:min(len(l.Observations), graphObservations)]
	var made struct {
		Entities []struct{ Observations []string }
	}
	entity := map[string]any{"name": l.Name, "entityType": l.EntityType, "observations": append([]string{}, first...)}
	if err := g.call("create_entities", map[string]any{"entities": []any{entity}}, &made); err != nil {
		return err
	}
	rest := l.Observations[len(first):]
	if len(made.Entities) == 0 {
		g.done.Duplicates++
		rest = l.Observations
	} else {
		g.done.Engrams += 1 + int64(len(first))
	}
	for part := range slices.Chunk(rest, graphObservations) {
		var added struct {
			Results []struct{ AddedObservations []string }
		}
		if err := g.call("add_observations", map[string]any{"observations": []any{map[string]any{"entityName": l.Name, "contents": part}}}, &added); err != nil {
			return err
		}
		for _, a := range added.Results {
			g.done.Engrams += int64(len(a.AddedObservations))
		}
	}
	return nil
}

// relations creates the relations. Those of a call that fails are tried one by
// one, to find the line that is at fault.
func (g *graphImport) relations(tell func(memory.Imported)) error {
	create := func(list []graphRelation) error {
		var made struct{ Relations []graphRelation }
		if err := g.call("create_relations", map[string]any{"relations": list}, &made); err != nil {
			return err
		}
		g.done.Links += int64(len(made.Relations))
		g.done.Duplicates += int64(len(list) - len(made.Relations))
		tell(g.done)
		return nil
	}
	for part := range slices.Chunk(g.relation, graphRelations) {
		if create(part) == nil {
			continue
		}
		for _, r := range part {
			if err := create([]graphRelation{r}); err != nil {
				return g.at(r.line, err)
			}
		}
	}
	return nil
}

func (g *graphImport) at(line int64, err error) error {
	what, hint, _ := explain(err)
	if hint == "" {
		hint = "correct the line and import again: what was imported is skipped"
	}
	return failed(fmt.Sprintf("import: line %d: %s", line, what), hint, nil)
}
