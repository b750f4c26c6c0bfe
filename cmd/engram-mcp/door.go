package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"engram-mcp/memory"
	"engram-mcp/tools/transport"
)

// A door lets in whoever has a token: the server's own, a further one, or one
// that a configured issuer has signed.
type door struct {
	settings *settings
	log      *slog.Logger
	atMost   memory.Rights
	secret   []byte                  // shared by servers with the same token of their own; nil without one
	hash     transport.TokenHash     // of the server's own token
	id       transport.Identity      // of whoever has that
	own      transport.Authenticator // by the server's own token alone
	issued   transport.Authenticator // by tokens of issuers; nil if there are none

	mu     sync.Mutex
	loaded time.Time
	any    transport.Authenticator // by the server's own token and the further ones
}

// newDoor makes the door of a server, and says where its own token is found.
func (a *app) newDoor(who memory.Principal, log *slog.Logger) (d *door, where string, err error) {
	d = &door{settings: &a.settings, log: log, atMost: memory.Read | memory.Write | memory.Admin, id: identity("server", who)}
	if a.readOnly {
		d.atMost = memory.Read
	}
	if d.issued, err = d.newIssued(); err != nil {
		return nil, "", err
	}
	if a.noAuth {
		if d.issued != nil {
			return nil, "", usage("--no-auth lets everyone in, and --issuer does not", "leave one of them out")
		}
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
	secret := sha256.Sum256([]byte("session ids of engram-mcp, token " + token))
	d.secret, d.hash = secret[:], transport.HashToken(token)
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
		if t.expired() {
			continue
		}
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

// authenticate admits who has a token.
func (d *door) authenticate(r *http.Request) (transport.Identity, error) {
	if d.settings.noAuth {
		return d.own(r)
	}
	who, err := d.known()(r)
	if refused, ok := errors.AsType[*transport.AuthError](err); ok && refused.Reason == transport.InvalidToken && d.issued != nil {
		return d.issued(r)
	}
	return who, err
}

// known checks the tokens that are kept here, as they are now.
func (d *door) known() transport.Authenticator {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.loaded) > tokenReload {
		if err := d.load(); err != nil {
			what, _, _ := explain(err)
			d.log.Error("the tokens cannot be read; only the server's own is taken", "err", what)
			d.any = d.own
		}
	}
	return d.any
}

// The scopes of a JSON Web Token that give rights. One does not imply another.
var scopeRights = map[string]memory.Rights{"engram:read": memory.Read, "engram:write": memory.Write, "engram:admin": memory.Admin}

// newIssued takes tokens of the issuers that the settings name, if any.
func (d *door) newIssued() (transport.Authenticator, error) {
	s := d.settings
	if len(s.issuers) == 0 {
		return nil, nil
	}
	if s.publicURL == "" {
		return nil, usage("--issuer needs the address that its tokens are made for", "give it with --public-url, such as https://memory.example/mcp")
	}
	audiences := s.audiences
	if len(audiences) == 0 {
		audiences = []string{s.publicURL}
	}
	a, err := transport.JWTTokens(transport.JWTOptions{Issuers: s.issuers, Audiences: audiences, Identify: d.identify})
	if err != nil {
		return nil, usage(err.Error(), "write an issuer as it stands in the claim iss of its tokens, like https://login.example")
	}
	return a, nil
}

// identify is who has a token of an issuer. A name is the subject and the
// issuer, so that neither two issuers nor a further token have the same.
func (d *door) identify(c transport.Claims) (transport.Identity, error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil {
		return transport.Identity{}, err
	}
	who := memory.Principal{
		Space: d.settings.space, Trust: memory.TrustAgent,
		Name: c.Subject + "@" + issuer.Host + strings.TrimSuffix(issuer.Path, "/"),
	}
	if len(who.Name) > memory.MaxName || strings.ContainsFunc(who.Name, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return transport.Identity{}, &transport.AuthError{Reason: transport.InvalidToken, Err: errors.New("the subject cannot be a name")}
	}
	for _, scope := range c.Scopes {
		who.Rights |= scopeRights[scope] & d.atMost
	}
	if who.Rights == 0 {
		return transport.Identity{}, forbidden("the token of %s has none of the scopes", who.Name)
	}
	if claim := d.settings.spaceClaim; claim != "" {
		if who.Space = c.Text(claim); !memory.ValidSpace(who.Space) {
			return transport.Identity{}, forbidden("the token of %s has no space in its claim %s", who.Name, claim)
		}
	}
	return identity("issued "+who.Name, who), nil
}

func forbidden(format string, args ...any) error {
	return &transport.AuthError{Status: http.StatusForbidden, Reason: transport.InsufficientScope, Scope: "engram:read engram:write", Err: fmt.Errorf(format, args...)}
}

// resource is what clients without a token are told of where to get one, if
// there are issuers.
func (d *door) resource() *transport.ProtectedResource {
	if d.issued == nil {
		return nil
	}
	return &transport.ProtectedResource{URL: d.settings.publicURL, Issuers: slices.Clone(d.settings.issuers), Scopes: []string{"engram:read", "engram:write"}}
}

// publicHost is the host by which clients call, if the settings say.
func (s *settings) publicHost() (string, error) {
	if s.publicURL == "" {
		return "", nil
	}
	u, err := url.Parse(s.publicURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return "", usage("--public-url "+s.publicURL+" is no address of a server", "write it like https://memory.example/mcp")
	}
	return u.Host, nil
}
