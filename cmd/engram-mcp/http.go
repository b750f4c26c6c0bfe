package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

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
	defer s.stop()
	d, where, err := a.newDoor(s.who, s.log)
	if err != nil {
		return err
	}
	secure, err := a.tlsConfig(s.log)
	if err != nil {
		return err
	}
	public, err := a.publicHost()
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return failed("cannot listen on "+address, "choose another address, or stop what listens there", err)
	}
	scheme := "http://"
	if secure != nil {
		scheme = "https://"
	} else if !loopback {
		s.log.Warn("tokens and memories cross the network unencrypted; use --tls-cert and --tls-key, or a proxy that does")
	}
	a.announce(s.log, scheme+ln.Addr().String(), where)
	background, cancel := context.WithCancel(ctx)
	var tending sync.WaitGroup
	defer tending.Wait()
	defer cancel()
	tending.Go(func() { s.tend(background, s.spaces) })
	return s.server.Serve(ctx, ln, secure, s.routes(d, transport.HTTPOptions{
		Authenticate: d.authenticate, Rate: a.rate, Resource: d.resource(), SessionKey: d.secret,
		AllowedHosts: withHost(a.allowHosts, public), AllowedOrigins: a.allowOrigins,
	}))
}

func withHost(hosts []string, host string) []string {
	if host == "" {
		return hosts
	}
	return append(slices.Clone(hosts), host)
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

// routes are the paths of the server. Health tells nothing, so it is open; the
// numbers are of the server's own space, so they need the server's own token.
func (s *service) routes(d *door, o transport.HTTPOptions) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/mcp", s.server.Handler(o))
	if o.Resource != nil {
		mux.Handle("GET /.well-known/oauth-protected-resource", o.Resource)
		mux.Handle("GET /.well-known/oauth-protected-resource/", o.Resource)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "engram-mcp "+version()+": a memory for LLM agents.\n\nMCP is served at /mcp, over streamable HTTP. Clients send a bearer token.\n'engram-mcp install' sets them up.\n\n/healthz  the process answers\n/readyz   the memory can be opened\n/metrics  numbers for Prometheus; needs the server's token\n")
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if _, err := d.own(r); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			plain(w, http.StatusUnauthorized, "send the server's token in the header Authorization: Bearer TOKEN\n")
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
