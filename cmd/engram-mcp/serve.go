package main

import (
	"context"
	"io"
	"log/slog"
	"sync"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
	"engram-mcp/tools"
	"engram-mcp/tools/transport"
)

func newServe(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve MCP on stdio, or over HTTP",
		Long: `Serve MCP to one client on stdin and stdout, or with --http to any number of
clients over HTTP.

Several processes may serve one space at once: what one writes, the others find.
Over HTTP a bearer token is needed: the one in ENGRAM_TOKEN, or else the one in
the file "token" of the data directory, which is made at the first start.
'engram-mcp token' gives out further ones, for other spaces, names and rights.`,
		Example: `  engram-mcp serve                             one client, on stdio
  engram-mcp serve --http                      any number, on http://127.0.0.1:7077/mcp
  engram-mcp serve --tools all --agent ada     every tool, and what is written is Ada's`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && !cmd.Flags().Changed("http") {
				return usage("'engram-mcp serve' takes no arguments", "write --http "+args[0]+" to listen there")
			}
			return atMost(1, "give one address")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 { // --http ADDRESS: the flag itself needs no value
				a.http = args[0]
			}
			if a.http != "" {
				return a.serveHTTP(cmd.Context())
			}
			return a.serveStdio(cmd.Context())
		},
	}
	f, s := cmd.Flags(), &a.settings
	f.StringVar(&s.http, "http", "", "serve HTTP on `ADDRESS`")
	f.Lookup("http").NoOptDefVal = "127.0.0.1:7077"
	f.StringSliceVar(&s.tools, "tools", nil, "offer these `PROFILES` or tools: default, memory, graph, agents, admin, all, compat")
	f.StringVar(&s.durability, "durability", "full", "`LEVEL` full: what is acknowledged is on disk; normal: faster, a power cut may lose the last moments")
	f.Int64Var(&s.quota.Engrams, "quota-engrams", 0, "take at most `N` engrams a space; 0 is any number")
	f.Int64Var(&s.quota.Bytes, "quota-bytes", 0, "take at most `N` bytes a space")
	f.Int64Var(&s.quota.Agents, "quota-agents", 0, "take at most `N` agents a space")
	f.BoolVar(&s.noAuth, "no-auth", false, "serve everyone on this machine without a token")
	f.StringSliceVar(&s.allowHosts, "allow-host", nil, "answer to these host `NAMES` too")
	f.StringSliceVar(&s.allowOrigins, "allow-origin", nil, "let pages of these `ORIGINS` call, such as https://notes.example")
	f.Float64Var(&s.rate, "rate", 500, "take at most `N` requests a second from one client over HTTP; 0 is any number")
	f.StringVar(&s.tlsCert, "tls-cert", "", "speak HTTPS with the certificates in this PEM `FILE`; a new one is taken up by itself")
	f.StringVar(&s.tlsKey, "tls-key", "", "PEM `FILE` with the key of the certificate")
	f.StringSliceVar(&s.issuers, "issuer", nil, "take JSON Web Tokens of these `ISSUERS`, such as https://login.example")
	f.StringVar(&s.publicURL, "public-url", "", "`URL` by which clients call, such as https://memory.example/mcp; tokens must be made for it")
	f.StringSliceVar(&s.audiences, "audience", nil, "take tokens made for these `AUDIENCES` instead of the public URL")
	f.StringVar(&s.spaceClaim, "space-claim", "", "the claim of this `NAME` says the space of a token; without it all use --space")
	f.StringVar(&s.audit, "audit", "", "append to this `FILE` who called what on which engrams; - is stdout")
	mark(f, "http", "tools", "durability", "quota-engrams", "quota-bytes", "quota-agents", "no-auth", "allow-host", "allow-origin", "rate",
		"tls-cert", "tls-key", "issuer", "public-url", "audience", "space-claim", "audit")
	return cmd
}

// A service is a server with the engine behind it.
type service struct {
	*engine
	log     *slog.Logger
	server  *transport.Server
	metrics *metrics
	audit   *auditLog
	who     memory.Principal // of clients that bring no identity of their own
	keeps   bool             // runs that are due: what they write can be written
}

// service wires a server. Nothing has been opened when it returns.
func (a *app) service(level slog.Level) (*service, error) {
	a.logLevel = level
	log := a.logger()
	e, err := a.engine(log, false)
	if err != nil {
		return nil, err
	}
	part, err := e.set.ByProfile(a.tools...)
	if err != nil {
		return nil, err
	}
	audit, err := a.openAudit(log)
	if err != nil {
		return nil, err
	}
	s := &service{engine: e, log: log, metrics: newMetrics(part), audit: audit, who: a.client(part), keeps: !a.readOnly}
	part.Observe(s.note)
	e.set.Observe(func(ctx context.Context, c tools.Called) { s.audit.write(ctx, c, true) })
	s.server = transport.New(transport.Options{Name: "engram-mcp", Version: version(), Logger: log})
	tools.Serve(s.server.MCP(), part, e.open)
	return s, nil
}

// stop closes the engine. What fails then has been acknowledged before, so it
// is for the log.
func (s *service) stop() {
	if err := s.Close(); err != nil {
		s.log.Error("the memory was not closed in order", "err", err)
	}
	s.audit.close()
}

// tend makes the space of clients ready, and the runs that are due, until ctx
// ends.
func (s *service) tend(ctx context.Context, t tools.Timetable) {
	s.warm(ctx)
	if s.keeps {
		s.agents.Tend(ctx, t)
	}
}

// oneSpace is the timetable of a server for one space.
type oneSpace struct {
	*memory.Spaces
	name string
}

func (o oneSpace) Names() ([]string, error) { return []string{o.name}, nil }

// warm opens the space of a client that has just come, so that its first
// question does not have to wait for that.
func (s *service) warm(ctx context.Context) {
	_, release, err := s.spaces.Get(ctx, s.who.Space)
	if err != nil {
		warnings(s.log)("the memory cannot be opened", "err", err)
		return
	}
	release()
}

// serveStdio serves the client at the other end of stdin and stdout until it
// hangs up. Its space is opened once it has its first answer: no client waits
// for a disk to learn that there is a server.
func (a *app) serveStdio(ctx context.Context) error {
	if a.audit == "-" {
		return usage("--audit - would write between the messages on stdout", "name a file, or serve with --http")
	}
	s, err := a.service(slog.LevelWarn)
	if err != nil {
		return err
	}
	defer s.stop()
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var tending sync.WaitGroup
	defer tending.Wait()
	defer cancel()
	tending.Add(1)
	out := &afterFirst{w: a.out, do: func() { defer tending.Done(); s.tend(background, oneSpace{s.spaces, s.who.Space}) }}
	defer out.once.Do(tending.Done) // a client that came and went
	err = s.server.ServeStdio(memory.WithPrincipal(ctx, s.who), a.in, out)
	if ctx.Err() != nil { // it was told to stop, and did
		return nil
	}
	return err
}

// afterFirst is a writer that starts something when it has written for the
// first time.
type afterFirst struct {
	w    io.Writer
	once sync.Once
	do   func()
}

func (a *afterFirst) Write(p []byte) (int, error) {
	n, err := a.w.Write(p)
	a.once.Do(func() { go a.do() })
	return n, err
}
