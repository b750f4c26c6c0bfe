package transport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// An issuer signs tokens and tells its public keys.
type issuer struct {
	*httptest.Server
	path string // where its keys are configured, of the two ways

	mu      sync.Mutex
	keys    map[string]crypto.Signer
	extra   []map[string]any // further keys, as they stand in the document
	fetches int
	down    bool
}

func newIssuer(t testing.TB) *issuer {
	i := &issuer{path: "/.well-known/openid-configuration", keys: map[string]crypto.Signer{}}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		switch {
		case i.down:
			http.Error(w, "down", http.StatusServiceUnavailable)
		case r.URL.Path == i.path:
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.URL, i.URL+"/keys")
		case r.URL.Path == "/keys":
			i.fetches++
			list := append([]map[string]any{}, i.extra...)
			for id, k := range i.keys {
				list = append(list, publicJWK(id, k.Public()))
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": list})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func publicJWK(id string, key crypto.PublicKey) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	switch k := key.(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": id, "use": "sig", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, _ := k.Bytes()
		half := len(point) / 2
		return map[string]any{"kty": "EC", "kid": id, "crv": k.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "kid": id, "crv": "Ed25519", "x": b64(k)}
	}
	panic("no such key")
}

func newRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// good is what a token says that is valid at the server "https://memory.example/mcp".
func (i *issuer) good() jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"iss": i.URL, "sub": "ada", "aud": "https://memory.example/mcp",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "engram:read openid",
	}
}

func signed(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, header)
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// with is claims with others in their place; nil takes one away.
func with(claims jwt.MapClaims, pairs ...any) jwt.MapClaims {
	c := maps.Clone(claims)
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i].(string)] = pairs[i+1]
		if pairs[i+1] == nil {
			delete(c, pairs[i].(string))
		}
	}
	return c
}

// bearer asks an Authenticator who has a token.
func bearer(a Authenticator, token string) (Identity, error) {
	r := httptest.NewRequest("POST", "/mcp", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return a(r)
}

func jwtTokens(t testing.TB, issuers ...string) Authenticator {
	t.Helper()
	a, err := JWTTokens(JWTOptions{Issuers: issuers, Audiences: []string{"https://memory.example/mcp", "api://memory"},
		Identify: func(c Claims) (Identity, error) {
			return Identity{Key: fmt.Sprintf("%s %s %q", c.Issuer, c.Subject, c.Scopes)}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestJWTTokens(t *testing.T) {
	i := newIssuer(t)
	rsaKey := newRSA(t, 2048)
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	weak := newRSA(t, 1024)
	i.keys = map[string]crypto.Signer{"r": rsaKey, "e": ecKey, "d": edKey, "weak": weak}
	forPS := publicJWK("ps", rsaKey.Public())
	forPS["alg"] = "PS256"
	encrypts := publicJWK("enc", rsaKey.Public())
	encrypts["use"] = "enc"
	i.extra = []map[string]any{forPS, encrypts, {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}, {"kty": "EC", "kid": "off", "crv": "P-256", "x": "AA", "y": "AA"}}
	a := jwtTokens(t, i.URL)
	good, kid := i.good(), func(id string) map[string]any { return map[string]any{"kid": id} }
	now := time.Now().Unix()

	for name, token := range map[string]string{
		"RS256":                 signed(t, jwt.SigningMethodRS256, rsaKey, kid("r"), good),
		"PS256":                 signed(t, jwt.SigningMethodPS256, rsaKey, kid("ps"), good),
		"ES256":                 signed(t, jwt.SigningMethodES256, ecKey, kid("e"), good),
		"EdDSA":                 signed(t, jwt.SigningMethodEdDSA, edKey, kid("d"), good),
		"an access token":       signed(t, jwt.SigningMethodES256, ecKey, map[string]any{"kid": "e", "typ": "at+jwt"}, good),
		"one audience of many":  signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "aud", []string{"x", "api://memory"})),
		"clocks that differ":    signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "nbf", now+20, "iat", now+20)),
		"expired a moment ago":  signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "exp", now-20)),
		"scopes in another way": signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "scope", nil, "scp", []string{"engram:read", "openid"})),
	} {
		want := i.URL + ` ada ["engram:read" "openid"]`
		if who, err := bearer(a, token); err != nil || who.Key != want {
			t.Errorf("%s: %q, %v", name, who.Key, err)
		}
	}

	fine := signed(t, jwt.SigningMethodES256, ecKey, kid("e"), good)
	parts := strings.Split(fine, ".")
	other := with(good, "sub", "eve")
	otherParts := strings.Split(signed(t, jwt.SigningMethodES256, ecKey, kid("e"), other), ".")
	spki, _ := x509.MarshalPKIXPublicKey(rsaKey.Public())
	stranger, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for name, token := range map[string]string{
		"no signature":                      signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid("e"), good),
		"signature cut off":                 parts[0] + "." + parts[1] + ".",
		"two parts":                         parts[0] + "." + parts[1],
		"four parts":                        fine + ".x",
		"claims of another token":           parts[0] + "." + otherParts[1] + "." + parts[2],
		"HMAC with the public key":          signed(t, jwt.SigningMethodHS256, spki, kid("r"), good),
		"HMAC with a key that is published": signed(t, jwt.SigningMethodHS256, []byte("secret"), kid("secret"), good),
		"another's key":                     signed(t, jwt.SigningMethodES256, stranger, kid("e"), good),
		"a key in the header":               signed(t, jwt.SigningMethodES256, stranger, map[string]any{"kid": "e", "jwk": publicJWK("e", stranger.Public())}, good),
		"an unknown key":                    signed(t, jwt.SigningMethodES256, ecKey, kid("x"), good),
		"no key named":                      signed(t, jwt.SigningMethodES256, ecKey, nil, good),
		"a weak key":                        signed(t, jwt.SigningMethodRS256, weak, kid("weak"), good),
		"a key for another algorithm":       signed(t, jwt.SigningMethodRS256, rsaKey, kid("ps"), good),
		"a key of another kind":             signed(t, jwt.SigningMethodES256, ecKey, kid("r"), good),
		"a key that encrypts":               signed(t, jwt.SigningMethodRS256, rsaKey, kid("enc"), good),
		"a damaged key":                     signed(t, jwt.SigningMethodES256, ecKey, kid("off"), good),
		"another issuer":                    signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "iss", "https://evil.example")),
		"no issuer":                         signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "iss", nil)),
		"the issuer with a slash":           signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "iss", i.URL+"/")),
		"another audience":                  signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "aud", "https://other.example/mcp")),
		"no audience":                       signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "aud", nil)),
		"expired":                           signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "exp", now-60)),
		"never expires":                     signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "exp", nil)),
		"not valid yet":                     signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "nbf", now+60)),
		"issued in the future":              signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "iat", now+60)),
		"no subject":                        signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "sub", nil)),
		"a subject that is no text":         signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "sub", 7)),
		"another type of token":             signed(t, jwt.SigningMethodES256, ecKey, map[string]any{"kid": "e", "typ": "logout+jwt"}, good),
		"a critical extension":              signed(t, jwt.SigningMethodES256, ecKey, map[string]any{"kid": "e", "crit": []string{"b64"}}, good),
		"far too long":                      signed(t, jwt.SigningMethodES256, ecKey, kid("e"), with(good, "x", strings.Repeat("x", maxJWT))),
		"no token":                          "engram_abc",
	} {
		who, err := bearer(a, token)
		var refused *AuthError
		if !errors.As(err, &refused) || refused.Reason != InvalidToken || who.Key != "" {
			t.Errorf("%s: %q, %v", name, who.Key, err)
		}
	}
}

func TestJWTIssuersMustBeSafe(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://login.example": true, "https://login.example/realms/a": true, "http://localhost:8080": true, "http://127.0.0.1": true,
		"http://login.example": false, "login.example": false, "": false, "ftp://localhost": false, "https://user:pw@login.example": false,
		"http://localhost.evil.example": false,
	} {
		if _, err := JWTTokens(JWTOptions{Issuers: []string{url}, Audiences: []string{"a"}}); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := JWTTokens(JWTOptions{Issuers: []string{"https://login.example"}}); err == nil {
		t.Error("tokens for anybody are taken")
	}
}

func TestJWTKeysAreFetchedSeldom(t *testing.T) {
	i := newIssuer(t)
	i.path = "/.well-known/oauth-authorization-server" // the other way
	first, second := newRSA(t, 2048), newRSA(t, 2048)
	i.keys["1"] = first
	set, now := newKeySet(i.URL), time.Now()
	set.now = func() time.Time { return now }
	find := func(id string) error {
		_, err := set.find(t.Context(), id, "RS256")
		return err
	}
	fetches := func(want int) {
		t.Helper()
		waitFor(t, func() bool { set.mu.Lock(); defer set.mu.Unlock(); return set.running == nil })
		i.set(func() {
			if i.fetches != want {
				t.Errorf("the keys were fetched %d times, want %d", i.fetches, want)
			}
		})
	}

	for range 100 {
		if err := find("1"); err != nil {
			t.Fatal(err)
		}
	}
	fetches(1)
	for n := range 100 {
		if find(fmt.Sprint("made up ", n)) == nil {
			t.Fatal("a key that does not exist is found")
		}
	}
	fetches(1)

	// The issuer changes its key.
	i.set(func() { i.keys = map[string]crypto.Signer{"2": second} })
	now = now.Add(fetchPause)
	if err := find("2"); err != nil {
		t.Errorf("a new key: %v", err)
	}
	fetches(2)
	if find("1") == nil {
		t.Error("a key that was withdrawn is found")
	}

	// It cannot be reached.
	i.set(func() { i.down = true })
	now = now.Add(keysFresh + time.Second)
	if err := find("2"); err != nil {
		t.Errorf("while the issuer is down: %v", err)
	}
	now = now.Add(keysUsable)
	if find("2") == nil {
		t.Error("keys are good for ever if the issuer is down")
	}
	i.set(func() { i.down = false })
	now = now.Add(fetchPause)
	if err := find("2"); err != nil {
		t.Errorf("when the issuer is back: %v", err)
	}
	fetches(3)
}

// What an issuer answers is bounded, and taken from where it says it is only.
func TestJWTIssuersThatMisbehave(t *testing.T) {
	keys := func(w http.ResponseWriter, at, issuer string) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer, at)
	}
	good := fmt.Sprintf(`{"keys":[%s]}`, mustJSON(publicJWK("1", newRSA(t, 2048).Public())))
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request, self string){
		"well behaved": func(w http.ResponseWriter, r *http.Request, self string) {
			if r.URL.Path == "/keys" {
				fmt.Fprint(w, good)
				return
			}
			keys(w, self+"/keys", self)
		},
		"another's name": func(w http.ResponseWriter, r *http.Request, self string) {
			if r.URL.Path == "/keys" {
				fmt.Fprint(w, good)
				return
			}
			keys(w, self+"/keys", "https://other.example")
		},
		"keys in the clear": func(w http.ResponseWriter, _ *http.Request, self string) { keys(w, "http://keys.example/", self) },
		"redirects": func(w http.ResponseWriter, r *http.Request, self string) {
			http.Redirect(w, r, self+"/x", http.StatusFound)
		},
		"endless": func(w http.ResponseWriter, r *http.Request, self string) {
			if r.URL.Path == "/keys" {
				fmt.Fprint(w, good, strings.Repeat(" ", maxDocument))
				return
			}
			keys(w, self+"/keys", self)
		},
		"too many keys": func(w http.ResponseWriter, r *http.Request, self string) {
			if r.URL.Path == "/keys" {
				one := mustJSON(publicJWK("1", newRSA(t, 2048).Public()))
				fmt.Fprintf(w, `{"keys":[%s]}`, strings.Repeat(one+",", maxKeys)+one)
				return
			}
			keys(w, self+"/keys", self)
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request, _ string) { fmt.Fprint(w, "<html>") },
	} {
		t.Run(name, func(t *testing.T) {
			var self string
			ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r, self) }))
			defer ts.Close()
			self = ts.URL
			if _, err := newKeySet(self).find(t.Context(), "1", "RS256"); (err == nil) != (name == "well behaved") {
				t.Error(err)
			}
		})
	}
}

func TestHTTPTellsWhereTokensAreGot(t *testing.T) {
	s, _ := newTestServer(t, Options{})
	o := twoTokens
	o.Resource = &ProtectedResource{URL: "https://memory.example/team/mcp", Issuers: []string{"https://login.example"}, Scopes: []string{"engram:read", "engram:write"}}
	c := &web{t: t, url: serveHTTP(t, s, o)}
	const metadata = `resource_metadata="https://memory.example/.well-known/oauth-protected-resource/team/mcp", scope="engram:read engram:write"`
	for header, want := range map[string]string{
		"":             `Bearer realm="mcp", ` + metadata,
		"Bearer wrong": `Bearer realm="mcp", error="invalid_token", ` + metadata,
	} {
		c.header = http.Header{"Authorization": {header}}
		if resp, _ := c.post(initialize); resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != want {
			t.Errorf("%q: %s %s", header, resp.Status, resp.Header.Get("WWW-Authenticate"))
		}
	}
	w := httptest.NewRecorder()
	o.Resource.ServeHTTP(w, httptest.NewRequest("GET", metadataPath, nil))
	const want = `{"authorization_servers":["https://login.example"],"bearer_methods_supported":["header"],"resource":"https://memory.example/team/mcp","scopes_supported":["engram:read","engram:write"]}`
	if w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s %s", w.Header(), w.Body)
	}
}

// Who may not come any more loses an open stream, too.
func TestHTTPStreamsEndWithTheirToken(t *testing.T) {
	eachEra(t, func(t *testing.T, e era) {
		s, _ := newTestServer(t, Options{})
		var mu sync.Mutex
		revoked := false
		h := s.Handler(HTTPOptions{Authenticate: func(*http.Request) (Identity, error) {
			mu.Lock()
			defer mu.Unlock()
			if revoked {
				return Identity{}, errBadToken
			}
			return Identity{Key: "a"}, nil
		}}).(*endpoint)
		h.recheck = 10 * time.Millisecond
		ts := httptest.NewServer(h)
		t.Cleanup(ts.Close) // after the streams are closed
		c := visit(t, ts.URL, e)
		var stream events
		if e.name == legacy.name {
			stream = newEvents(c.do(t.Context(), "GET", "").Body)
		} else {
			stream = newEvents(c.do(t.Context(), "POST", e.request("1", "subscriptions/listen", `"notifications":{"toolsListChanged":true}`)).Body)
			stream.next() // the acknowledgement
		}
		mu.Lock()
		revoked = true
		mu.Unlock()
		ended := make(chan wire, 1)
		go func() { w, _ := stream.next(); ended <- w }()
		select {
		case w := <-ended:
			if w.Method != "" {
				t.Errorf("the stream tells %+v", w)
			}
		case <-time.After(patience):
			t.Fatal("the stream goes on")
		}
	})
}

// Whatever an issuer publishes, it is a key for signatures of its kind, or none.
func FuzzJSONKey(f *testing.F) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ed, _, _ := ed25519.GenerateKey(rand.Reader)
	for _, key := range []crypto.PublicKey{newRSA(f, 2048).Public(), ec.Public(), ed} {
		f.Add([]byte(mustJSON(publicJWK("1", key))))
	}
	f.Add([]byte(`{"kty":"EC","crv":"P-521","x":"","y":""}`))
	f.Add([]byte(`{"kty":"RSA","n":"AA","e":"AA"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var k jsonKey
		if json.Unmarshal(raw, &k) != nil {
			return
		}
		alg := map[string]string{"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[k.Type]
		if key := k.public(); key != nil {
			if err := jwt.GetSigningMethod(alg).Verify("x", make([]byte, 64), key); errors.Is(err, jwt.ErrInvalidKeyType) {
				t.Errorf("%s is a key that answers %v", raw, err)
			}
		}
	})
}
