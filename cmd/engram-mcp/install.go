package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// serverName is what clients call this server.
const serverName = "engram"

// A client is a program that engram-mcp can be installed into.
type client struct {
	name  string
	title string
	// file is its configuration, or "" where it has no certain place; it need
	// not exist.
	file func() string
	// set puts a server into the text of the configuration. It returns nil
	// when that is there already.
	set func(config []byte, s entry) ([]byte, error)
	// command is the client's own way to take in a server, if it has one.
	command func(s entry) []string
	// print is the configuration for a person to paste.
	print func(s entry) string
}

// An entry is how a client reaches the memory: by starting a program, or at a
// URL with a token.
type entry struct {
	command string
	args    []string
	url     string
	token   string
}

var clients = []client{
	{
		name: "claude", title: "Claude Code",
		command: func(s entry) []string {
			if s.url != "" {
				return append([]string{"claude", "mcp", "add", "--scope", "user", "--transport", "http", serverName, s.url}, s.header("--header")...)
			}
			return append([]string{"claude", "mcp", "add", "--scope", "user", serverName, "--", s.command}, s.args...)
		},
	},
	{
		name: "claude-desktop", title: "Claude Desktop",
		file: func() string {
			switch runtime.GOOS {
			case "darwin":
				return under(home(), "Library", "Application Support", "Claude", "claude_desktop_config.json")
			case "windows":
				return under(os.Getenv("AppData"), "Claude", "claude_desktop_config.json")
			}
			return "" // there is no official one
		},
		set:   setJSON("mcpServers", entry.json),
		print: printJSON("mcpServers", entry.json),
	},
	{
		name: "cursor", title: "Cursor",
		file:  func() string { return under(home(), ".cursor", "mcp.json") },
		set:   setJSON("mcpServers", entry.json),
		print: printJSON("mcpServers", entry.json),
	},
	{
		name: "vscode", title: "VS Code",
		command: func(s entry) []string { return []string{"code", "--add-mcp", s.named()} },
		print:   printJSON("servers", entry.typed),
	},
	{
		name: "codex", title: "Codex",
		file: func() string {
			return under(cmp.Or(os.Getenv("CODEX_HOME"), under(home(), ".codex")), "config.toml")
		},
		set:   setTOML,
		print: entry.toml,
	},
}

func clientNames() string {
	names := make([]string, len(clients))
	for i, c := range clients {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

func home() string {
	dir, _ := os.UserHomeDir() // a client without a place is printed
	return dir
}

func newInstall(a *app) *cobra.Command {
	var show bool
	var url string
	cmd := &cobra.Command{
		Use:   "install CLIENT",
		Short: "Set up a client: " + clientNames(),
		Long: `Set up a client to use this memory. What its configuration holds otherwise is
left as it is, and a copy of it is kept beside it, with the ending .bak. Where
the client has a command of its own for this, that is run. With --print nothing
is changed, and what would be is shown.

The settings that are given here, or by variables, are those that the client
will use, such as the data directory, the space and the name to act under. With --url it connects to a server that runs
already, with the token of the data directory or of ENGRAM_TOKEN.`,
		Example: "  engram-mcp install claude\n  engram-mcp install cursor --space work --agent cursor\n  engram-mcp install vscode --print",
		Args:    exactly(1, "name a client: "+clientNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			i := slices.IndexFunc(clients, func(c client) bool { return c.name == args[0] })
			if i < 0 {
				return usage("there is no client "+args[0], "the clients are "+clientNames()+"; others take a command: engram-mcp serve")
			}
			s, err := a.entry(cmd, url)
			if err != nil {
				return err
			}
			return a.install(cmd.Context(), clients[i], s, show)
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "show what would be done, and do nothing")
	cmd.Flags().StringVar(&url, "url", "", "connect to the server at `URL`, such as http://127.0.0.1:7077/mcp")
	return cmd
}

// entry is how a client will reach the memory that the settings name.
func (a *app) entry(cmd *cobra.Command, url string) (s entry, err error) {
	if url != "" {
		s.url = url
		if s.token = os.Getenv(tokenVariable); s.token == "" {
			s.token, err = a.token()
		}
		return s, err
	}
	if s.command, err = os.Executable(); err != nil {
		return s, failed("this program does not know where it lies", "write its path into the client's configuration by hand", err)
	}
	s.args = []string{"serve"}
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if _, ok := f.Annotations[settingKey]; !ok || !f.Changed {
			return
		}
		value := f.Value.String()
		if f.Name == "data" {
			value = a.data // absolute: a client starts it from anywhere
		}
		s.args = append(s.args, "--"+f.Name+"="+value)
	})
	return s, nil
}

func (a *app) install(ctx context.Context, c client, s entry, show bool) error {
	if c.command != nil {
		return a.runClient(ctx, c, s, show)
	}
	path := ""
	if c.file != nil {
		path = c.file()
	}
	if show || path == "" {
		if path == "" && !show {
			a.note("where " + c.title + " keeps its configuration here is not certain: add this to it")
		} else {
			a.note("for " + path + ":")
		}
		_, err := fmt.Fprintln(a.out, c.print(s))
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(path+" cannot be read", "'engram-mcp install "+c.name+" --print' shows what to add to it", err)
	}
	text, err := c.set(old, s)
	if err != nil {
		return failed(path+" is not understood, so it was left alone", "add this to it:\n"+c.print(s), err)
	}
	if text == nil {
		return a.done(c.title+" is set up already ("+path+")", map[string]any{"client": c.name, "file": path, "changed": false})
	}
	if err := replaceFile(path, old, text); err != nil {
		return failed(path+" cannot be written", "'engram-mcp install "+c.name+" --print' shows what to add to it", err)
	}
	return a.done(c.title+" is set up ("+path+"); start it anew to see the tools of "+serverName, map[string]any{"client": c.name, "file": path, "changed": true})
}

// runClient lets the client's own command take the server in.
func (a *app) runClient(ctx context.Context, c client, s entry, show bool) error {
	words := c.command(s)
	_, missing := exec.LookPath(words[0])
	if show || missing != nil {
		if !show {
			a.note("there is no program " + words[0] + " on the PATH; where it is, run:")
		}
		fmt.Fprintln(a.out, shellLine(words))
		if c.print != nil {
			a.note("or add this to its configuration, such as .vscode/mcp.json of a folder:")
			fmt.Fprintln(a.out, c.print(s))
		}
		return nil
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return failed(c.title+" refused: "+strings.TrimSpace(string(out)), "run it yourself: "+shellLine(words), err)
	}
	return a.done(c.title+" is set up; start it anew to see the tools of "+serverName, map[string]any{"client": c.name, "changed": true})
}

// replaceFile writes a configuration in one step, and keeps the old one. It
// writes through a link, as people keep such files in a repository.
func replaceFile(path string, old, text []byte) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	mode := fs.FileMode(0o600) // it may hold a token
	if old != nil {
		if info, err := os.Stat(path); err == nil {
			mode = info.Mode().Perm()
		}
		if err := os.WriteFile(path+".bak", old, mode); err != nil {
			return err
		}
	}
	part := path + ".part"
	if err := os.WriteFile(part, text, mode); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// shellLine is a command as a person can paste it into a shell.
func shellLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n\"'$&|;<>()*?`\\{}[]~#") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}

// The configurations of clients.

func (s entry) header(flag string) []string {
	if s.token == "" {
		return nil
	}
	return []string{flag, "Authorization: Bearer " + s.token}
}

// json is the entry as most clients have it.
func (s entry) json() object {
	if s.url == "" {
		return object{{"command", s.command}, {"args", s.args}}
	}
	o := object{{"url", s.url}}
	if s.token != "" {
		o = append(o, member{"headers", object{{"Authorization", "Bearer " + s.token}}})
	}
	return o
}

// typed is the entry as VS Code has it.
func (s entry) typed() object {
	kind := "stdio"
	if s.url != "" {
		kind = "http"
	}
	return append(object{{"type", kind}}, s.json()...)
}

// named is the entry with its name in it, on one line.
func (s entry) named() string {
	raw, _ := append(object{{"name", serverName}}, s.typed()...).MarshalJSON() // strings cannot fail
	return string(raw)
}

func printJSON(key string, of func(entry) object) func(entry) string {
	return func(s entry) string {
		return string(object{{key, object{{serverName, of(s)}}}}.indented())
	}
}

// setJSON puts an entry below a key of a JSON object, and keeps the order of
// all else.
func setJSON(key string, of func(entry) object) func([]byte, entry) ([]byte, error) {
	return func(config []byte, s entry) ([]byte, error) {
		top, err := parseObject(config)
		if err != nil {
			return nil, err
		}
		servers, err := top.object(key)
		if err != nil {
			return nil, err
		}
		if known, ok := servers.get(serverName); ok && sameJSON(known, of(s)) {
			return nil, nil
		}
		text := append(top.with(key, servers.with(serverName, of(s))).indented(), '\n')
		return text, nil
	}
}

func (s entry) toml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[mcp_servers.%s]\n", serverName)
	if s.url != "" {
		fmt.Fprintf(&b, "url = %q\n", s.url)
		if s.token != "" {
			fmt.Fprintf(&b, "http_headers = { Authorization = %q }\n", "Bearer "+s.token)
		}
		return b.String()
	}
	args := make([]string, len(s.args))
	for i, a := range s.args {
		args[i] = fmt.Sprintf("%q", a)
	}
	fmt.Fprintf(&b, "command = %q\nargs = [%s]\n", s.command, strings.Join(args, ", "))
	return b.String()
}

// setTOML adds a table at the end of a TOML file. It does not change one that
// is there, as that could lose what else a person wrote into it.
func setTOML(config []byte, s entry) ([]byte, error) {
	var table struct {
		Servers map[string]any `toml:"mcp_servers"`
	}
	if err := toml.Unmarshal(config, &table); err != nil {
		return nil, err
	}
	if known, ok := table.Servers[serverName]; ok {
		var wanted struct {
			Servers map[string]any `toml:"mcp_servers"`
		}
		if err := toml.Unmarshal([]byte(s.toml()), &wanted); err != nil {
			return nil, err
		}
		if fmt.Sprint(known) == fmt.Sprint(wanted.Servers[serverName]) {
			return nil, nil
		}
		return nil, errors.New("it has another mcp_servers." + serverName + " already")
	}
	text := bytes.TrimRight(config, "\n")
	if len(text) > 0 {
		text = append(text, "\n\n"...)
	}
	text = append(text, s.toml()...)
	return text, toml.Unmarshal(text, &table)
}
