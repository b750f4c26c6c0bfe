package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const (
	maxSubscriptions = 1000 // resources one client may subscribe to
	maxPending       = 1000 // requests of ours that one client may leave unanswered
	queuedNotices    = 64   // notifications kept for a client that does not read them
)

// session is what the server remembers of one client: of a stdio connection, of a
// legacy HTTP session, or, in the stateless revision, of a single request.
type session struct {
	id          string
	initialized atomic.Bool

	mu      sync.Mutex
	notices chan mcp.JSONRPCNotification // outside of any request; made when needed
	info    mcp.Implementation
	caps    *mcp.ClientCapabilities // nil until the client told
	version string
	level   mcp.LoggingLevel
	uris    map[string]struct{}     // resources subscribed to
	pending map[int64]chan<- answer // requests of ours
	asked   int64                   // id of the latest of them
	closed  bool                    // no answer will come any more
}

// answer is what a client sent to a request of ours.
type answer struct {
	result, failure json.RawMessage
}

// newSession returns a session that its client cannot name.
func (s *Server) newSession() *session {
	return &session{id: "local-" + strconv.FormatInt(s.serial.Add(1), 10)}
}

// queue returns the notifications outside of any request.
func (s *session) queue() chan mcp.JSONRPCNotification {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notices == nil {
		s.notices = make(chan mcp.JSONRPCNotification, queuedNotices)
	}
	return s.notices
}

// The methods that mcp-go looks for in a session.

func (s *session) SessionID() string { return s.id }
func (s *session) Initialize()       { s.initialized.Store(true) }
func (s *session) Initialized() bool { return s.initialized.Load() }

// NotificationChannel makes room for one more notification by giving up the
// oldest one: a client that has not read so many will list everything anew.
func (s *session) NotificationChannel() chan<- mcp.JSONRPCNotification {
	queue := s.queue()
	if len(queue) == cap(queue) {
		select {
		case <-queue:
		default:
		}
	}
	return queue
}

func (s *session) GetLogLevel() mcp.LoggingLevel {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.level == "" {
		return mcp.LoggingLevelError
	}
	return s.level
}

func (s *session) SetLogLevel(level mcp.LoggingLevel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.level = level
}

func (s *session) GetClientInfo() mcp.Implementation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

func (s *session) SetClientInfo(info mcp.Implementation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.info = info
}

func (s *session) GetClientCapabilities() mcp.ClientCapabilities {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.caps == nil {
		return mcp.ClientCapabilities{}
	}
	return *s.caps
}

func (s *session) SetClientCapabilities(caps mcp.ClientCapabilities) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caps = &caps
}

func (s *session) ProtocolVersion() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

func (s *session) SetProtocolVersion(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

func (s *session) SubscribeToResource(uri string) { _ = s.SubscribeToResourceErr(uri) }

func (s *session) SubscribeToResourceErr(uri string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.uris) >= maxSubscriptions {
		return invalidParams("a client may subscribe to %d resources; unsubscribe from others first", maxSubscriptions)
	}
	if s.uris == nil {
		s.uris = make(map[string]struct{})
	}
	s.uris[uri] = struct{}{}
	return nil
}

func (s *session) UnsubscribeFromResource(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uris, uri)
}

func (s *session) SubscribedResources() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	uris := make([]string, 0, len(s.uris))
	for uri := range s.uris {
		uris = append(uris, uri)
	}
	return uris
}

func (s *session) IsSubscribedToResource(uri string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.uris[uri]
	return ok
}

// close ends the waiting for answers of the client.
func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for id, ch := range s.pending {
		close(ch)
		delete(s.pending, id)
	}
}

// expect reserves the id of a request of ours and the channel for its answer,
// which is closed when none will come.
func (s *session) expect() (int64, <-chan answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.pending) >= maxPending {
		return 0, nil, &Error{Code: mcp.INTERNAL_ERROR, Message: "the client does not answer requests of the server"}
	}
	if s.pending == nil {
		s.pending = make(map[int64]chan<- answer)
	}
	s.asked++
	ch := make(chan answer, 1)
	s.pending[s.asked] = ch
	return s.asked, ch, nil
}

func (s *session) forget(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, id)
}

// resolve hands an answer of the client to whom it is for. Answers that nobody
// waits for, as those that came too late, are dropped.
func (s *session) resolve(m message) {
	var id int64
	if json.Unmarshal(m.id, &id) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch, ok := s.pending[id]; ok {
		delete(s.pending, id)
		ch <- answer{result: m.result, failure: m.failure}
	}
}

// sender delivers whole JSON-RPC messages to a client, in order.
type sender interface {
	send(msg []byte) error
}

// inflight keeps the unanswered requests of one client by raw id, so that it can
// cancel its own and nobody else's. Of two requests with one id the later counts.
type inflight struct {
	mu    sync.Mutex
	calls map[string]*call
}

func (f *inflight) add(c *call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = make(map[string]*call)
	}
	f.calls[string(c.msg.id)] = c
}

func (f *inflight) remove(c *call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls[string(c.msg.id)] == c {
		delete(f.calls, string(c.msg.id))
	}
}

// cancel cancels the request with the given raw id, if there is one.
func (f *inflight) cancel(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.calls[id]; c != nil {
		c.cancel(errCancelled)
	}
}

func (f *inflight) cancelAll(cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		c.cancel(cause)
	}
}

func (f *inflight) empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls) == 0
}

// call is one request, or notification, of a client while it is handled. To
// mcp-go it is a session: what a handler sends goes out with its own request.
type call struct {
	*session
	server    *Server
	msg       message
	out       sender
	among     *inflight // where the client may cancel it; nil if nowhere
	listening bool      // a subscriptions/listen stream

	ctx     context.Context
	cancel  context.CancelCauseFunc
	failure error // behind an error response, as mcp-go reported it

	outbox outbox

	askMu  sync.Mutex
	asking int           // questions to the client that wait
	places chan struct{} // where a running call has an element; nil if nowhere

	filterMu sync.Mutex
	filter   mcp.SubscriptionFilter
}

// newCall returns the call that a message of client is. It is started, and must be
// handled or dropped.
func (s *Server) newCall(ctx context.Context, client *session, m message, out sender, among *inflight) *call {
	c := &call{session: client, server: s, msg: m, out: out, among: among, listening: m.listens()}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	if among != nil && m.isRequest() {
		among.add(c)
	}
	return c
}

// drop ends a call: nothing is cancelled under its id any more.
func (c *call) drop() {
	if c.among != nil {
		c.among.remove(c)
	}
	c.cancel(nil)
}

// cancelled reports whether the client took its request back.
func (c *call) cancelled() bool { return errors.Is(context.Cause(c.ctx), errCancelled) }

var (
	_ server.SessionWithLogging                  = (*call)(nil)
	_ server.SessionWithClientInfo               = (*call)(nil)
	_ server.SessionWithResourceSubscriptionsErr = (*call)(nil)
	_ server.SessionWithSubscriptionFilter       = (*call)(nil)
	_ server.SessionWithProtocolVersion          = (*call)(nil)
	_ server.SessionWithSampling                 = (*call)(nil)
	_ server.SessionWithElicitation              = (*call)(nil)
	_ server.SessionWithRoots                    = (*call)(nil)
)

// callFrom returns the call that ctx belongs to, or nil.
func callFrom(ctx context.Context) *call {
	c, _ := server.ClientSessionFromContext(ctx).(*call)
	return c
}

// fail answers a call with an error.
func (c *call) fail(e *Error) response { return response{ID: c.msg.id, Error: e} }

// param returns a member of the params that is a string, or "".
func (c *call) param(name string) string {
	var params map[string]json.RawMessage
	_ = json.Unmarshal(c.msg.params, &params)
	return unquote(params[name])
}

func (c *call) SetSubscriptionFilter(f mcp.SubscriptionFilter) {
	c.filterMu.Lock()
	defer c.filterMu.Unlock()
	c.filter = f
}

func (c *call) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	c.filterMu.Lock()
	defer c.filterMu.Unlock()
	return c.filter, c.listening
}

// RequestSampling asks the client for a completion.
func (c *call) RequestSampling(ctx context.Context, r mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	var result mcp.CreateMessageResult
	err := c.ask(ctx, mcp.MethodSamplingCreateMessage, r.CreateMessageParams, &result)
	if err != nil {
		return nil, err
	}
	if result.Content, err = mcp.ParseSamplingContent(result.Content); err != nil {
		return nil, badAnswer(mcp.MethodSamplingCreateMessage)
	}
	return &result, nil
}

// RequestElicitation asks the client to ask its user.
func (c *call) RequestElicitation(ctx context.Context, r mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	var result mcp.ElicitationResult
	if err := c.ask(ctx, mcp.MethodElicitationCreate, r.Params, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// ListRoots asks the client for its roots.
func (c *call) ListRoots(ctx context.Context, _ mcp.ListRootsRequest) (*mcp.ListRootsResult, error) {
	var result mcp.ListRootsResult
	if err := c.ask(ctx, mcp.MethodListRoots, nil, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// ask sends the client a request and waits for its answer.
func (c *call) ask(ctx context.Context, method mcp.MCPMethod, params, result any) error {
	if err := c.able(method); err != nil {
		return err
	}
	id, ch, err := c.expect()
	if err != nil {
		return err
	}
	defer c.forget(id)
	b, err := json.Marshal(struct {
		JSONRPC string        `json:"jsonrpc"`
		ID      int64         `json:"id"`
		Method  mcp.MCPMethod `json:"method"`
		Params  any           `json:"params,omitempty"`
	}{"2.0", id, method, params})
	if err != nil {
		return err
	}
	if err := c.out.send(b); err != nil {
		return &Error{Code: mcp.INTERNAL_ERROR, Message: fmt.Sprintf("%s could not be sent to the client: %v", method, err)}
	}
	c.giveWay()
	defer c.comeBack()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case a, ok := <-ch:
		if !ok {
			return &Error{Code: mcp.INTERNAL_ERROR, Message: fmt.Sprintf("the client went away before it answered %s", method)}
		}
		return a.decode(method, result)
	}
}

// giveWay lets another request run while this one waits for its client. Otherwise
// waiting requests could keep the answers that they wait for from being read.
func (c *call) giveWay() {
	c.askMu.Lock()
	defer c.askMu.Unlock()
	if c.asking++; c.asking == 1 && c.places != nil {
		<-c.places
	}
}

// comeBack ends a giveWay. It waits for a place.
func (c *call) comeBack() {
	c.askMu.Lock()
	defer c.askMu.Unlock()
	if c.asking--; c.asking == 0 && c.places != nil {
		c.places <- struct{}{}
	}
}

// able reports a client that said at initialize that it does not know method. Of
// a session begun elsewhere nothing is known, and the client is asked.
func (c *call) able(method mcp.MCPMethod) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.caps == nil {
		return nil
	}
	switch {
	case method == mcp.MethodSamplingCreateMessage && c.caps.Sampling == nil:
		return mcp.MissingRequiredClientCapabilityError{Capability: "sampling"}
	case method == mcp.MethodElicitationCreate && c.caps.Elicitation == nil:
		return mcp.MissingRequiredClientCapabilityError{Capability: "elicitation"}
	case method == mcp.MethodListRoots && c.caps.Roots == nil:
		return mcp.MissingRequiredClientCapabilityError{Capability: "roots"}
	}
	return nil
}

func (a answer) decode(method mcp.MCPMethod, result any) error {
	if a.failure != nil {
		var e struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		}
		_ = json.Unmarshal(a.failure, &e)
		return &Error{Code: mcp.INTERNAL_ERROR, Message: fmt.Sprintf("the client refused %s: %s (%d)", method, e.Message, e.Code)}
	}
	if json.Unmarshal(a.result, result) != nil {
		return badAnswer(method)
	}
	return nil
}

func badAnswer(method mcp.MCPMethod) error {
	return &Error{Code: mcp.INTERNAL_ERROR, Message: fmt.Sprintf("the client's answer to %s has a wrong shape", method)}
}
