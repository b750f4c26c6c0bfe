//go:build wasip1

// Command starter is an agent that remembers notes and keeps secrets out.
package main

import (
	"encoding/json"
	"errors"
	"strings"

	"engram-mcp/examples/agents/go/engram"
)

func main() {}

//go:wasmexport tool_note
func toolNote() int32 { return engram.Act(note) }

//go:wasmexport tool_check
func toolCheck() int32 { return engram.Act(check) }

// config is that of the manifest.
type config struct{ Kind, Refuse string }

// globals are what the agent remembers between calls.
type globals struct {
	Notes int `json:"notes"`
}

type noted struct {
	ID        string `json:"id"`
	Number    int    `json:"number"`
	Resembles string `json:"resembles,omitempty"`
}

// note remembers a text and links it to the memory that it resembles most.
func note(in struct{ Text string }) (noted, error) {
	text := strings.TrimSpace(in.Text)
	if text == "" {
		return noted{}, errors.New("text is empty")
	}
	var c config
	if err := engram.Config(&c); err != nil {
		return noted{}, err
	}
	hits, err := engram.Search(engram.Query{Query: text, Limit: 1})
	if err != nil {
		return noted{}, err
	}
	made, err := engram.Create(engram.New{Content: text, Kind: c.Kind})
	if err != nil {
		return noted{}, err
	}
	out := noted{ID: made[0].ID}
	if len(hits) > 0 && hits[0].ID != out.ID {
		out.Resembles = hits[0].ID
		if err := engram.Link(engram.Edge{From: out.ID, To: out.Resembles, Relation: "resembles", Weight: 0.5}); err != nil {
			return noted{}, err
		}
	}
	var g globals
	if err := engram.Globals(&g); err != nil {
		return noted{}, err
	}
	g.Notes++
	out.Number = g.Notes
	engram.Log(engram.Info, "note %d", g.Notes)
	return out, engram.SetGlobals(g)
}

// check is a hook: it sees what is about to be remembered and may refuse it.
func check(h engram.Hook) (engram.Answer, error) {
	var c config
	if err := engram.Config(&c); err != nil {
		return engram.Answer{}, err
	}
	var args struct{ Engrams []engram.New }
	if err := json.Unmarshal(h.Args, &args); err != nil {
		return engram.Answer{}, err
	}
	for _, e := range args.Engrams {
		if strings.Contains(e.Content, c.Refuse) {
			return engram.Answer{Refuse: "it holds the word " + c.Refuse}, nil
		}
	}
	return engram.Answer{}, nil
}
