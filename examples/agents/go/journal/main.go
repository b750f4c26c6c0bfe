//go:build wasip1

// Command journal is an agent that keeps a numbered journal.
//
//	write: {"text": "Met Anna."} -> {"n": 7, "id": "…"}
//
// The number lives in the agent's globals, which take effect together with
// the engram, or not at all.
package main

import (
	"errors"
	"strings"

	"engram-mcp/examples/agents/go/engram"
)

func main() {}

//go:wasmexport tool_write
func write() int32 { return engram.Act(add) }

type entry struct {
	ID string `json:"id"`
	N  int    `json:"n"`
}

func add(p struct{ Text string }) (entry, error) {
	if p.Text = strings.TrimSpace(p.Text); p.Text == "" {
		return entry{}, errors.New("text is empty")
	}
	var g struct {
		N int `json:"n"`
	}
	if err := engram.Globals(&g); err != nil {
		return entry{}, err
	}
	g.N++
	if err := engram.SetGlobals(g); err != nil {
		return entry{}, err
	}
	made, err := engram.Create(engram.New{Content: p.Text, Kind: "entry", Context: "journal", Metadata: map[string]int{"n": g.N}})
	if err != nil {
		return entry{}, err
	}
	return entry{made[0].ID, g.N}, nil
}
