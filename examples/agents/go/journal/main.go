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
	"fmt"
	"strings"
)

func main() {}

//go:wasmexport tool_write
func write() int32 {
	return finish(add())
}

func add() (any, error) {
	var p struct{ Text string }
	if err := input(&p); err != nil {
		return nil, err
	}
	if p.Text = strings.TrimSpace(p.Text); p.Text == "" {
		return nil, errors.New("text is empty")
	}
	var g struct {
		N int `json:"n"`
	}
	if err := call("globals_get", struct{}{}, &g); err != nil {
		return nil, err
	}
	g.N++
	if err := call("globals_set", g, &struct{}{}); err != nil {
		return nil, err
	}
	var made struct{ Engrams []struct{ ID string } }
	err := call("engram_create", map[string]any{
		"content": p.Text, "kind": "entry", "context": "journal", "metadata": map[string]int{"n": g.N},
	}, &made)
	if err != nil {
		return nil, err
	}
	if len(made.Engrams) != 1 {
		return nil, fmt.Errorf("engram_create made %d engrams", len(made.Engrams))
	}
	return map[string]any{"n": g.N, "id": made.Engrams[0].ID}, nil
}
