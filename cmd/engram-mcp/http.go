package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"engram-mcp/memory"
	"engram-mcp/tools/transport"
)

// serveHTTP serves any number of clients until ctx ends.
func (a *app) serveHTTP(ctx context.Context) error {
	address, loopback, err := listenAddress(a.http)
	if err != nil {
		return err
	}
	if a.noAuth && !loopback {
		return usage("--no-auth would let everyone who reaches "+address+" read and write", "leave --no-auth out, or listen on 127.0.0.1")
	}
	s, err := a.service(slog.LevelInfo)
	if err != nil {
		return err
	}
	defer s.Close()
	authenticate, where, err := a.authenticator(s.who)
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return failed("cannot listen on "+address, "choose another address, or stop what listens there", err)
	}
	a.announce(s.log, "http://"+ln.Addr().String(), where)
	go s.warm(ctx)
	return s.server.Serve(ctx, ln, s.routes(authenticate, transport.HTTPOptions{
		Authenticate: authenticate, AllowedHosts: a.allowHosts, AllowedOrigins: a.allowOrigins,
	}))
}

// listenAddress completes what the user gave as an address. A port alone is
// one of this machine; to be reached from elsewhere takes an address.
func listenAddress(given string) (address string, loopback bool, err error) {
	host, port, err := net.SplitHostPort(given)
	if err != nil && !strings.Contains(given, ":") {
		host, port, err = "127.0.0.1", given, nil
	}
	if err != nil || port == "" {
		return "", false, usage("--http "+given+" is no address", "write it like 127.0.0.1:7077")
	}
	ip, bad := netip.ParseAddr(host)
	return net.JoinHostPort(host, port), host == "localhost" || bad == nil && ip.IsLoopback(), nil
}

// authenticator admits whoever has the token, as who, and says where the token
// is to be found.
func (a *app) authenticator(who memory.Principal) (transport.Authenticator, string, error) {
	id := transport.Identity{
		Key:     who.Space + "/" + who.Name,
		Context: func(ctx context.Context) context.Context { return memory.WithPrincipal(ctx, who) },
	}
	if a.noAuth {
		return func(*http.Request) (transport.Identity, error) { return id, nil }, "none: everyone on this machine may call", nil
	}
	token, where := os.Getenv(tokenVariable), tokenVariable
	if token == "" {
		var err error
		where = a.tokenFile()
		if token, err = a.token(); err != nil {
			return nil, "", err
		}
	}
	if len(token) < minToken {
		return nil, "", usage("the token in "+where+" is too short to be safe", fmt.Sprintf("use at least %d random characters, or delete it to get a new one", minToken))
	}
	return transport.BearerTokens(map[transport.TokenHash]transport.Identity{transport.HashToken(token): id}), where, nil
}

const (
	tokenVariable = "ENGRAM_TOKEN"
	minToken      = 22 // characters of base64 that hold 128 bits
)

func (s *settings) tokenFile() string { return filepath.Join(s.data, "token") }

// token returns the token of this data directory, and makes one the first time.
// Of several first starts one makes it.
func (s *settings) token() (string, error) {
	const hint = "check that the data directory is yours, or give a token in " + tokenVariable
	if known, err := readToken(s.tokenFile()); err == nil || !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			err = failed("the token cannot be read", hint, err)
		}
		return known, err
	}
	if s.readOnly {
		return "", failed("there is no token, and --read-only makes none", "give one in "+tokenVariable+", or start once without --read-only", nil)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	token := "engram_" + base64.RawURLEncoding.EncodeToString(secret)
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return "", failed("the token cannot be written", hint, err)
	}
	// It appears whole or not at all: a link fails where another process was first.
	part, err := os.CreateTemp(s.data, ".token-*") // mode 0600
	if err != nil {
		return "", failed("the token cannot be written", hint, err)
	}
	defer os.Remove(part.Name())
	_, err = part.WriteString(token + "\n")
	if err = errors.Join(err, part.Close()); err != nil {
		return "", failed("the token cannot be written", hint, err)
	}
	if err := os.Link(part.Name(), s.tokenFile()); err != nil {
		if known, again := readToken(s.tokenFile()); again == nil {
			return known, nil
		}
		if err := os.Rename(part.Name(), s.tokenFile()); err != nil { // a file system without links
			return "", failed("the token cannot be written", hint, err)
		}
	}
	return token, nil
}

func readToken(path string) (string, error) {
	raw, err := os.ReadFile(path)
	return strings.TrimSpace(string(raw)), err
}

// routes are the paths of the server. Health tells nothing, so it is open; what
// counts as data needs the token.
func (s *service) routes(authenticate transport.Authenticator, o transport.HTTPOptions) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/mcp", s.server.Handler(o))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "engram-mcp "+version()+": a memory for LLM agents.\n\nMCP is served at /mcp, over streamable HTTP. Clients send a bearer token.\n'engram-mcp install' sets them up.\n\n/healthz  the process answers\n/readyz   the memory can be opened\n/metrics  numbers for Prometheus; needs the token\n")
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if _, err := authenticate(r); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			plain(w, http.StatusUnauthorized, "send the token in the header Authorization: Bearer TOKEN\n")
			return
		}
		s.metrics.write(r.Context(), w, s)
	})
	return mux
}

// ready says whether the memory can be opened; why not is in the log.
func (s *service) ready(w http.ResponseWriter, r *http.Request) {
	_, release, err := s.spaces.Get(r.Context(), s.who.Space)
	if err != nil {
		s.log.Warn("not ready", "err", err)
		plain(w, http.StatusServiceUnavailable, "the memory cannot be opened; see the log of the server\n")
		return
	}
	release()
	plain(w, http.StatusOK, "ready\n")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client may be gone
}

// announce tells a person, or the log, where the server is.
func (a *app) announce(log *slog.Logger, url, token string) {
	if !isTerminal(a.err) {
		log.Info("serving", "mcp", url+"/mcp", "data", a.data, "space", a.space, "token", token, "version", version())
		return
	}
	p := newPrinter(a.err)
	p.linef("%s serves the space %s of %s", p.bold("engram-mcp"), p.bold(a.space), a.data)
	p.linef("├─ MCP     %s", p.blue(url+"/mcp"))
	p.linef("├─ health  %s", url+"/healthz, /readyz, /metrics")
	p.linef("└─ token   %s", token)
	_ = p.flush()
}
