package transport

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// The reasons of RFC 6750 to refuse a request that has a token.
const (
	InvalidToken      = "invalid_token"      // unknown, expired, revoked, or made for another server
	InsufficientScope = "insufficient_scope" // good, but it does not allow this
)

// Identity is who sends an HTTP request.
type Identity struct {
	// Key tells identities apart: sessions, limits and cancellations of one
	// are never those of another. It is not shown to anybody.
	Key string

	// Context, if not nil, puts into the context of each request what its
	// handlers must know of the identity.
	Context func(context.Context) context.Context
}

// Authenticator tells who sends a request, from its headers. The body must not be
// read. Any error refuses the request with 401, and its text is logged and not
// shown; an [AuthError] chooses the answer.
type Authenticator func(*http.Request) (Identity, error)

// AuthError refuses a request with a status and a reason of choice.
type AuthError struct {
	Status int    // 0 means 401
	Reason string // of RFC 6750, as invalid_token; empty if the request has no token
	Scope  string // what a token would need; empty means what Resource asks for
	Err    error  // for the log
}

func (e *AuthError) Error() string {
	if e.Err == nil {
		return http.StatusText(e.Status)
	}
	return e.Err.Error()
}

func (e *AuthError) Unwrap() error { return e.Err }

var (
	errNoToken  = errors.New("the request has no bearer token")
	errTwice    = errors.New("the request has more than one Authorization header")
	errBadToken = errors.New("the bearer token is unknown")
)

// TokenHash is the SHA-256 of a bearer token: what a server keeps of it.
type TokenHash [sha256.Size]byte

// HashToken returns the hash of a token. Tokens must be random, of 128 bits or
// more: a guessable one can be found from its hash.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// BearerTokens authenticates by the bearer tokens with the given hashes. It looks
// at all of them each time, so that its timing tells nothing. The map must not
// change afterwards.
func BearerTokens(tokens map[TokenHash]Identity) Authenticator {
	return func(r *http.Request) (Identity, error) {
		token, err := bearerToken(r)
		if err != nil {
			return Identity{}, err
		}
		sent := HashToken(token)
		var found Identity
		ok := 0
		for hash, id := range tokens {
			if subtle.ConstantTimeCompare(hash[:], sent[:]) == 1 {
				found, ok = id, 1
			}
		}
		if ok == 0 {
			return Identity{}, &AuthError{Reason: InvalidToken, Err: errBadToken}
		}
		return found, nil
	}
}

// bearerToken returns the token in the one Authorization header of r. With two a
// proxy and the server could each believe another.
func bearerToken(r *http.Request) (string, error) {
	if len(r.Header["Authorization"]) > 1 {
		return "", &AuthError{Reason: "invalid_request", Err: errTwice}
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errNoToken
	}
	return token, nil
}

// refuse answers a request that was not authenticated.
func (e *endpoint) refuse(w http.ResponseWriter, r *http.Request, err error) {
	refused, chosen := errors.AsType[*AuthError](err)
	if !chosen {
		refused = &AuthError{}
	}
	status := cmp.Or(refused.Status, http.StatusUnauthorized)
	e.complaints.warn("request refused", "remote", r.RemoteAddr, "status", status, "err", err)
	w.Header().Set("WWW-Authenticate", e.resource.challenge(refused))
	http.Error(w, "send a valid token in the header Authorization: Bearer TOKEN", status)
}

// ProtectedResource tells clients that have no token where to get one, as
// RFC 9728 says. As a handler it serves the metadata, which belong at
// /.well-known/oauth-protected-resource and below it.
type ProtectedResource struct {
	URL     string   // by which clients call the server: scheme, host and path
	Issuers []string // authorization servers whose tokens it takes
	Scopes  []string // what a client should ask for
}

const metadataPath = "/.well-known/oauth-protected-resource"

// ServeHTTP answers with the metadata. Any page may read them.
func (p *ProtectedResource) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	b, _ := json.Marshal(map[string]any{ // strings always marshal
		"resource":                 p.URL,
		"authorization_servers":    p.Issuers,
		"scopes_supported":         p.Scopes,
		"bearer_methods_supported": []string{"header"},
	})
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	writeJSON(w, http.StatusOK, b)
}

// metadataURL is where the metadata of the resource are found.
func (p *ProtectedResource) metadataURL() string {
	u, err := url.Parse(p.URL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + metadataPath + strings.TrimSuffix(u.EscapedPath(), "/")
}

// challenge says in the words of RFC 6750 what is missing. The nil resource tells
// nothing of where to get it.
func (p *ProtectedResource) challenge(refused *AuthError) string {
	text := `Bearer realm="mcp"`
	if refused.Reason != "" {
		text += `, error="` + refused.Reason + `"`
	}
	scope := refused.Scope
	if p != nil {
		scope = cmp.Or(scope, strings.Join(p.Scopes, " "))
		text += `, resource_metadata="` + p.metadataURL() + `"`
	}
	if scope != "" {
		text += `, scope="` + scope + `"`
	}
	return text
}
