package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const (
	bodyTimeout  = 10 * time.Second // to receive the body of a request, and
	bodyRate     = 128 << 10        // a second more for so many bytes of it
	writeTimeout = 30 * time.Second // to get rid of one message
	heartbeat    = 25 * time.Second // between signs of life on an event stream
	slotTimeout  = 10 * time.Second // to wait for other requests to end
	recheck      = 5 * time.Second  // between looks whether the client of a stream may still be here

	largeBody    = 256 << 10 // bytes from which a body counts as large
	maxLarge     = 4         // large bodies in memory at once, of all clients
	maxLargeEach = 2         // those of one identity
	anyone       = ""        // the one key of slots that all clients share
)

// HTTPOptions configures a Handler. The zero value serves everyone who can reach
// a loopback address, and pages of loopback origins only.
type HTTPOptions struct {
	// Authenticate tells who calls. Nil lets everyone in as one identity.
	Authenticate Authenticator

	// AllowedHosts are the names by which clients may call the server, besides
	// loopback names and the address itself, with or without a port. "*" allows
	// every name, which is safe only where Authenticate is set.
	AllowedHosts []string

	// AllowedOrigins are further origins whose pages may call and read answers,
	// as https://host or https://host:port.
	AllowedOrigins []string

	// Rate bounds the requests of one identity in a second, of which those of
	// two may come at once; 0 means no bound. More get 429 and Retry-After.
	Rate float64

	// Resource, if not nil, is what refused clients are told of where to get a
	// token.
	Resource *ProtectedResource

	// SessionKey signs session ids. Instances behind one load balancer share
	// it; nil means a random one, so that sessions end with the process.
	SessionKey []byte

	// SessionTTL is how long a session lives at most; 0 means 24 hours.
	// SessionIdle is how long it lives unused; 0 means 30 minutes.
	SessionTTL, SessionIdle time.Duration
}

// Handler returns a handler that speaks MCP over streamable HTTP with any number
// of clients: POST for a message, GET for the stream of a legacy session, DELETE
// for its end.
func (s *Server) Handler(o HTTPOptions) http.Handler {
	if o.Authenticate == nil {
		o.Authenticate = func(*http.Request) (Identity, error) { return Identity{}, nil }
	}
	return &endpoint{
		Server:       s,
		guard:        guard{hosts: o.AllowedHosts, origins: o.AllowedOrigins},
		authenticate: o.Authenticate,
		resource:     o.Resource,
		complaints:   newComplaints(s.log),
		sessions:     newSessions(s, o),
		pace:         newPace(o.Rate),
		requests:     newSlots(s.opts.MaxConcurrent),
		streams:      newSlots(maxStreams),
		large:        newSlots(maxLarge),
		largeEach:    newSlots(maxLargeEach),
		recheck:      recheck,
	}
}

// endpoint is the HTTP side of a server.
type endpoint struct {
	*Server
	guard        guard
	authenticate Authenticator
	resource     *ProtectedResource
	complaints   *complaints
	sessions     *sessions
	pace         *pace
	requests     *slots // running requests by identity
	streams      *slots // open streams by identity
	large        *slots // large bodies of all
	largeEach    *slots // large bodies by identity
	recheck      time.Duration
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if problem := e.guard.check(r); problem != "" {
		e.complaints.warn("request refused", "remote", r.RemoteAddr, "reason", problem)
		http.Error(w, problem, http.StatusForbidden)
		return
	}
	if e.guard.share(w, r) {
		return
	}
	who, err := e.authenticate(r)
	if err != nil {
		e.refuse(w, r, err)
		return
	}
	defer connection(r).admit()()
	if wait := e.pace.wait(who.Key); wait > 0 {
		e.tooFast(w, wait)
		return
	}
	if who.Context != nil {
		r = r.WithContext(who.Context(r.Context()))
	}
	switch {
	case r.Method == http.MethodPost:
		e.post(w, r, who)
	case r.Method == http.MethodGet && !modernHeader(r):
		e.get(w, r, who)
	case r.Method == http.MethodDelete && !modernHeader(r):
		e.delete(w, r, who)
	default:
		allow := "POST, GET, DELETE"
		if modernHeader(r) {
			allow = "POST"
		}
		w.Header().Set("Allow", allow)
		http.Error(w, r.Method+" is not supported; send messages by POST", http.StatusMethodNotAllowed)
	}
}

// tooFast refuses a request of an identity that has made too many, before its body
// is read.
func (e *endpoint) tooFast(w http.ResponseWriter, wait time.Duration) {
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	e.reject(w, message{}, &httpProblem{http.StatusTooManyRequests, &Error{
		Code: codeBusy, Message: fmt.Sprintf("this client may make %g requests a second; try again in %d s", e.pace.perSecond, seconds)}})
}

// modernHeader reports whether r declares a revision without sessions.
func modernHeader(r *http.Request) bool {
	return mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
}

// post takes one message.
func (e *endpoint) post(w http.ResponseWriter, r *http.Request, who Identity) {
	m, release, problem := e.receive(w, r, who)
	defer release()
	switch {
	case problem != nil:
		e.reject(w, m, problem)
	case m.modern() || modernHeader(r):
		e.postModern(w, r, who, m)
	default:
		e.postLegacy(w, r, who, m)
	}
}

// httpProblem is an error with the status it is sent under.
type httpProblem struct {
	status int
	err    *Error
}

// busy refuses what would be more at once than a bound allows.
func busy(w http.ResponseWriter, what string) *httpProblem {
	w.Header().Set("Retry-After", "1")
	return &httpProblem{http.StatusTooManyRequests, &Error{Code: codeBusy, Message: "too many " + what + "; try again later"}}
}

// receive reads the message in the body of r. Its memory is free for others when
// release is called.
func (e *endpoint) receive(w http.ResponseWriter, r *http.Request, who Identity) (m message, release func(), problem *httpProblem) {
	release = func() {}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return m, release, &httpProblem{http.StatusUnsupportedMediaType, invalidRequest("Content-Type must be application/json")}
	}
	limit := int64(e.opts.MaxMessage)
	if r.ContentLength > limit {
		return m, release, tooLong(limit)
	}
	length := r.ContentLength
	if length < 0 {
		length = limit
	}
	if length >= largeBody {
		leave, ok := e.enterLarge(r.Context(), who)
		if !ok {
			return m, release, busy(w, "large messages are being handled")
		}
		release = sync.OnceFunc(leave)
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout + time.Duration(length/bodyRate)*time.Second)) // not every writer can; that of a server can
	body, err := readBody(http.MaxBytesReader(w, r.Body, limit), r.ContentLength)
	_ = rc.SetReadDeadline(time.Time{})
	if len(body) < largeBody {
		release()
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return m, release, tooLong(limit)
	}
	if err != nil {
		return m, release, &httpProblem{http.StatusBadRequest, &Error{Code: mcp.PARSE_ERROR, Message: "the body could not be read to its end"}}
	}
	m, failure := scan(body)
	if failure != nil {
		return m, release, &httpProblem{http.StatusBadRequest, failure}
	}
	return m, release, nil
}

func tooLong(limit int64) *httpProblem {
	return &httpProblem{http.StatusRequestEntityTooLarge, invalidRequest("the message is longer than %d bytes; send less at once", limit)}
}

// enterLarge takes a place for a large body: one of its identity, so that no
// client takes them all, and one of all.
func (e *endpoint) enterLarge(ctx context.Context, who Identity) (leave func(), ok bool) {
	leaveOwn, ok := e.largeEach.acquire(ctx, who.Key)
	if !ok {
		return nil, false
	}
	leaveAll, ok := e.large.acquire(ctx, anyone)
	if !ok {
		leaveOwn()
		return nil, false
	}
	return func() { leaveAll(); leaveOwn() }, true
}

// readBody reads to the end, at once if the promised length is small.
func readBody(r io.Reader, promised int64) ([]byte, error) {
	if promised <= 0 || promised >= largeBody {
		return io.ReadAll(r) // memory for what comes, not for what is promised
	}
	b := bytes.NewBuffer(make([]byte, 0, promised+bytes.MinRead))
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// reject answers a message that is not handled.
func (e *endpoint) reject(w http.ResponseWriter, m message, p *httpProblem) {
	id := m.id
	if p.err == errSyntax {
		id = nil
	}
	b, _ := response{ID: id, Error: p.err}.marshal() // errors of our own always marshal
	writeJSON(w, p.status, b)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// postLegacy takes a message of a client that knows sessions.
func (e *endpoint) postLegacy(w http.ResponseWriter, r *http.Request, who Identity, m message) {
	if m.method == string(mcp.MethodInitialize) && m.isRequest() {
		e.initialize(w, r, who, m)
		return
	}
	if v := r.Header.Get(mcp.HeaderProtocolVersion); v != "" && !mcp.IsValidProtocolVersion(v) {
		e.reject(w, m, &httpProblem{http.StatusBadRequest, invalidRequest("protocol version %q is not supported", v)})
		return
	}
	s := e.session(w, r, who, m)
	if s == nil {
		return
	}
	switch {
	case m.isRequest():
		e.serve(w, r, who, e.newCall(r.Context(), s.session, m, nil, &s.inflight))
	case m.method == "":
		s.resolve(m)
		w.WriteHeader(http.StatusAccepted)
	case m.method == string(mcp.MethodNotificationCancelled):
		s.inflight.cancelOne(m)
		w.WriteHeader(http.StatusAccepted)
	default:
		e.handle(e.newCall(r.Context(), s.session, m, nowhere{}, nil))
		w.WriteHeader(http.StatusAccepted)
	}
}

// initialize begins a session.
func (e *endpoint) initialize(w http.ResponseWriter, r *http.Request, who Identity, m message) {
	s := e.sessions.issue(who.Key)
	c := e.newCall(r.Context(), s.session, m, nowhere{}, nil)
	resp := e.handle(c)
	if resp.Error == nil {
		e.sessions.keep(s)
		w.Header().Set(server.HeaderKeySessionID, s.id)
	}
	writeJSON(w, http.StatusOK, e.encode(c, resp))
}

// session returns the session that r names, or answers and returns nil.
func (e *endpoint) session(w http.ResponseWriter, r *http.Request, who Identity, m message) *legacySession {
	id := r.Header.Get(server.HeaderKeySessionID)
	if id == "" {
		e.reject(w, m, &httpProblem{http.StatusBadRequest, invalidRequest("the header Mcp-Session-Id is missing; send initialize first")})
		return nil
	}
	s := e.sessions.find(id, who.Key)
	if s == nil {
		e.reject(w, m, &httpProblem{http.StatusNotFound, invalidRequest("the session is unknown or over; send initialize again")})
	}
	return s
}

// postModern takes a message that stands alone.
func (e *endpoint) postModern(w http.ResponseWriter, r *http.Request, who Identity, m message) {
	if m.method == "" {
		e.reject(w, m, &httpProblem{http.StatusBadRequest, invalidRequest("this protocol version has no answers of clients; send a new request with inputResponses")})
		return
	}
	if problem := e.checkHeaders(r, m); problem != nil {
		e.reject(w, m, &httpProblem{http.StatusBadRequest, problem})
		return
	}
	client := e.newSession()
	if m.isRequest() {
		e.serve(w, r, who, e.newCall(r.Context(), client, m, nil, nil))
		return
	}
	// A cancellation among these finds nothing, as each request has a session of
	// its own: a request ends with its stream, and a named one could be anybody's.
	e.handle(e.newCall(r.Context(), client, m, nowhere{}, nil))
	w.WriteHeader(http.StatusAccepted)
}

// checkHeaders compares the headers that a modern message must have with its body.
func (e *endpoint) checkHeaders(r *http.Request, m message) *Error {
	mismatch := func(text string) *Error { return &Error{Code: mcp.HEADER_MISMATCH, Message: text} }
	version := r.Header.Get(mcp.HeaderProtocolVersion)
	switch {
	case r.Header.Get(mcp.HeaderLastEventID) != "":
		return mismatch("Last-Event-ID is not part of this protocol version; send the request again with a new id")
	case version == "":
		return mismatch("the header " + mcp.HeaderProtocolVersion + " is missing")
	case m.version == "" && !m.isRequest():
		return nil
	case m.version == "":
		return invalidParams("_meta must hold %s", mcp.MetaKeyProtocolVersion)
	case m.version != version:
		return mismatch("the header " + mcp.HeaderProtocolVersion + " is " + version + ", and _meta says " + m.version)
	case !mcp.IsValidProtocolVersion(version):
		return nil // mcp-go answers with the versions there are
	}
	if err := mcp.ValidateStandardHeaders(r.Header.Get, version, mcp.MCPMethod(m.method), m.params); err != nil {
		return mismatch(err.Error())
	}
	if err := e.checkArgumentHeaders(r, m); err != nil {
		return mismatch(err.Error())
	}
	return nil
}

// checkArgumentHeaders compares the arguments that a tool wants in headers too.
func (e *endpoint) checkArgumentHeaders(r *http.Request, m message) error {
	if m.method != string(mcp.MethodToolsCall) {
		return nil
	}
	name, _ := mcp.ExtractHeaderName(mcp.MethodToolsCall, m.params)
	tool := e.mcp.GetTool(name)
	if tool == nil {
		return nil // mcp-go answers that there is none
	}
	lookup := func(header string) (string, bool) {
		values := r.Header.Values(header)
		if len(values) == 0 {
			return "", false
		}
		return values[0], true
	}
	return mcp.ValidateParamHeadersLookup(lookup, &tool.Tool, m.params)
}

// serve handles a request and answers it, as JSON, or as the last event of a
// stream if there was something to tell before.
func (e *endpoint) serve(w http.ResponseWriter, r *http.Request, who Identity, c *call) {
	limit, what := e.requests, "requests of this client are running"
	if c.listening {
		limit, what = e.streams, "streams of this client are open"
	}
	release, ok := limit.acquire(c.ctx, who.Key)
	if !ok {
		c.drop()
		e.reject(w, c.msg, busy(w, what))
		return
	}
	defer release()
	out := &postStream{w: w, streams: acceptsStream(r), gone: func() { c.cancel(errGone) }}
	defer out.close()
	c.out = out
	if c.listening {
		defer context.AfterFunc(drained(r.Context()), func() { c.cancel(errStopped) })()
		go e.watch(c.ctx, r, who, func() { c.cancel(errUnwelcome) })
	}
	resp := e.handle(c)
	if r.Context().Err() != nil {
		return
	}
	status := http.StatusOK
	if c.msg.modern() && resp.Error != nil {
		status = modernStatus(resp.Error.Code)
	}
	out.finish(status, e.encode(c, resp))
}

// modernStatus is the HTTP status of an error in the stateless revision.
func modernStatus(code int) int {
	switch code {
	case mcp.METHOD_NOT_FOUND:
		return http.StatusNotFound
	case mcp.PARSE_ERROR, mcp.INVALID_REQUEST, mcp.INVALID_PARAMS,
		mcp.HEADER_MISMATCH, mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, mcp.UNSUPPORTED_PROTOCOL_VERSION:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// get opens the stream of a session for what belongs to no request. A client that
// opens a second one loses the first: its connection may long be dead.
func (e *endpoint) get(w http.ResponseWriter, r *http.Request, who Identity) {
	if !acceptsStream(r) {
		http.Error(w, "Accept must include text/event-stream", http.StatusNotAcceptable)
		return
	}
	s := e.session(w, r, who, message{})
	if s == nil {
		return
	}
	release, ok := e.streams.acquire(r.Context(), who.Key)
	if !ok {
		e.reject(w, message{}, busy(w, "streams of this client are open"))
		return
	}
	defer release()
	ctx, leave := s.enter(r.Context())
	defer leave()
	defer context.AfterFunc(s.ended, leave)()
	defer context.AfterFunc(drained(r.Context()), leave)()
	go e.watch(ctx, r, who, leave)

	out := &postStream{w: w, streams: true, gone: leave}
	defer out.close()
	_ = out.comment() // so that the client sees the stream begin
	for notices := s.queue(); ; {
		select {
		case n := <-notices:
			e.sendNotice(out, n)
		case <-ctx.Done():
			return
		}
	}
}

var errUnwelcome = errors.New("the token is not valid any more")

// watch ends the stream that r opened once its client would not be let in any
// more, as its token was revoked or has expired, and returns when ctx is done.
func (e *endpoint) watch(ctx context.Context, r *http.Request, who Identity, end func()) {
	tick := time.NewTicker(e.recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now, err := e.authenticate(r); err != nil || now.Key != who.Key {
			end()
			return
		}
	}
}

// enter makes the caller's the one stream of the session.
func (s *legacySession) enter(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	mine := &openStream{cancel}
	s.streamMu.Lock()
	defer s.streamMu.Unlock()
	if s.stream != nil {
		s.stream.end()
	}
	s.stream = mine
	return ctx, func() {
		cancel()
		s.streamMu.Lock()
		defer s.streamMu.Unlock()
		if s.stream == mine {
			s.stream = nil
		}
	}
}

// delete ends a session.
func (e *endpoint) delete(w http.ResponseWriter, r *http.Request, who Identity) {
	if s := e.session(w, r, who, message{}); s != nil {
		e.sessions.delete(s)
		w.WriteHeader(http.StatusOK)
	}
}
