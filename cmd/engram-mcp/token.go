package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
	"engram-mcp/tools/transport"
)

// A server over HTTP has a token of its own, in a file of the data directory or
// in a variable, and any number of further ones. Of those, a file each in the
// folder tokens holds the hash, and who has the token: the space, the name and
// the rights. A file is made or not, and removed or not, so that nothing is
// lost when two do it at once; a server looks once a second.

const (
	tokenVariable = "ENGRAM_TOKEN"
	minToken      = 22 // characters of base64 that hold 128 bits
	tokenReload   = time.Second
)

// A ticket is what is kept of a further token.
type ticket struct {
	Name      string    `json:"name"`
	Hash      string    `json:"hash"`
	Space     string    `json:"space"`
	Agent     string    `json:"agent"`
	Rights    []string  `json:"rights"`
	CreatedAt time.Time `json:"created_at"`
}

var tokenRights = map[string]memory.Rights{"read": memory.Read, "write": memory.Write, "admin": memory.Admin}

func newToken(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Give out and take back tokens of the server",
		Long: `A server over HTTP has one token of its own. Further ones admit others to a
space of theirs, under a name of theirs, with as many rights as they need. A
running server knows a new one, and forgets a revoked one, within a second.`,
		Args: oneOfItsCommands,
		RunE: func(*cobra.Command, []string) error { return nil }, // Args refuses all
	}
	var rights []string
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a token, and print it this once", Args: exactly(1, "name the token"),
		Example: "  engram-mcp token create ci --space work --rights read\n  engram-mcp token create ada --agent ada",
		RunE:    func(_ *cobra.Command, args []string) error { return a.createToken(args[0], rights) },
	}
	create.Flags().StringSliceVar(&rights, "rights", []string{"read", "write"}, "`RIGHTS`: read, write, admin")
	cmd.AddCommand(create,
		&cobra.Command{
			Use: "list", Short: "List the tokens", Args: none,
			RunE: func(*cobra.Command, []string) error { return a.listTokens() },
		},
		&cobra.Command{
			Use: "revoke NAME", Short: "Take a token back", Args: exactly(1, "name one token"),
			RunE: func(_ *cobra.Command, args []string) error { return a.revokeToken(args[0]) },
		},
	)
	return cmd
}

var ticketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func (s *settings) ticketFile(name string) string {
	return filepath.Join(s.data, "tokens", name+".json")
}

func (a *app) createToken(name string, rights []string) error {
	if !ticketName.MatchString(name) {
		return usage("a token cannot be called "+name, `use lower-case letters, digits, "-", "_" and ".", at most 64`)
	}
	for _, r := range rights {
		if tokenRights[r] == 0 {
			return usage("there is no right "+r, "the rights are read, write and admin")
		}
	}
	secret := randomToken()
	hash := transport.HashToken(secret)
	raw, err := json.MarshalIndent(ticket{Name: name, Hash: hex.EncodeToString(hash[:]), Space: a.space, Agent: cmp.Or(a.agent, name), Rights: rights, CreatedAt: time.Now().UTC().Truncate(time.Second)}, "", "  ")
	if err != nil {
		return err
	}
	switch err := writeOnce(a.ticketFile(name), append(raw, '\n')); {
	case errors.Is(err, fs.ErrExist):
		return failed("there is a token "+name, "choose another name, or revoke it first", nil)
	case err != nil:
		return failed("the token cannot be kept", "check that the data directory is yours", err)
	}
	if a.json {
		return a.encode(map[string]any{"name": name, "token": secret, "space": a.space, "agent": cmp.Or(a.agent, name), "rights": rights})
	}
	p := a.printer()
	p.linef("%s", secret)
	a.note("it is not shown again; send it in the header Authorization: Bearer TOKEN")
	return p.flush()
}

func (a *app) listTokens() error {
	list, err := a.tickets()
	if err != nil {
		return err
	}
	if a.json {
		for i := range list {
			list[i].Hash = ""
		}
		return a.encode(map[string]any{"tokens": list})
	}
	p := a.printer()
	for _, t := range list {
		p.linef("%s %s in %s, %s  %s", p.bold(fmt.Sprintf("%-16s", t.Name)), t.Agent, t.Space, strings.Join(t.Rights, " "), p.dim("since "+day(t.CreatedAt)))
	}
	if len(list) == 0 {
		a.note("there is none beside the server's own")
	}
	return p.flush()
}

func (a *app) revokeToken(name string) error {
	err := fs.ErrNotExist
	if ticketName.MatchString(name) {
		err = os.Remove(a.ticketFile(name))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failed("there is no token "+name, "'engram-mcp token list' shows what there is", nil)
	case err != nil:
		return failed("the token cannot be revoked", "check that the data directory is yours", err)
	}
	return a.done("revoked the token "+name, map[string]any{"revoked": name})
}

// tickets reads the further tokens, by name.
func (s *settings) tickets() (list []ticket, err error) {
	files, _ := filepath.Glob(s.ticketFile("*")) // the pattern is right
	slices.Sort(files)
	list = []ticket{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) { // revoked this moment
			continue
		}
		var t ticket
		if err == nil {
			err = json.Unmarshal(raw, &t)
		}
		if err != nil {
			return nil, failed(file+" cannot be read", "correct it, or remove it to revoke that token", err)
		}
		t.Name = strings.TrimSuffix(filepath.Base(file), ".json")
		list = append(list, t)
	}
	return list, nil
}

// identity is who has the token; at most is what a server grants anybody.
func (t ticket) identity(atMost memory.Rights) (hash transport.TokenHash, id transport.Identity, err error) {
	raw, err := hex.DecodeString(t.Hash)
	if err != nil || len(raw) != len(hash) || !memory.ValidSpace(t.Space) {
		return hash, id, failed("the token "+t.Name+" is damaged", "revoke it, and make a new one", err)
	}
	who := memory.Principal{Space: t.Space, Name: t.Agent, Trust: memory.TrustAgent}
	for _, r := range t.Rights {
		who.Rights |= tokenRights[r] & atMost
	}
	return transport.TokenHash(raw), identity("token "+t.Name, who), nil
}

// identity is a principal as the transport knows it.
func identity(key string, who memory.Principal) transport.Identity {
	return transport.Identity{Key: key, Context: func(ctx context.Context) context.Context { return memory.WithPrincipal(ctx, who) }}
}

// A door lets in whoever has a token.
type door struct {
	settings *settings
	log      *slog.Logger
	atMost   memory.Rights
	hash     transport.TokenHash     // of the server's own token
	id       transport.Identity      // of whoever has that
	own      transport.Authenticator // by the server's own token alone

	mu     sync.Mutex
	loaded time.Time
	any    transport.Authenticator
}

// newDoor makes the door of a server, and says where its own token is found.
func (a *app) newDoor(who memory.Principal, log *slog.Logger) (d *door, where string, err error) {
	d = &door{settings: &a.settings, log: log, atMost: memory.Read | memory.Write | memory.Admin, id: identity("server", who)}
	if a.readOnly {
		d.atMost = memory.Read
	}
	if a.noAuth {
		d.own = func(*http.Request) (transport.Identity, error) { return d.id, nil }
		return d, "none: everyone on this machine may call", nil
	}
	token, where := os.Getenv(tokenVariable), tokenVariable
	if token == "" {
		where = a.tokenFile()
		if token, err = a.token(); err != nil {
			return nil, "", err
		}
	}
	if len(token) < minToken {
		return nil, "", usage("the token in "+where+" is too short to be safe", fmt.Sprintf("use at least %d random characters, or delete it to get a new one", minToken))
	}
	d.hash = transport.HashToken(token)
	d.own = transport.BearerTokens(map[transport.TokenHash]transport.Identity{d.hash: d.id})
	return d, where, d.load()
}

// load reads the further tokens.
func (d *door) load() error {
	d.loaded = time.Now()
	list, err := d.settings.tickets()
	if err != nil {
		return err
	}
	all := map[transport.TokenHash]transport.Identity{}
	for _, t := range list {
		hash, id, err := t.identity(d.atMost)
		if err != nil {
			return err
		}
		all[hash] = id
	}
	all[d.hash] = d.id // nobody takes its place
	d.any = transport.BearerTokens(all)
	return nil
}

// authenticate admits who has the server's token or a further one.
func (d *door) authenticate(r *http.Request) (transport.Identity, error) {
	if d.settings.noAuth {
		return d.own(r)
	}
	d.mu.Lock()
	if time.Since(d.loaded) > tokenReload {
		if err := d.load(); err != nil {
			what, _, _ := explain(err)
			d.log.Error("the tokens cannot be read; only the server's own is taken", "err", what)
			d.any = d.own
		}
	}
	check := d.any
	d.mu.Unlock()
	return check(r)
}

func (s *settings) tokenFile() string { return filepath.Join(s.data, "token") }

// token returns the token of this data directory, and makes one the first time.
// Of several first starts one makes it.
func (s *settings) token() (string, error) {
	const hint = "check that the data directory is yours, or give a token in " + tokenVariable
	known, err := readToken(s.tokenFile())
	if errors.Is(err, fs.ErrNotExist) {
		if s.readOnly {
			return "", failed("there is no token, and --read-only makes none", "give one in "+tokenVariable+", or start once without --read-only", nil)
		}
		if err := writeOnce(s.tokenFile(), []byte(randomToken()+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", failed("the token cannot be written", hint, err)
		}
		known, err = readToken(s.tokenFile())
	}
	if err != nil {
		return "", failed("the token cannot be read", hint, err)
	}
	return known, nil
}

func randomToken() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return "engram_" + base64.RawURLEncoding.EncodeToString(secret)
}

func readToken(path string) (string, error) {
	raw, err := os.ReadFile(path)
	return strings.TrimSpace(string(raw)), err
}

// writeOnce makes a file that only the owner may read. It
// appears whole, and never takes the place of another: then the error is
// fs.ErrExist.
func writeOnce(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	_, err = part.Write(text)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	if err = os.Link(part.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // a disk without links
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}
