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
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
	"engram-mcp/tools/transport"
)

// A server over HTTP has a token of its own, in a file of the data directory or
// in a variable, and any number of further ones. Of those, a file each in the
// folder tokens holds the hash, and who has the token: the space, the name and
// the rights. A file is made or not, and removed or not, so that nothing is
// lost when two do it at once; a server looks once a second (see door.go).

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
	ExpiresAt time.Time `json:"expires_at,omitzero"` // the zero time is never
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
	var expires string
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a token, and print it this once", Args: exactly(1, "name the token"),
		Example: "  engram-mcp token create ci --space work --rights read\n  engram-mcp token create ada --agent ada --expires 90d",
		RunE:    func(_ *cobra.Command, args []string) error { return a.createToken(args[0], rights, expires) },
	}
	create.Flags().StringVar(&expires, "expires", "", "make it invalid at this `TIME`: 12h, 30d, or a date")
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

func (a *app) createToken(name string, rights []string, expires string) error {
	if !ticketName.MatchString(name) {
		return usage("a token cannot be called "+name, `use lower-case letters, digits, "-", "_" and ".", at most 64`)
	}
	for _, r := range rights {
		if tokenRights[r] == 0 {
			return usage("there is no right "+r, "the rights are read, write and admin")
		}
	}
	now := time.Now().UTC().Truncate(time.Second)
	end, err := expiry(expires, now)
	if err != nil {
		return err
	}
	secret := randomToken()
	hash := transport.HashToken(secret)
	t := ticket{Name: name, Hash: hex.EncodeToString(hash[:]), Space: a.space, Agent: cmp.Or(a.agent, name), Rights: rights, CreatedAt: now, ExpiresAt: end}
	raw, err := json.MarshalIndent(t, "", "  ")
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
		about := map[string]any{"name": name, "token": secret, "space": t.Space, "agent": t.Agent, "rights": rights}
		if !end.IsZero() {
			about["expires_at"] = end
		}
		return a.encode(about)
	}
	p := a.printer()
	p.linef("%s", secret)
	a.note("it is not shown again; send it in the header Authorization: Bearer TOKEN")
	return p.flush()
}

// expiry is the time that somebody means by what they gave.
func expiry(given string, now time.Time) (end time.Time, err error) {
	if given == "" {
		return end, nil
	}
	if days, found := strings.CutSuffix(given, "d"); found {
		var n int
		if n, err = strconv.Atoi(days); err == nil {
			end = now.AddDate(0, 0, n)
		}
	} else if span, bad := time.ParseDuration(given); bad == nil {
		end = now.Add(span)
	} else if end, err = time.Parse(time.DateOnly, given); err != nil {
		end, err = time.Parse(time.RFC3339, given)
	}
	if err != nil || !end.After(now) {
		return end, usage("a token cannot expire at "+given, "use a time that is to come, like 12h, 30d, 2030-01-31 or 2030-01-31T12:00:00Z")
	}
	return end.UTC(), nil
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
		p.linef("%s %s in %s, %s  %s", p.bold(fmt.Sprintf("%-16s", t.Name)), t.Agent, t.Space, strings.Join(t.Rights, " "), p.dim("since "+day(t.CreatedAt)+t.end()))
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

// expired reports whether the token is invalid by now.
func (t ticket) expired() bool { return !t.ExpiresAt.IsZero() && !time.Now().Before(t.ExpiresAt) }

// end says when the token becomes invalid, if it does.
func (t ticket) end() string {
	switch {
	case t.ExpiresAt.IsZero():
		return ""
	case t.expired():
		return ", expired"
	}
	return ", until " + day(t.ExpiresAt)
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
