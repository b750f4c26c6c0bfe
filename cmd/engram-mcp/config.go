package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"engram-mcp/memory"
)

// settings are what flags, variables and the configuration file decide, in
// this order. A setting is a flag; its variable is ENGRAM_ and its name, and
// its key in the file is its name.
type settings struct {
	config   string
	data     string
	space    string
	agent    string
	readOnly bool

	embedder   string
	embedURL   string
	embedModel string
	embedDim   int

	durability string
	tools      []string
	quota      memory.Quota

	http         string
	noAuth       bool
	allowHosts   []string
	allowOrigins []string
	rate         float64
	audit        string
	tlsCert      string
	tlsKey       string
	issuers      []string
	publicURL    string
	audiences    []string
	spaceClaim   string
}

// settingKey marks the flags that are settings.
const settingKey = "setting"

// variables are the names of settings that are not ENGRAM_ and the flag's name.
var variables = map[string]string{"data": "ENGRAM_DATA_DIR"}

func variable(flag string) string {
	if name, ok := variables[flag]; ok {
		return name
	}
	return "ENGRAM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// mark makes flags settings, and says in their help which variable sets them.
func mark(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		f := flags.Lookup(name)
		f.Annotations = map[string][]string{settingKey: nil}
		f.Usage += " [" + variable(name) + "]"
	}
}

func (a *app) bindGlobal(flags *pflag.FlagSet) {
	s := &a.settings
	flags.StringVar(&s.config, "config", "", "read settings from this TOML `FILE` [ENGRAM_CONFIG]")
	flags.StringVar(&s.data, "data", dataDir(), "keep the memory in this `DIR`")
	flags.StringVar(&s.space, "space", "default", "use the space of this `NAME`")
	flags.StringVar(&s.agent, "agent", "", "act under this `NAME`")
	flags.BoolVar(&s.readOnly, "read-only", false, "change nothing")
	flags.StringVar(&s.embedder, "embedder", "static", "find by meaning with static (built in), openai, ollama or none: a `KIND`")
	flags.StringVar(&s.embedURL, "embed-url", "", "`URL` of the embedding server")
	flags.StringVar(&s.embedModel, "embed-model", "", "`NAME` of its model")
	flags.IntVar(&s.embedDim, "embed-dim", 0, "dimension `N` of its vectors")
	mark(flags, "data", "space", "agent", "read-only", "embedder", "embed-url", "embed-model", "embed-dim")
}

// resolve fills in the settings that are not on the command line.
func (a *app) resolve(cmd *cobra.Command) error {
	file, from, err := a.readConfig(cmd.Root())
	if err != nil {
		return err
	}
	flags := cmd.Flags()
	flags.VisitAll(func(f *pflag.Flag) {
		if _, ok := f.Annotations[settingKey]; !ok || f.Changed || err != nil {
			return
		}
		value, given, where := os.Getenv(variable(f.Name)), false, variable(f.Name)
		if given = value != ""; !given {
			value, given = file[f.Name]
			where = f.Name + " in " + from
		}
		if given {
			if bad := flags.Set(f.Name, value); bad != nil {
				err = usage(where+": "+bad.Error(), "correct it, or take it away")
			}
		}
	})
	if err != nil {
		return err
	}
	return a.check()
}

// check refuses settings that cannot be meant.
func (s *settings) check() error {
	switch {
	case s.data == "":
		return usage("there is no data directory", "name one with --data or ENGRAM_DATA_DIR")
	case !memory.ValidSpace(s.space):
		return usage("the space cannot be called "+s.space, `use lower-case letters, digits, "-", "_" and ".", at most 64`)
	case !slices.Contains([]string{"", string(memory.Full), string(memory.Normal)}, s.durability):
		return usage("there is no durability "+s.durability, "use full or normal")
	case !slices.Contains([]string{"static", "openai", "ollama", "none"}, s.embedder):
		return usage("there is no embedder "+s.embedder, "use static, openai, ollama or none")
	}
	var err error
	s.data, err = filepath.Abs(s.data)
	return err
}

// readConfig reads the configuration file: its values as text, by flag.
func (a *app) readConfig(root *cobra.Command) (values map[string]string, path string, err error) {
	path, named := a.config, true
	if path == "" {
		path = os.Getenv("ENGRAM_CONFIG")
	}
	if path == "" {
		named = false
		if path = configFile(); path == "" {
			return nil, "", nil
		}
	}
	var table map[string]any
	_, err = toml.DecodeFile(path, &table)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil, path, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, path, usage("there is no configuration file "+path, "correct --config or ENGRAM_CONFIG")
	case err != nil:
		return nil, path, &problem{what: "the configuration file " + path + " cannot be read", hint: "correct it, or choose another with --config", kind: errUsage, err: err}
	}
	known := settingNames(root)
	values = map[string]string{}
	for key, v := range table {
		if !slices.Contains(known, key) {
			return nil, path, usage("there is no setting "+key+" ("+path+")", "the settings are "+strings.Join(known, ", "))
		}
		values[key] = settingText(v)
	}
	return values, path, nil
}

// settingNames lists the settings of all commands.
func settingNames(root *cobra.Command) []string {
	names := map[string]bool{}
	collect := func(f *pflag.Flag) {
		if _, ok := f.Annotations[settingKey]; ok {
			names[f.Name] = true
		}
	}
	root.PersistentFlags().VisitAll(collect)
	for _, c := range root.Commands() {
		c.LocalFlags().VisitAll(collect)
	}
	return slices.Sorted(maps.Keys(names))
}

// settingText is a value of the configuration file as a flag takes it.
func settingText(v any) string {
	if list, ok := v.([]any); ok {
		texts := make([]string, len(list))
		for i, item := range list {
			texts[i] = fmt.Sprint(item)
		}
		return strings.Join(texts, ",")
	}
	return fmt.Sprint(v)
}
