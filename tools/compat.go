package tools

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"engram-mcp/memory"
)

// The compat profile speaks the nine tools of the knowledge-graph memory
// server that most clients have met (modelcontextprotocol/servers, src/memory)
// with its names, arguments and answers, over the same store as everything else:
//
//	entity       an engram of kind entity in the context of its name; content
//	             is "name (entityType)", both are in metadata
//	observation  an engram of kind observation in that context, after it,
//	             with the name as its source
//	relation     a link between two entities, its relation the relationType
//
// so that the other tools see an entity as what it is: a context with its
// statements in order, linked with others. A name or relationType that is too
// long for a context or a relation is replaced there by its hash and kept
// whole in metadata.
const (
	kindEntity      = "entity"
	kindObservation = "observation"
)

// Compat returns the nine tools.
func Compat(open Opener) []Tool {
	g := func(t Tool) Tool {
		t.Profile = ProfileCompat
		t.Needs = memory.Read
		if !t.ReadOnly {
			t.Needs |= memory.Write
		}
		return t
	}
	return []Tool{
		New(g(Tool{Name: "create_entities", Title: "Create entities", Idempotent: true,
			Description: "Add entities with their observations to the knowledge graph. Names that exist already are skipped."}), on(open, createEntities)),
		New(g(Tool{Name: "create_relations", Title: "Create relations", Idempotent: true,
			Description: "Add relations between existing entities, in active voice. Relations that exist already are skipped."}), on(open, createRelations)),
		New(g(Tool{Name: "add_observations", Title: "Add observations", Idempotent: true,
			Description: "Add observations to existing entities. Those that an entity has already are skipped."}), on(open, addObservations)),
		New(g(Tool{Name: "delete_entities", Title: "Delete entities", Destructive: true, Idempotent: true,
			Description: "Remove entities with their observations and relations."}), on(open, deleteEntities)),
		New(g(Tool{Name: "delete_observations", Title: "Delete observations", Destructive: true, Idempotent: true,
			Description: "Remove single observations from entities."}), on(open, deleteObservations)),
		New(g(Tool{Name: "delete_relations", Title: "Delete relations", Destructive: true, Idempotent: true,
			Description: "Remove relations between entities."}), on(open, deleteRelations)),
		New(g(Tool{Name: "read_graph", Title: "Read the graph", Quotes: true, ReadOnly: true, Idempotent: true,
			Description: "Read the whole knowledge graph. It may be large: prefer search_nodes."}), on(open, readGraph)),
		New(g(Tool{Name: "search_nodes", Title: "Search entities", Quotes: true, ReadOnly: true, Idempotent: true,
			Description: "Find entities by words and meaning in their names, types and observations, best first, with their relations."}), on(open, searchNodes)),
		New(g(Tool{Name: "open_nodes", Title: "Open entities", Quotes: true, ReadOnly: true, Idempotent: true,
			Description: "Read entities by name, with their relations."}), on(open, openNodes)),
	}
}

type entity struct {
	Name         string   `json:"name" alias:"entityName,entity_name"`
	EntityType   string   `json:"entityType" alias:"entity_type,type" eg:"\"person\""`
	Observations []string `json:"observations" alias:"contents"`
}

type relation struct {
	From         string `json:"from" alias:"source"`
	To           string `json:"to" alias:"target"`
	RelationType string `json:"relationType" alias:"relation_type,type,relation" eg:"\"works_at\""`
}

type knowledge struct {
	Entities  []entity   `json:"entities"`
	Relations []relation `json:"relations"`
}

type done struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

// A node is an entity as it is stored.
type node struct {
	id           string
	name         string
	kind         string
	observations []memory.Engram
}

func (n *node) entity() entity {
	e := entity{n.name, n.kind, []string{}}
	for _, o := range n.observations {
		e.Observations = append(e.Observations, o.Content)
	}
	return e
}

// label is s where a short name must do, or its hash if s is no short name.
func label(s string) string {
	if strings.TrimSpace(s) != "" && len(s) <= memory.MaxName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

type entityFacts struct {
	Name       string `json:"name"`
	EntityType string `json:"entityType"`
}

type relationFacts struct {
	RelationType string `json:"relationType,omitempty"`
}

func (e entity) changes() ([]memory.Change, error) {
	facts, err := marshal(entityFacts{e.Name, e.EntityType})
	if err != nil {
		return nil, err
	}
	head := memory.Create{Kind: kindEntity, Content: e.Name, Context: label(e.Name), Metadata: facts}
	if e.EntityType != "" {
		head.Content += " (" + e.EntityType + ")"
	}
	changes := []memory.Change{head}
	for _, o := range e.Observations {
		changes = append(changes, observation(e.Name, o))
	}
	return changes, nil
}

func observation(name, content string) memory.Create {
	return memory.Create{Kind: kindObservation, Content: content, Context: label(name), Source: label(name)}
}

// pages calls f with every engram that q selects, newest first.
func pages(ctx context.Context, s *memory.Store, filter memory.Filter, f func(memory.Engram)) error {
	q := memory.Query{Filter: filter, Limit: memory.MaxPage}
	for {
		found, err := s.Search(ctx, q)
		if err != nil {
			return err
		}
		for _, h := range found.Hits {
			f(h.Engram)
		}
		if q.Cursor = found.Cursor; q.Cursor == "" {
			return nil
		}
	}
}

// nodes are the entities that filter selects, oldest first, each name once,
// without observations.
func nodes(ctx context.Context, s *memory.Store, filter memory.Filter) ([]*node, error) {
	filter.Kind = kindEntity
	var all []*node
	err := pages(ctx, s, filter, func(e memory.Engram) {
		var facts entityFacts
		if json.Unmarshal(e.Metadata, &facts) == nil && facts.Name != "" {
			all = append(all, &node{id: e.ID, name: facts.Name, kind: facts.EntityType})
		}
	})
	slices.Reverse(all)
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(n *node) bool {
		twice := seen[n.name]
		seen[n.name] = true
		return twice
	}), err
}

// lookup finds entities by name; those that are not there are not in the map.
func lookup(ctx context.Context, s *memory.Store, names ...string) (map[string]*node, error) {
	found := map[string]*node{}
	for _, name := range names {
		if found[name] != nil {
			continue
		}
		list, err := nodes(ctx, s, memory.Filter{Context: label(name)})
		if err != nil {
			return nil, err
		}
		for _, n := range list {
			if n.name == name {
				found[name] = n
			}
		}
	}
	return found, nil
}

// must is lookup of names that all have to be there.
func must(ctx context.Context, s *memory.Store, names ...string) (map[string]*node, error) {
	found, err := lookup(ctx, s, names...)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if found[name] == nil {
			return nil, &memory.Error{Kind: memory.ErrNotFound, Ref: "entity with name " + quote(name),
				Hint: "create it with create_entities first; search_nodes finds how it is spelt"}
		}
	}
	return found, nil
}

// observe fills the observations of one node, oldest first.
func (n *node) observe(ctx context.Context, s *memory.Store) error {
	n.observations = nil
	err := pages(ctx, s, memory.Filter{Context: label(n.name), Kind: kindObservation}, func(e memory.Engram) { n.observations = append(n.observations, e) })
	slices.Reverse(n.observations)
	return err
}

// links are the links from and to the nodes, in the order of the nodes, each
// once.
func links(ctx context.Context, s *memory.Store, list []*node) ([]memory.Link, error) {
	var all []memory.Link
	seen := map[[3]string]bool{}
	for part := range slices.Chunk(list, memory.MaxPage) {
		ids := make([]string, len(part))
		for i, n := range part {
			ids[i] = n.id
		}
		engrams, _, err := s.Get(ctx, ids, memory.GetOptions{Links: true})
		if err != nil {
			return nil, err
		}
		for _, e := range engrams {
			for _, l := range e.Links {
				if key := [3]string{l.From, l.To, l.Relation}; !seen[key] {
					seen[key] = true
					all = append(all, l)
				}
			}
		}
	}
	return all, nil
}

// relations are the links of the nodes as relations between entities; links to
// what is no entity are left out.
func relations(ctx context.Context, s *memory.Store, list []*node) ([]relation, error) {
	all, err := links(ctx, s, list)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, n := range list {
		names[n.id] = n.name
	}
	if err := nameEnds(ctx, s, all, names); err != nil {
		return nil, err
	}
	out := []relation{}
	for _, l := range all {
		if from, to := names[l.From], names[l.To]; from != "" && to != "" {
			out = append(out, relation{from, to, relationType(l)})
		}
	}
	return out, nil
}

// nameEnds adds to names those of the entities at the far ends of links.
func nameEnds(ctx context.Context, s *memory.Store, all []memory.Link, names map[string]string) error {
	var unknown []string
	for _, l := range all {
		for _, id := range []string{l.From, l.To} {
			if _, ok := names[id]; !ok {
				names[id] = ""
				unknown = append(unknown, id)
			}
		}
	}
	for part := range slices.Chunk(unknown, memory.MaxPage) {
		engrams, _, err := s.Get(ctx, part, memory.GetOptions{})
		if err != nil {
			return err
		}
		for _, e := range engrams {
			var facts entityFacts
			if e.Kind == kindEntity && json.Unmarshal(e.Metadata, &facts) == nil {
				names[e.ID] = facts.Name
			}
		}
	}
	return nil
}

func relationType(l memory.Link) string {
	var facts relationFacts
	if json.Unmarshal(l.Metadata, &facts) == nil && facts.RelationType != "" {
		return facts.RelationType
	}
	return l.Relation
}

// knowledgeOf are the nodes with their observations and relations.
func knowledgeOf(ctx context.Context, s *memory.Store, list []*node) (knowledge, error) {
	k := knowledge{Entities: []entity{}}
	for _, n := range list {
		k.Entities = append(k.Entities, n.entity())
	}
	var err error
	k.Relations, err = relations(ctx, s, list)
	return k, err
}

type entitiesIn struct {
	Entities []entity `json:"entities" show:"flat" items:"1000"`
}

type entitiesOut struct {
	Entities []entity `json:"entities"`
}

func createEntities(ctx context.Context, s *memory.Store, in entitiesIn) (entitiesOut, error) {
	names := make([]string, len(in.Entities))
	for i, e := range in.Entities {
		names[i] = e.Name
	}
	have, err := lookup(ctx, s, names...)
	if err != nil {
		return entitiesOut{}, err
	}
	fresh := []entity{}
	var changes []memory.Change
	for _, e := range in.Entities {
		if have[e.Name] != nil {
			continue
		}
		have[e.Name] = &node{}
		more, err := e.changes()
		if err != nil {
			return entitiesOut{}, err
		}
		fresh, changes = append(fresh, e), append(changes, more...)
	}
	return entitiesOut{fresh}, doSome(ctx, s, changes)
}

// doSome makes changes if there are any.
func doSome(ctx context.Context, s *memory.Store, changes []memory.Change) error {
	if len(changes) == 0 {
		return nil
	}
	_, err := do(ctx, s, "", changes)
	return err
}

type relationsIn struct {
	Relations []relation `json:"relations" show:"flat" items:"1000"`
}

type relationsOut struct {
	Relations []relation `json:"relations"`
}

// existing finds the entities at both ends of the relations, and which of the
// relations there are.
func existing(ctx context.Context, s *memory.Store, list []relation, find func(context.Context, *memory.Store, ...string) (map[string]*node, error)) (map[string]*node, map[relation]bool, error) {
	var names []string
	for _, r := range list {
		names = append(names, r.From, r.To)
	}
	found, err := find(ctx, s, names...)
	if err != nil {
		return nil, nil, err
	}
	var sources []*node
	for _, r := range list {
		if n := found[r.From]; n != nil && !slices.Contains(sources, n) {
			sources = append(sources, n)
		}
	}
	all, err := relations(ctx, s, sources)
	have := map[relation]bool{}
	for _, r := range all {
		have[r] = true
	}
	return found, have, err
}

func createRelations(ctx context.Context, s *memory.Store, in relationsIn) (relationsOut, error) {
	found, have, err := existing(ctx, s, in.Relations, must)
	if err != nil {
		return relationsOut{}, err
	}
	fresh := []relation{}
	var changes []memory.Change
	for _, r := range in.Relations {
		if have[r] {
			continue
		}
		have[r] = true
		l := memory.Link{From: found[r.From].id, To: found[r.To].id, Relation: label(r.RelationType), Weight: 1}
		if l.Relation != r.RelationType {
			if l.Metadata, err = marshal(relationFacts{r.RelationType}); err != nil {
				return relationsOut{}, err
			}
		}
		fresh, changes = append(fresh, r), append(changes, memory.SetLink{Link: l})
	}
	return relationsOut{fresh}, doSome(ctx, s, changes)
}

func deleteRelations(ctx context.Context, s *memory.Store, in relationsIn) (done, error) {
	found, have, err := existing(ctx, s, in.Relations, lookup)
	if err != nil {
		return done{}, err
	}
	var changes []memory.Change
	for _, r := range in.Relations {
		if have[r] {
			delete(have, r)
			changes = append(changes, memory.Unlink{From: found[r.From].id, To: found[r.To].id, Relation: label(r.RelationType)})
		}
	}
	message := "Relations deleted successfully"
	if len(changes) < len(in.Relations) {
		message = fmt.Sprintf("Deleted %d of %d relations; the others do not exist", len(changes), len(in.Relations))
	}
	return done{true, message}, doSome(ctx, s, changes)
}

type addIn struct {
	Observations []struct {
		EntityName string   `json:"entityName" alias:"entity_name,name,entity"`
		Contents   []string `json:"contents" alias:"content,observations,observation"`
	} `json:"observations" show:"flat" items:"1000"`
}

type added struct {
	EntityName        string   `json:"entityName"`
	AddedObservations []string `json:"addedObservations"`
}

type addOut struct {
	Results []added `json:"results"`
}

func addObservations(ctx context.Context, s *memory.Store, in addIn) (addOut, error) {
	var names []string
	var changes []memory.Change
	for _, o := range in.Observations {
		names = append(names, o.EntityName)
		for _, content := range o.Contents {
			changes = append(changes, observation(o.EntityName, content))
		}
	}
	if _, err := must(ctx, s, names...); err != nil {
		return addOut{}, err
	}
	var results []memory.Result
	var err error
	if len(changes) > 0 {
		if results, err = do(ctx, s, "", changes); err != nil {
			return addOut{}, err
		}
	}
	out := addOut{Results: []added{}}
	for _, o := range in.Observations {
		a := added{o.EntityName, []string{}}
		for _, content := range o.Contents {
			if !results[0].Duplicate {
				a.AddedObservations = append(a.AddedObservations, content)
			}
			results = results[1:]
		}
		out.Results = append(out.Results, a)
	}
	return out, nil
}

type deleteEntitiesIn struct {
	EntityNames []string `json:"entityNames" items:"1000" alias:"entity_names,names,entityName,name"`
}

func deleteEntities(ctx context.Context, s *memory.Store, in deleteEntitiesIn) (done, error) {
	found, err := lookup(ctx, s, in.EntityNames...)
	if err != nil {
		return done{}, err
	}
	var changes []memory.Change
	var missing []string
	deleted := map[string]bool{}
	for _, name := range in.EntityNames {
		n := found[name]
		if n == nil {
			missing = append(missing, name)
			continue
		}
		if deleted[name] {
			continue
		}
		deleted[name] = true
		if err := n.observe(ctx, s); err != nil {
			return done{}, err
		}
		for _, o := range n.observations {
			changes = append(changes, memory.Forget{ID: o.ID})
		}
		changes = append(changes, memory.Forget{ID: n.id})
	}
	// More than one mutation can hold is forgotten in several. A repeat of the
	// call finishes what broke off, because an entity goes after all it has.
	for part := range slices.Chunk(changes, memory.MaxBatch) {
		if err := doSome(ctx, s, part); err != nil {
			return done{}, err
		}
	}
	message := "Entities deleted successfully"
	if len(missing) > 0 {
		message = fmt.Sprintf("Deleted %d of %d entities. Not found: %s", len(deleted), len(in.EntityNames), strings.Join(missing, ", "))
	}
	return done{true, message}, nil
}

type deleteObservationsIn struct {
	Deletions []struct {
		EntityName   string   `json:"entityName" alias:"entity_name,name,entity"`
		Observations []string `json:"observations" alias:"contents,observation"`
	} `json:"deletions" show:"flat" items:"1000"`
}

func deleteObservations(ctx context.Context, s *memory.Store, in deleteObservationsIn) (done, error) {
	var changes []memory.Change
	asked := 0
	for _, d := range in.Deletions {
		asked += len(d.Observations)
		found, err := lookup(ctx, s, d.EntityName)
		if err != nil {
			return done{}, err
		}
		n := found[d.EntityName]
		if n == nil {
			continue
		}
		if err := n.observe(ctx, s); err != nil {
			return done{}, err
		}
		for _, o := range n.observations {
			if slices.Contains(d.Observations, o.Content) {
				changes = append(changes, memory.Forget{ID: o.ID})
			}
		}
	}
	message := "Observations deleted successfully"
	if len(changes) < asked {
		message = fmt.Sprintf("Deleted %d of %d observations; the others do not exist", len(changes), asked)
	}
	return done{true, message}, doSome(ctx, s, changes)
}

// readGraph reads everything in three passes: entities, observations, links.
func readGraph(ctx context.Context, s *memory.Store, _ struct{}) (knowledge, error) {
	list, err := wholeGraph(ctx, s)
	if err != nil {
		return knowledge{}, err
	}
	return knowledgeOf(ctx, s, list)
}

func wholeGraph(ctx context.Context, s *memory.Store) ([]*node, error) {
	list, err := nodes(ctx, s, memory.Filter{})
	if err != nil {
		return nil, err
	}
	byContext := make(map[string]*node, len(list))
	for _, n := range list {
		byContext[label(n.name)] = n
	}
	err = pages(ctx, s, memory.Filter{Kind: kindObservation}, func(e memory.Engram) {
		if n := byContext[e.Context]; n != nil {
			n.observations = append(n.observations, e)
		}
	})
	for _, n := range list {
		slices.Reverse(n.observations)
	}
	return list, err
}

type searchNodesIn struct {
	Query string `json:"query" alias:"q,text,search"`
}

// maxNodes is how many entities a search shows.
const maxNodes = 50

func searchNodes(ctx context.Context, s *memory.Store, in searchNodesIn) (knowledge, error) {
	names, err := bestNames(ctx, s, in.Query)
	if err != nil {
		return knowledge{}, err
	}
	list, err := opened(ctx, s, names)
	if err != nil {
		return knowledge{}, err
	}
	if len(list) == 0 { // a part of a word, as that server searches
		all, err := wholeGraph(ctx, s)
		if err != nil {
			return knowledge{}, err
		}
		part := strings.ToLower(in.Query)
		list = slices.DeleteFunc(all, func(n *node) bool {
			e := n.entity()
			return !slices.ContainsFunc(append(e.Observations, e.Name, e.EntityType), func(s string) bool { return strings.Contains(strings.ToLower(s), part) })
		})
		list = list[:min(len(list), maxNodes)]
	}
	return knowledgeOf(ctx, s, list)
}

// bestNames are the labels of the entities that are found by themselves or by
// an observation, best first.
func bestNames(ctx context.Context, s *memory.Store, query string) ([]string, error) {
	if strings.TrimSpace(query) == "" {
		return nil, nil
	}
	var hits []memory.Hit
	for _, kind := range []string{kindEntity, kindObservation} {
		found, err := s.Search(ctx, memory.Query{Text: query, Filter: memory.Filter{Kind: kind}, Limit: maxNodes})
		if err != nil {
			return nil, err
		}
		hits = append(hits, found.Hits...)
	}
	slices.SortStableFunc(hits, func(a, b memory.Hit) int { return cmp.Compare(b.Score, a.Score) })
	var names []string
	for _, h := range hits {
		if !slices.Contains(names, h.Context) {
			names = append(names, h.Context)
		}
	}
	return names[:min(len(names), maxNodes)], nil
}

// opened are the nodes in the contexts called labels, with observations.
func opened(ctx context.Context, s *memory.Store, labels []string) ([]*node, error) {
	var list []*node
	for _, l := range labels {
		found, err := nodes(ctx, s, memory.Filter{Context: l})
		if err != nil {
			return nil, err
		}
		for _, n := range found {
			if err := n.observe(ctx, s); err != nil {
				return nil, err
			}
			list = append(list, n)
		}
	}
	return list, nil
}

type openNodesIn struct {
	Names []string `json:"names" items:"1000" alias:"name,entityNames,entity_names"`
}

func openNodes(ctx context.Context, s *memory.Store, in openNodesIn) (knowledge, error) {
	labels := make([]string, 0, len(in.Names))
	for _, name := range in.Names {
		if l := label(name); !slices.Contains(labels, l) {
			labels = append(labels, l)
		}
	}
	list, err := opened(ctx, s, labels)
	if err != nil {
		return knowledge{}, err
	}
	return knowledgeOf(ctx, s, list)
}
