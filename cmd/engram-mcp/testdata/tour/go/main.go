//go:build wasip1

package main

import (
	"encoding/json"
	"errors"
	"time"

	"tour/engram"
)

func main() {}

//go:wasmexport tool_tour
func toolTour() int32 { return engram.Act(tour) }

//go:wasmexport tool_denied
func toolDenied() int32 { return engram.Act(denied) }

//go:wasmexport tool_text
func toolText() int32 { return engram.Act(text) }

//go:wasmexport tool_fails
func toolFails() int32 { return engram.Act(fails) }

//go:wasmexport tool_hook
func toolHook() int32 { return engram.Act(hook) }

type object = map[string]any

func tour(struct{}) (object, error) {
	var failed error
	check := func(err error) { failed = errors.Join(failed, err) }

	hits, err := engram.Search(engram.Query{Query: "tea", Limit: 1, Tags: []string{"drink"}, After: time.Date(2020, 1, 31, 0, 0, 0, 0, time.UTC)})
	check(err)
	made, err := engram.Create(engram.New{Content: "Ben prefers \"coffee\"\n", Kind: "preference", Confidence: 0.75, Tags: []string{"drink", "hot"},
		Metadata: object{"page": 12}, Context: "kitchen"})
	check(err)
	if failed != nil || len(hits) != 1 || len(made) != 1 {
		return nil, errors.Join(failed, errors.New("search or create"))
	}
	check(engram.Link(engram.Edge{From: made[0].ID, To: hits[0].ID, Relation: "unlike", Weight: 0.25}))
	got, err := engram.Get(made[0].ID)
	check(err)
	changed, err := engram.Update(made[0].ID, object{"content": "Ben prefers water"})
	check(err)
	around, edges, err := engram.Graph(hits[0].ID, 1)
	check(err)
	check(engram.Forget(made[0].ID))
	left, err := engram.Get(made[0].ID)
	check(err)
	check(engram.SetGlobals(object{"n": 7}))
	var globals struct{ N int }
	check(engram.Globals(&globals))
	var config struct {
		Word string
		Deep struct{ N int }
		None *int
	}
	check(engram.Config(&config))
	for level := int32(engram.Debug); level <= engram.Severe; level++ {
		engram.Log(level, "level %d", level)
	}
	engram.Progress(1, 2, "half")
	if failed != nil || len(got) != 1 || len(got[0].Links) != 1 {
		return nil, errors.Join(failed, errors.New("get"))
	}
	e := got[0]
	var metadata struct{ Page int }
	check(json.Unmarshal(e.Metadata, &metadata))
	return object{"found": hits[0].Content, "scored": hits[0].Score > 0, "content": e.Content, "tags": e.Tags, "confidence": e.Confidence, "kind": e.Kind,
		"context": e.Context, "page": metadata.Page, "relation": e.Links[0].Relation, "weight": e.Links[0].Weight, "around": len(around) + 1, "edges": len(edges) + 1,
		"version": changed.Version, "changed": changed.Content, "left": len(left), "globals": globals.N, "word": config.Word, "deep": config.Deep.N,
		"nothing": config.None == nil, "time": engram.Deadline().After(time.Now()), "fuel": engram.FuelLeft() > 0}, failed
}

func denied(struct{}) (object, error) {
	err := engram.Call("engram_history", object{"id": "x"}, nil)
	var refused *engram.Error
	if !errors.As(err, &refused) {
		return nil, err
	}
	return object{"code": refused.Code, "message": refused.Message}, nil
}

func text(in struct {
	Text   string  `json:"text"`
	Number float64 `json:"number"`
}) (any, error) {
	return in, nil
}

func fails(struct{}) (any, error) { return nil, errors.New(`no "such" thing`) }

func hook(h engram.Hook) (engram.Answer, error) {
	switch {
	case h.Result != nil:
		return engram.Answer{Result: h.Result}, nil
	case h.Tool == "engram_update":
		return engram.Answer{Refuse: "no"}, nil
	}
	return engram.Answer{Args: h.Args}, nil
}
