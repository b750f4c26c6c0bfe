package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// newRoot returns the command line.
func newRoot(a *app) *cobra.Command {
	cobra.EnableCommandSorting = false
	root := &cobra.Command{
		Use:   "engram-mcp",
		Short: "A memory for LLM agents, served over MCP",
		Long: `A memory for LLM agents, served over MCP.

Without arguments it serves MCP on stdin and stdout when they are piped, and
says what there is on a terminal.`,
		Example: `  engram-mcp install claude                    let Claude Code remember
  engram-mcp add "Ada prefers tea"             remember by hand
  engram-mcp search what does Ada drink        find by words and by meaning`,
		Args:          none,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if isTerminal(a.in) {
				return a.welcome(cmd.Context())
			}
			return a.serveStdio(cmd.Context())
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.resolve(cmd) },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	a.bindGlobal(root.PersistentFlags())
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON")
	root.PersistentFlags().BoolP("help", "h", false, "show help")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err.Error(), "see '"+cmd.CommandPath()+" --help'")
	})
	root.SetUsageTemplate(usageTemplate)
	root.AddGroup(
		&cobra.Group{ID: "memory", Title: "Remember and recall"},
		&cobra.Group{ID: "serve", Title: "Serve"},
		&cobra.Group{ID: "care", Title: "Look after the memory"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("memory", newAdd(a), newSearch(a), newGet(a), newLink(a), newHistory(a), newForget(a), newCall(a))
	add("serve", newServe(a), newInstall(a))
	add("serve", newDemo(a))
	add("care", newStats(a), newSpace(a), newAgent(a), newExport(a), newImport(a), newBackup(a), newRestore(a), newDoctor(a), newVersion(a))
	root.SetHelpCommandGroupID("care")
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		c.Hidden = c.Hidden || c.Name() == "help" // it works, and --help is enough to know
	}
	return root
}

// usageTemplate lists commands by group, a command's own flags, and the global
// ones once, at the root.
const usageTemplate = `{{if .HasExample}}{{.Example}}

{{end}}Usage: {{if and .HasParent .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{- if .HasAvailableSubCommands}}{{$all := .Commands}}{{range $group := .Groups}}

{{.Title}}:{{range $all}}{{if (and (eq .GroupID $group.ID) .IsAvailableCommand)}}
  {{rpad .Name 9}} {{.Short}}{{end}}{{end}}{{end}}{{if not .AllChildCommandsHaveGroup}}
{{range $all}}{{if (and (eq .GroupID "") .IsAvailableCommand)}}
  {{rpad .Name 9}} {{.Short}}{{end}}{{end}}{{end}}{{end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 100 | trimTrailingWhitespaces}}{{end}}
{{- if .HasParent}}

Global flags are listed by 'engram-mcp --help'.{{else}}

Every flag of a setting can be set by the variable in brackets too, or in the
configuration file, a TOML file with the names of the flags as keys.
'engram-mcp COMMAND --help' tells more of a command.{{end}}
`

// none, exactly and atLeast check the number of arguments.
func none(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasParent() {
		return usage("'"+cmd.CommandPath()+"' takes no arguments", "see '"+cmd.CommandPath()+" --help'")
	}
	return unknownCommand(cmd, args[0])
}

func unknownCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2
	hint := "see '" + cmd.CommandPath() + " --help'"
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = "did you mean '" + cmd.CommandPath() + " " + strings.Join(near, "' or '"+cmd.CommandPath()+" ") + "'? " + hint
	}
	return usage("there is no command "+name, hint)
}

func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(what, "see '"+cmd.CommandPath()+" --help'")
		}
		return nil
	}
}

func atMost(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage(what, "see '"+cmd.CommandPath()+" --help'")
		}
		return nil
	}
}

func between(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least {
			return atLeast(least, what)(cmd, args)
		}
		return atMost(most, what)(cmd, args)
	}
}

func atLeast(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usage(what, "see '"+cmd.CommandPath()+" --help'")
		}
		return nil
	}
}

// isTerminal reports whether a person is at the other end of a stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// note tells a person something beside the data.
func (a *app) note(text string) { fmt.Fprintln(a.err, text) }
