package conformance

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"engram-mcp/conformance/binary"
)

// An issuer is a login server on this machine.
type issuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

const publicURL = "https://memory.example/mcp"

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.URL, i.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"one","x":%q,"y":%q}]}`, b64(point[1:33]), b64(point[33:]))
	})
	return i
}

// token is one that is good for a day, with claims in place of the usual ones and
// those that are nil left out.
func (i *issuer) token(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	now := time.Now()
	all := jwt.MapClaims{"iss": i.URL, "aud": publicURL, "sub": "ada", "iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(),
		"scope": "engram:read engram:write", "tenant": "issued"}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return i.signed(t, jwt.SigningMethodES256, i.key, "one", all)
}

func (i *issuer) signed(t testing.TB, method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = kid
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const treasure = "the treasure lies under the third oak"

// A besieged server holds what Alice keeps in a space of hers, and knows others.
type besieged struct {
	*guarded
	*issuer
	alice, bob, reader, revoked, expired string // tokens
	id                                   string // of what Alice keeps
	session, deleted, bobs               string // sessions of the older era
}

func besiege(t *testing.T) *besieged {
	data := t.TempDir()
	b := &besieged{issuer: newIssuer(t)}
	b.alice = newToken(t, data, "alice", "--space", "a")
	b.bob = newToken(t, data, "bob", "--space", "b", "--rights", "read,write,admin")
	b.reader = newToken(t, data, "reader", "--space", "a", "--rights", "read")
	b.revoked = newToken(t, data, "revoked", "--space", "a")
	b.expired = newToken(t, data, "expired", "--space", "a", "--expires", "1s")
	b.guarded = serveGuarded(t, data, "--issuer", b.issuer.URL, "--public-url", publicURL, "--space-claim", "tenant", "--tools", "all")
	b.id = b.created(t, b.alice, treasure)
	b.session, b.deleted, b.bobs = b.begin(t, b.alice), b.begin(t, b.alice), b.begin(t, b.bob)
	b.try(t, attempt{method: "DELETE", header: b.in(b.deleted, b.alice)})
	revoke(t, data, "revoked") // by then the other has expired
	return b
}

// in are the headers of a request in a session.
func (b *besieged) in(session, token string) http.Header {
	h := http.Header{"Authorization": {"Bearer " + token}}
	if session != "" {
		h.Set("Mcp-Session-Id", session)
	}
	return h
}

// Whoever has no token, or one that is not good, gets nothing: not an answer of
// the protocol, and no word of what is kept.
func TestStrangersAreKeptOut(t *testing.T) {
	b := besiege(t)
	find := toolCall("", "engram_search", map[string]any{"query": "treasure"})
	now := time.Now().Unix()
	good := b.token(t, nil)
	parts := strings.Split(good, ".")
	claims := func(more jwt.MapClaims) jwt.MapClaims {
		c := jwt.MapClaims{"iss": b.issuer.URL, "aud": publicURL, "sub": "ada", "iat": now, "exp": now + 3600, "scope": "engram:read", "tenant": "a"}
		maps.Copy(c, more)
		return c
	}
	stranger, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	public, _ := x509.MarshalPKIXPublicKey(&b.key.PublicKey)

	for _, try := range []struct {
		name   string
		header []string // Authorization
		status int
	}{
		{"no token", nil, 401},
		{"an empty header", []string{""}, 401},
		{"a scheme alone", []string{"Bearer"}, 401},
		{"an empty token", []string{"Bearer "}, 401},
		{"another scheme", []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+b.alice))}, 401},
		{"no scheme", []string{b.alice}, 401},
		{"a made-up token", []string{"Bearer engram_" + strings.Repeat("A", 43)}, 401},
		{"the beginning of a token", []string{"Bearer " + b.alice[:len(b.alice)-1]}, 401},
		{"a token and more", []string{"Bearer " + b.alice + "x"}, 401},
		{"a token in another case", []string{"Bearer " + strings.ToUpper(b.alice)}, 401},
		{"a hash that is kept", []string{"Bearer " + b.hash(t, "alice")}, 401},
		{"a revoked token", []string{"Bearer " + b.revoked}, 401},
		{"an expired token", []string{"Bearer " + b.expired}, 401},
		{"two tokens in one header", []string{"Bearer " + b.alice + ", Bearer x"}, 401},
		{"two headers", []string{"Bearer " + b.alice, "Bearer x"}, 401},
		{"two headers, the other first", []string{"Bearer x", "Bearer " + b.alice}, 401},
		{"the same header twice", []string{"Bearer " + b.alice, "Bearer " + b.alice}, 401},
		{"a token of 60 KB", []string{"Bearer " + strings.Repeat("x", 60<<10)}, 401},
		{"a header of 100 KB", []string{"Bearer " + strings.Repeat("x", 100<<10)}, 431},
		{"JWT without signature", []string{"Bearer " + b.signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "one", claims(nil))}, 401},
		{"JWT with its signature cut off", []string{"Bearer " + parts[0] + "." + parts[1] + "."}, 401},
		{"JWT with other claims", []string{"Bearer " + parts[0] + "." + strings.Split(b.token(t, jwt.MapClaims{"tenant": "a"}), ".")[1] + "." + parts[2]}, 401},
		{"JWT signed by HMAC with the public key", []string{"Bearer " + b.signed(t, jwt.SigningMethodHS256, public, "one", claims(nil))}, 401},
		{"JWT of another key", []string{"Bearer " + b.signed(t, jwt.SigningMethodES256, stranger, "one", claims(nil))}, 401},
		{"JWT of an unknown key", []string{"Bearer " + b.signed(t, jwt.SigningMethodES256, b.key, "two", claims(nil))}, 401},
		{"JWT that names a file as its key", []string{"Bearer " + b.signed(t, jwt.SigningMethodES256, b.key, "../../dev/null", claims(nil))}, 401},
		{"JWT for another audience", []string{"Bearer " + b.token(t, jwt.MapClaims{"aud": "https://other.example/mcp"})}, 401},
		{"JWT for no audience", []string{"Bearer " + b.token(t, jwt.MapClaims{"aud": nil})}, 401},
		{"JWT of another issuer", []string{"Bearer " + b.token(t, jwt.MapClaims{"iss": "https://evil.example"})}, 401},
		{"JWT that has expired", []string{"Bearer " + b.token(t, jwt.MapClaims{"exp": now - 60})}, 401},
		{"JWT that never expires", []string{"Bearer " + b.token(t, jwt.MapClaims{"exp": nil})}, 401},
		{"JWT of the future", []string{"Bearer " + b.token(t, jwt.MapClaims{"nbf": now + 60})}, 401},
		{"JWT of nobody", []string{"Bearer " + b.token(t, jwt.MapClaims{"sub": ""})}, 401},
		{"JWT of somebody with a name like a terminal's command", []string{"Bearer " + b.token(t, jwt.MapClaims{"sub": "a\x1b[2Kb"})}, 401},
		{"JWT that is far too long", []string{"Bearer " + b.token(t, jwt.MapClaims{"x": strings.Repeat("x", 20<<10)})}, 401},
		{"JWT without a scope", []string{"Bearer " + b.token(t, jwt.MapClaims{"scope": nil})}, 403},
		{"JWT with scopes of others", []string{"Bearer " + b.token(t, jwt.MapClaims{"scope": "openid engram engram:reader ENGRAM:READ"})}, 403},
		{"JWT without a space", []string{"Bearer " + b.token(t, jwt.MapClaims{"tenant": nil})}, 403},
		{"JWT with a path for a space", []string{"Bearer " + b.token(t, jwt.MapClaims{"tenant": "../a"})}, 403},
		{"JWT with a list of spaces", []string{"Bearer " + b.token(t, jwt.MapClaims{"tenant": []string{"a"}})}, 403},
	} {
		t.Run(try.name, func(t *testing.T) {
			for what, a := range map[string]attempt{
				"a call":           find,
				"initialize":       {body: handshake},
				"a call in hers":   {body: string(binary.Call(1, "engram_search", map[string]any{"query": "treasure"})), header: http.Header{"Mcp-Session-Id": {b.session}}},
				"her stream":       {method: "GET", header: http.Header{"Mcp-Session-Id": {b.session}}},
				"the end of hers":  {method: "DELETE", header: http.Header{"Mcp-Session-Id": {b.session}}},
				"the numbers":      {method: "GET", path: "/metrics"},
				"a call elsewhere": {path: "/mcp/", body: find.body, header: find.header},
			} {
				a.header = maps.Clone(a.header)
				if a.header == nil {
					a.header = http.Header{}
				}
				if try.header != nil {
					a.header["Authorization"] = try.header
				}
				got := b.try(t, a)
				want := try.status
				switch {
				case a.path == "/metrics" && want == 403:
					want = 401 // the server's own token alone opens it
				case a.path == "/mcp/" && want != 431:
					want = 404
				}
				if got.status != want {
					t.Errorf("%s: %d %s, want %d", what, got.status, got.body, want)
				}
				if a.path == "" && want < 404 && !strings.Contains(got.header.Get("WWW-Authenticate"), `resource_metadata="https://memory.example/.well-known/oauth-protected-resource/mcp"`) {
					t.Errorf("%s: the challenge is %q", what, got.header.Get("WWW-Authenticate"))
				}
				if strings.Contains(got.body, "oak") || strings.Contains(got.body, `"result"`) || got.header.Get("Mcp-Session-Id") != "" {
					t.Errorf("%s: answered with %s", what, got.body)
				}
			}
		})
	}
	b.aliceIsWell(t)
	if text := b.log.String(); strings.Contains(text, b.alice) || strings.Contains(text, "oak") || strings.Contains(text, good) {
		t.Error("the log holds a token, or what is kept")
	}
}

// hash is what the server keeps of a token.
func (b *besieged) hash(t *testing.T, name string) string {
	t.Helper()
	var kept struct{ Hash string }
	raw, err := os.ReadFile(filepath.Join(b.data, "tokens", name+".json"))
	if err != nil || json.Unmarshal(raw, &kept) != nil || kept.Hash == "" {
		t.Fatal(err, kept)
	}
	return kept.Hash
}

// aliceIsWell fails if Alice has lost her session, or what she keeps.
func (b *besieged) aliceIsWell(t *testing.T) {
	t.Helper()
	got := b.try(t, attempt{body: string(binary.Call(1, "engram_get", map[string]any{"ids": []string{b.id}})), header: b.in(b.session, b.alice)})
	if got.status != 200 || !strings.Contains(got.body, treasure) {
		t.Errorf("Alice gets %d %s", got.status, got.body)
	}
}

// Sessions and requests that are not what they seem.
func TestGuestsKeepToThemselves(t *testing.T) {
	b := besiege(t)
	find := string(binary.Call(1, "engram_search", map[string]any{"query": "treasure"}))
	tampered := []byte(b.session)
	tampered[len(tampered)-3] ^= 1
	forged := make([]byte, 56)
	_, _ = rand.Read(forged)
	jwtToken := b.token(t, nil)
	bearer := func(token string, more ...string) http.Header {
		h := http.Header{"Authorization": {"Bearer " + token}}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = append(h[more[i]], more[i+1])
		}
		return h
	}
	own := toolCall(b.bob, "engram_search", map[string]any{"query": "treasure"})
	change := func(a attempt, more ...string) attempt {
		a.header = maps.Clone(a.header)
		for i := 0; i < len(more); i += 2 {
			a.header[more[i]] = []string{more[i+1]}
		}
		return a
	}
	type row struct {
		name   string
		a      attempt
		status int
	}
	var rows []row
	for name, id := range map[string]string{
		"her session": b.session, "her session, tampered with": string(tampered), "a session that was ended": b.deleted,
		"a session that was never begun": base64.RawURLEncoding.EncodeToString(forged), "a session with a well-known name": "mcp-session-00000000-0000-0000-0000-000000000000",
		"her session, cut short": b.session[:40], "her session, with a tail": b.session + "AAAA", "two sessions": b.bobs + "," + b.session,
	} {
		for who, token := range map[string]string{"Bob": b.bob, "a guest of the issuer": jwtToken, "a reader of her space": b.reader} {
			rows = append(rows,
				row{who + " posts to " + name, attempt{body: find, header: b.in(id, token)}, 404},
				row{who + " listens to " + name, attempt{method: "GET", header: b.in(id, token)}, 404},
				row{who + " ends " + name, attempt{method: "DELETE", header: b.in(id, token)}, 404})
		}
	}
	rows = append(rows,
		row{"no session", attempt{body: find, header: b.in("", b.bob)}, 400},
		row{"her ended session, by herself", attempt{body: find, header: b.in(b.deleted, b.alice)}, 404},
		row{"another name of this machine", change(own, "Host", "evil.example"), 403},
		row{"another name with the port", change(own, "Host", "evil.example:7077"), 403},
		row{"a name that looks like this machine", change(own, "Host", "localhost.evil.example"), 403},
		row{"a page of another site", change(own, "Origin", "https://evil.example"), 403},
		row{"a page of nowhere", change(own, "Origin", "null"), 403},
		row{"a page of another site that hides it", change(own, "Sec-Fetch-Site", "cross-site"), 403},
		row{"a form of a page", change(own, "Content-Type", "text/plain"), 415},
		row{"PUT", change(attempt{method: "PUT", body: own.body, header: own.header}), 405},
		row{"PATCH", change(attempt{method: "PATCH", body: own.body, header: own.header}), 405},
		row{"TRACE", change(attempt{method: "TRACE", header: own.header}), 405},
		row{"OPTIONS", change(attempt{method: "OPTIONS", header: own.header}), 405},
		row{"a method that says another", attempt{body: find, header: bearer(b.bob, "Mcp-Session-Id", b.session, "X-Http-Method-Override", "DELETE")}, 404},
		row{"a batch", change(attempt{body: "[" + own.body + "]", header: own.header}), 400},
		row{"headers that belong to another call", change(own, "Mcp-Name", "engram_forget"), 400},
		row{"a header that belongs to another era", change(own, "Mcp-Protocol-Version", "2025-11-25"), 400},
		row{"a member twice", change(attempt{body: strings.Replace(own.body, `{"id":1`, `{"id":1,"method":"tools/list"`, 1), header: own.header}), 400},
		row{"the numbers", attempt{method: "GET", path: "/metrics", header: bearer(b.bob)}, 401},
		row{"a token in the address", attempt{path: "/mcp?access_token=" + b.alice, body: find}, 401},
		row{"a token in a cookie", attempt{body: find, header: http.Header{"Cookie": {"Authorization=Bearer " + b.alice}}}, 401},
		row{"a way around", attempt{path: "/x/..%2fmcp", body: own.body, header: own.header}, 404},
	)
	for _, r := range rows {
		got := b.try(t, r.a)
		if got.status != r.status {
			t.Errorf("%s: %d %s, want %d", r.name, got.status, got.body, r.status)
		}
		if strings.Contains(got.body, "oak") {
			t.Errorf("%s: answered with %s", r.name, got.body)
		}
	}
	t.Logf("%d attempts", len(rows))
	b.aliceIsWell(t)
}

// A token opens its own space, with its own rights, whatever is asked for.
func TestRightsCannotBeWidened(t *testing.T) {
	b := besiege(t)
	elsewhere, here := b.token(t, nil), b.token(t, jwt.MapClaims{"tenant": "a", "scope": "engram:read"})
	for name, a := range map[string]attempt{
		"Bob reads":                      toolCall(b.bob, "engram_get", map[string]any{"ids": []string{b.id}}),
		"Bob finds":                      toolCall(b.bob, "engram_search", map[string]any{"query": "treasure oak"}),
		"Bob lists":                      toolCall(b.bob, "engram_search", map[string]any{}),
		"Bob follows":                    toolCall(b.bob, "engram_graph", map[string]any{"start": b.id, "mode": "neighbors"}),
		"Bob looks back":                 toolCall(b.bob, "engram_history", map[string]any{"id": b.id}),
		"Bob restores":                   toolCall(b.bob, "engram_restore", map[string]any{"id": b.id}),
		"Bob changes":                    toolCall(b.bob, "engram_update", map[string]any{"id": b.id, "content": "gone"}),
		"Bob forgets":                    toolCall(b.bob, "engram_forget", map[string]any{"ids": []string{b.id}}),
		"Bob links":                      toolCall(b.bob, "engram_link", map[string]any{"from": b.id, "to": b.id, "relation": "x"}),
		"Bob names the space":            toolCall(b.bob, "engram_search", map[string]any{"query": "treasure", "space": "a"}),
		"Bob names a principal":          toolCall(b.bob, "engram_get", map[string]any{"ids": []string{b.id}, "principal": "alice"}),
		"Bob reads the resource":         alone(b.bob, "resources/read", "engram://"+b.id, map[string]any{"uri": "engram://" + b.id}),
		"Bob asks the prompt":            alone(b.bob, "prompts/get", "recall", map[string]any{"name": "recall", "arguments": map[string]any{"topic": "treasure"}}),
		"Bob purges by filter":           toolCall(b.bob, "engram_forget", map[string]any{"filter": map[string]any{"kind": "fact"}, "dry_run": true}),
		"Bob calls what cannot be":       toolCall(b.bob, "engram_dispatch", map[string]any{"tool": "engram_get", "arguments": map[string]any{"ids": []string{b.id}}}),
		"a guest of the issuer reads":    toolCall(elsewhere, "engram_get", map[string]any{"ids": []string{b.id}}),
		"a guest of the issuer finds":    toolCall(elsewhere, "engram_search", map[string]any{"query": "treasure oak"}),
		"a reader creates":               toolCall(b.reader, "engram_create", map[string]any{"content": "by the reader"}),
		"a reader changes":               toolCall(b.reader, "engram_update", map[string]any{"id": b.id, "content": "gone"}),
		"a reader forgets":               toolCall(b.reader, "engram_forget", map[string]any{"ids": []string{b.id}}),
		"a reader maintains":             toolCall(b.reader, "memory_maintain", map[string]any{"policy": "purge"}),
		"a reader installs":              toolCall(b.reader, "agent_install", map[string]any{"code_base64": "AGFzbQEAAAA="}),
		"Alice maintains":                toolCall(b.alice, "memory_maintain", map[string]any{"policy": "purge"}),
		"Alice installs":                 toolCall(b.alice, "agent_install", map[string]any{"code_base64": "AGFzbQEAAAA="}),
		"a reader by the issuer creates": toolCall(here, "engram_create", map[string]any{"content": "by the reader"}),
		"a reader by the issuer forgets": toolCall(here, "engram_forget", map[string]any{"ids": []string{b.id}}),
	} {
		got := b.try(t, a)
		var m struct {
			Result struct {
				IsError           bool
				StructuredContent json.RawMessage
			}
			Error json.RawMessage
		}
		_ = json.Unmarshal([]byte(got.body), &m)
		empty := strings.Contains(string(m.Result.StructuredContent), `"hits":[]`) || strings.Contains(string(m.Result.StructuredContent), `"engrams":[]`) ||
			strings.Contains(string(m.Result.StructuredContent), `"forgotten":[]`) || strings.Contains(got.body, `\"hits\":[]`)
		if m.Error == nil && !m.Result.IsError && !empty || strings.Contains(got.body, "oak") {
			t.Errorf("%s: answered with %d %s", name, got.status, got.body)
		}
	}
	b.aliceIsWell(t)
	for name, token := range map[string]string{"the reader": b.reader, "the reader by the issuer": here} {
		if got := b.try(t, toolCall(token, "engram_search", map[string]any{"query": "treasure"})); !strings.Contains(got.body, treasure) {
			t.Errorf("%s may read, and gets %d %s", name, got.status, got.body)
		}
	}
	created := b.try(t, toolCall(elsewhere, "engram_create", map[string]any{"content": "by a guest"}))
	got := b.try(t, toolCall(elsewhere, "engram_search", map[string]any{"query": "guest"}))
	if want := `"author":"ada@` + strings.TrimPrefix(b.issuer.URL, "http://") + `"`; !strings.Contains(got.body, want) {
		t.Errorf("what a guest of the issuer writes is %s %s, want %s", created.body, got.body, want)
	}
}

// A token that is taken back while it is in use opens nothing more, and what it
// has opened is closed.
func TestRevokedTokensLoseTheirSessionsAndStreams(t *testing.T) {
	data := t.TempDir()
	token := newToken(t, data, "guest")
	g := serveGuarded(t, data)
	session := g.begin(t, token)
	open := func(r *http.Request, err error) io.ReadCloser {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		if resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		return resp.Body
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", g.url+"/mcp", nil)
	r.Header.Set("Mcp-Session-Id", session)
	streams := []io.ReadCloser{open(r, err)}
	listen := alone(token, "subscriptions/listen", "", map[string]any{"notifications": map[string]any{"toolsListChanged": true}})
	r, err = http.NewRequestWithContext(t.Context(), "POST", g.url+"/mcp", strings.NewReader(listen.body))
	maps.Copy(r.Header, listen.header)
	r.Header.Set("Content-Type", "application/json")
	streams = append(streams, open(r, err))

	revoke(t, data, "guest")
	if got := g.try(t, attempt{body: string(binary.Call(1, "engram_search", nil)), header: http.Header{"Authorization": {"Bearer " + token}, "Mcp-Session-Id": {session}}}); got.status != 401 {
		t.Errorf("a call in its session: %d %s", got.status, got.body)
	}
	for i, s := range streams {
		ended := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, s); close(ended) }()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatalf("stream %d goes on", i)
		}
	}
}

// Whoever has a session keeps it when the server is started anew, or at another
// one with the same token of its own. At a server with another it is nothing.
func TestSessionsOutliveTheServer(t *testing.T) {
	data := t.TempDir()
	token := newToken(t, data, "guest")
	first := serveGuarded(t, data)
	session := first.begin(t, token)
	call := attempt{body: string(binary.Call(1, "engram_search", map[string]any{})), header: http.Header{"Authorization": {"Bearer " + token}, "Mcp-Session-Id": {session}}}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := serveGuarded(t, data).try(t, call); got.status != 200 {
		t.Errorf("after it was started anew: %d %s", got.status, got.body)
	}
	if err := os.Remove(filepath.Join(data, "token")); err != nil {
		t.Fatal(err)
	}
	if got := serveGuarded(t, data).try(t, call); got.status != 404 {
		t.Errorf("with another token of its own: %d %s", got.status, got.body)
	}
}

// Requests that two readers of HTTP could read in two ways are read in none.
func TestAmbiguousRequestsAreRefused(t *testing.T) {
	data := t.TempDir()
	token := newToken(t, data, "guest")
	g := serveGuarded(t, data)
	head := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/json\r\n"
	for name, text := range map[string]string{
		"two lengths":             head + "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
		"a length and chunks":     head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
		"chunks of another kind":  head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"two hosts":               head + "Host: evil.example\r\nContent-Length: 2\r\n\r\n{}",
		"no host":                 "POST /mcp HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
		"an address of elsewhere": strings.Replace(head, "/mcp", "http://evil.example/mcp", 1) + "Content-Length: 2\r\n\r\n{}",
		"a line that is folded":   head + "X: y\r\n z: w\r\nContent-Length: 2\r\n\r\n{}",
		"a space before a colon":  head + "Transfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\n{}",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if resp.StatusCode < 400 {
			t.Errorf("%s: %s", name, resp.Status)
		}
		c.Close()
	}
}

// A certificate is renewed without a restart; damaged files change nothing.
func TestCertificatesAreTakenUp(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 1)
	g := serveGuarded(t, t.TempDir(), "--tls-cert", cert, "--tls-key", key)
	serial := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", strings.TrimPrefix(g.url, "http://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Errorf("certificate %d is shown", n)
	}
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	g.url = "https" + strings.TrimPrefix(g.url, "http")
	a := toolCall(g.ownToken(t), "engram_search", map[string]any{})
	a.client = secure
	if got := g.try(t, a); got.status != 200 {
		t.Errorf("a call over HTTPS: %d %s", got.status, got.body)
	}
	g.url = "http" + strings.TrimPrefix(g.url, "https")
	if got := g.try(t, attempt{method: "GET", path: "/healthz"}); got.status != 400 {
		t.Errorf("a call without TLS: %d %s", got.status, got.body)
	}

	time.Sleep(1100 * time.Millisecond)
	writeCertificate(t, cert, key, 2)
	if n := serial(); n != 2 {
		t.Errorf("after it was renewed certificate %d is shown", n)
	}
	time.Sleep(1100 * time.Millisecond)
	if err := os.WriteFile(cert, []byte("half a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 2 {
		t.Errorf("after it was damaged certificate %d is shown", n)
	}
}

func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
