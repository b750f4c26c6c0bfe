package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"engram-mcp/examples/agents"
	"engram-mcp/sandbox"
)

// A starter is what a new agent in a language begins with.
type starter struct {
	name, title string
	files       [][2]string // where they lie among the examples, and in a new agent
	edits       []string    // pairs: what is written there, and what here; NAME is the agent's
	needs       string      // to build it
	build       string      // empty if it runs as it is written
}

// interpreted are the edits that make of the shared files those of an agent
// which is a program in one file and needs no building.
func interpreted(runtime, file string) []string {
	return []string{`"runtime": "wasm"`, `"runtime": "` + runtime + `"`, "agent.wasm", file,
		"sh build.sh                                            # makes agent.wasm\n", ""}
}

// shared is what agents in every language but WebAssembly text begin with.
var shared = [][2]string{{"starter/agent.json", "agent.json"}, {"starter/examples.json", "examples.json"}, {"starter/README.md", "README.md"}}

var starters = []starter{
	{
		name: "go", title: "Go",
		files: append([][2]string{{"go/starter/main.go", "main.go"}, {"go/engram/engram.go", "engram/engram.go"}}, shared...),
		edits: []string{`"engram-mcp/examples/agents/go/engram"`, `"NAME/engram"`},
		needs: "Go 1.24 or newer",
		build: "GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w' -o agent.wasm .",
	},
	{
		name: "rust", title: "Rust",
		files: append([][2]string{{"rust/starter/agent.rs", "agent.rs"}, {"rust/engram.rs", "engram.rs"}}, shared...),
		edits: []string{`"../engram.rs"`, `"engram.rs"`},
		needs: "Rust 1.63 or newer with its target (rustup target add wasm32-unknown-unknown); LINKER names another linker than its own",
		build: `"${RUSTC:-rustc}" --target wasm32-unknown-unknown --edition 2021 -C opt-level=s -C codegen-units=1 -C lto -C panic=abort -C strip=symbols ${LINKER:+-C linker=$LINKER -C linker-flavor=wasm-ld} -C link-arg=-zstack-size=131072 -C link-arg=--stack-first -o agent.wasm agent.rs`,
	},
	{
		name: "c", title: "C",
		files: append([][2]string{{"c/starter/agent.c", "agent.c"}, {"c/engram.h", "engram.h"}}, shared...),
		edits: []string{`"../engram.h"`, `"engram.h"`},
		needs: "clang with the target wasm32, and wasm-ld (Debian: clang, lld); CLANG names another clang",
		build: `"${CLANG:-clang}" --target=wasm32 -Os -std=c11 -Wall -Wextra -ffreestanding -mbulk-memory -nostdlib -Wl,--no-entry -Wl,--strip-all -o agent.wasm agent.c`,
	},
	{
		name: "assemblyscript", title: "AssemblyScript",
		files: append([][2]string{{"assemblyscript/starter/agent.ts", "agent.ts"}, {"assemblyscript/engram.ts", "engram.ts"}}, shared...),
		edits: []string{`"../engram"`, `"./engram"`},
		needs: "Node 20 or newer; ASC names an asc that is installed",
		build: "${ASC:-npx --yes --package assemblyscript@0.28.20 asc} agent.ts -O --runtime minimal --use abort= -o agent.wasm",
	},
	{
		name: "js", title: "JavaScript",
		files: append([][2]string{{"js/starter/main.js", "main.js"}}, shared...),
		edits: interpreted("js", "main.js"),
	},
	{
		name: "lua", title: "Lua",
		files: append([][2]string{{"lua/starter/main.lua", "main.lua"}}, shared...),
		edits: interpreted("lua", "main.lua"),
	},
	{
		name: "wat", title: "WebAssembly text",
		files: [][2]string{{"wat/save/save.wat", "agent.wat"}, {"wat/save/agent.json", "agent.json"}, {"wat/save/examples.json", "examples.json"}, {"starter/README.md", "README.md"}},
		edits: []string{`"name": "save"`, `"name": "NAME"`, "save.wasm", "agent.wasm", ";; save:", ";; NAME:"},
		needs: "wat2wasm of WABT (Debian: wabt)",
		build: "wat2wasm -o agent.wasm agent.wat",
	},
}

func languageNames() string {
	names := make([]string, len(starters))
	for i, l := range starters {
		names[i] = l.name
	}
	return strings.Join(names, ", ")
}

func newAgentNew(a *app) *cobra.Command {
	var lang string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the beginning of an agent",
		Long: `Write a folder with an agent that works: its source, the memory's tools as
functions of its language in one file, its manifest, its examples, and build.sh,
which builds it with one command. Agents in JavaScript and Lua need no building.`,
		Example: "  engram-mcp agent new tidy-notes --lang go",
		Args:    exactly(1, "name the agent"),
		RunE: func(_ *cobra.Command, args []string) error {
			i := slices.IndexFunc(starters, func(l starter) bool { return l.name == lang })
			if i < 0 {
				return usage("there is no language "+lang, "choose one of "+languageNames())
			}
			return a.newAgent(args[0], &starters[i])
		},
	}
	cmd.Flags().StringVar(&lang, "lang", "go", "write it in `LANGUAGE`: "+languageNames())
	return cmd
}

func (a *app) newAgent(name string, l *starter) error {
	files, err := l.project(name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return failed(name+" is there already", "choose another name, or move it away", nil)
	}
	written := []string{}
	for _, f := range files {
		to := filepath.Join(name, filepath.FromSlash(f.name))
		err := os.MkdirAll(filepath.Dir(to), 0o755)
		if err == nil {
			err = os.WriteFile(to, []byte(f.text), f.mode)
		}
		if err != nil {
			return failed(to+" cannot be written", "check that this folder is yours", err)
		}
		written = append(written, f.name)
	}
	if a.json {
		return a.encode(map[string]any{"agent": name, "language": l.name, "files": written})
	}
	p := a.printer()
	p.linef("%s  %s", p.bold(name), p.dim("in "+l.title+": "+strings.Join(written, ", ")))
	if l.build != "" {
		p.linef("  sh %s/build.sh  %s", name, p.dim("needs "+l.needs))
	}
	p.linef("  engram-mcp agent verify %s", name)
	p.linef("  engram-mcp agent install %s", name)
	return p.flush()
}

// A projectFile is one file of a new agent.
type projectFile struct {
	name, text string
	mode       fs.FileMode
}

// project is the files of a new agent.
func (l *starter) project(name string) ([]projectFile, error) {
	edit := strings.NewReplacer(append(slices.Clone(l.edits), "starter", "NAME")...)
	named := func(text string) string { return strings.ReplaceAll(edit.Replace(text), "NAME", name) }
	var list []projectFile
	for _, f := range l.files {
		raw, err := agents.Files.ReadFile(f[0])
		if err != nil {
			return nil, err // a mistake in the table above
		}
		text := string(raw)
		if !strings.HasPrefix(path.Base(f[1]), "engram.") { // the tools are the same for every agent
			text = named(text)
		}
		if f[1] == "agent.json" {
			if _, err := sandbox.ParseManifest([]byte(text)); err != nil {
				return nil, err
			}
		}
		list = append(list, projectFile{f[1], text, 0o644})
	}
	if l.name == "go" {
		list = append(list, projectFile{"go.mod", "module " + name + "\n\ngo 1.24\n", 0o644})
	}
	if l.build == "" {
		return list, nil
	}
	script := fmt.Sprintf("#!/bin/sh\n# Builds agent.wasm. Needs %s.\nset -eu\ncd \"$(dirname \"$0\")\"\n%s\n", l.needs, l.build)
	return append(list, projectFile{"build.sh", script, 0o755}), nil
}
