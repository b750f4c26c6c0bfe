package transport

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
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

// AuthError refuses a request with a status and a challenge of choice.
type AuthError struct {
	Status    int    // 0 means 401
	Challenge string // of WWW-Authenticate; empty means `Bearer realm="mcp"`
	Err       error  // for the log
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
			return Identity{}, &AuthError{Challenge: `Bearer realm="mcp", error="invalid_token"`, Err: errBadToken}
		}
		return found, nil
	}
}

// bearerToken returns the token in the Authorization header of r.
func bearerToken(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errNoToken
	}
	return token, nil
}

// refuse answers a request that was not authenticated.
func (e *endpoint) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, challenge := http.StatusUnauthorized, `Bearer realm="mcp"`
	var chosen *AuthError
	if errors.As(err, &chosen) {
		if chosen.Status != 0 {
			status = chosen.Status
		}
		if chosen.Challenge != "" {
			challenge = chosen.Challenge
		}
	}
	e.log.Warn("request refused", "remote", r.RemoteAddr, "status", status, "err", err)
	w.Header().Set("WWW-Authenticate", challenge)
	http.Error(w, "send a valid token in the header Authorization: Bearer TOKEN", status)
}
