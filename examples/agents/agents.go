// Package agents holds the example agents, and what new ones begin with: for
// each language that is compiled one file that makes the memory's tools
// functions, and for each language one agent that uses them. The command line embeds these files and no others, so what a
// new agent begins with is what is tested here.
package agents

import "embed"

// Files are the starting points of new agents, by their paths in this folder.
//
//go:embed starter go/engram go/starter c/engram.h c/starter assemblyscript/engram.ts assemblyscript/starter wat/save/agent.json wat/save/examples.json wat/save/save.wat rust/engram.rs rust/starter js/starter lua/starter
var Files embed.FS
