package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
	"engram-mcp/tools"
)

func newCall(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "call [TOOL [JSON | -]]",
		Short: "Call any tool with JSON, or list the tools",
		Long: `Call a tool with a JSON object of arguments, or with the one that is read from
stdin if there is a dash in its place, and print the JSON of its answer.
Without a tool it lists the tools.`,
		Example: `  engram-mcp call engram_search '{"query": "tea", "limit": 3}'
  engram-mcp call engram_create - < engrams.json`,
		Args: atMost(2, "give a tool and its arguments as one JSON object"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asOwner(cmd.Context(), func(ctx context.Context, e *engine) error {
				if len(args) == 0 {
					shown, err := e.set.ByProfile(tools.ProfileAll)
					if err != nil {
						return err
					}
					return a.listTools(shown.Tools(ctx))
				}
				in := json.RawMessage("{}")
				if len(args) == 2 {
					var err error
					if in, err = a.argument(args[1]); err != nil {
						return err
					}
				}
				out, err := e.set.Call(ctx, args[0], in)
				if err != nil {
					return err
				}
				return a.printJSON(out)
			})
		},
	}
}

// argument is the arguments of a call, from the command line or from stdin.
func (a *app) argument(text string) (json.RawMessage, error) {
	if text != "-" {
		return json.RawMessage(text), nil
	}
	raw, err := io.ReadAll(io.LimitReader(a.in, tools.MaxArguments+1)) // the tool refuses what is too long
	if err != nil {
		return nil, failed("stdin cannot be read", "", err)
	}
	return raw, nil
}

// listTools prints the tools with the first sentence of what they say.
func (a *app) listTools(list []tools.Tool) error {
	if a.json {
		type entry struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			InputSchema json.RawMessage `json:"input_schema"`
		}
		entries := make([]entry, len(list))
		for i, t := range list {
			entries[i] = entry{t.Name, t.Description, t.In}
		}
		return a.encode(map[string]any{"tools": entries})
	}
	p := a.printer()
	for _, t := range list {
		first, _, _ := strings.Cut(t.Description, ". ")
		p.linef("%s  %s", p.bold(fmt.Sprintf("%-18s", t.Name)), p.fit(strings.TrimSuffix(first, ".")+".", 20))
	}
	return p.flush()
}

// call runs a tool with the arguments in and decodes its answer into out. With
// --json the answer is printed instead, and shown is true.
func (a *app) call(ctx context.Context, e *engine, tool string, in, out any) (shown bool, err error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return false, err
	}
	answer, err := e.set.Call(ctx, tool, raw)
	if err != nil {
		return false, err
	}
	if a.json {
		if err := a.printJSON(answer); err != nil {
			return true, err
		}
	}
	return a.json, json.Unmarshal(answer, out)
}

// printJSON prints an answer: indented for a person, on one line for a program.
func (a *app) printJSON(raw json.RawMessage) error {
	var b bytes.Buffer
	b.Write(raw)
	if isTerminal(a.out) {
		b.Reset()
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return err
		}
	}
	b.WriteByte('\n')
	_, err := a.out.Write(b.Bytes())
	return err
}

// encode prints a value as printJSON does.
func (a *app) encode(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return a.printJSON(bytes.TrimSpace(b.Bytes()))
}

// hit is an engram as a search or a walk shows it.
type hit = memory.Hit
