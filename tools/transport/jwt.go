package transport

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	maxJWT    = 16 << 10         // bytes of a token
	jwtLeeway = 30 * time.Second // by which clocks may differ
)

// algorithms are those that a token may be signed by: with a public key, so that
// who can check a token cannot make one. "none" and HMAC are not among them.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// JWTOptions configures an Authenticator of [JWTTokens].
type JWTOptions struct {
	// Issuers are whom tokens are taken from: the URLs in their claim iss. They
	// must be https, unless they are on this machine.
	Issuers []string

	// Audiences are the values of the claim aud that mean this server. A token
	// that names none of them was made for another.
	Audiences []string

	// Identify tells who has a token that is valid. An error refuses the
	// request as an error of an Authenticator does.
	Identify func(Claims) (Identity, error)
}

// Claims are what a valid token says.
type Claims struct {
	Issuer, Subject string
	Scopes          []string // of the claim scope, or scp
	all             jwt.MapClaims
}

// Text returns the claim with the given name if it is a string, or "".
func (c Claims) Text(name string) string {
	s, _ := c.all[name].(string)
	return s
}

// JWTTokens authenticates by bearer tokens that issuers sign: JSON Web Tokens
// with issuer, audience, subject and expiry. The keys of an issuer are fetched
// when its first token comes, by OpenID Connect Discovery or RFC 8414, and kept;
// a key that the issuer withdraws is taken for ten minutes more, and for a day
// if the issuer cannot be reached.
func JWTTokens(o JWTOptions) (Authenticator, error) {
	if len(o.Issuers) == 0 || len(o.Audiences) == 0 {
		return nil, errors.New("transport: tokens need an issuer and an audience")
	}
	keys := make(map[string]*keySet, len(o.Issuers))
	for _, issuer := range o.Issuers {
		if err := safeURL(issuer); err != nil {
			return nil, fmt.Errorf("transport: issuer %s: %w", issuer, err)
		}
		keys[issuer] = newKeySet(issuer)
	}
	parser := jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithAudience(o.Audiences...),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(jwtLeeway))
	return func(r *http.Request) (Identity, error) {
		raw, err := bearerToken(r)
		if err != nil {
			return Identity{}, err
		}
		if len(raw) > maxJWT {
			return Identity{}, &AuthError{Reason: InvalidToken, Err: fmt.Errorf("the token is longer than %d bytes", maxJWT)}
		}
		token, err := parser.Parse(raw, func(t *jwt.Token) (any, error) { return keyFor(r, t, keys) })
		if err != nil {
			return Identity{}, &AuthError{Reason: InvalidToken, Err: err}
		}
		claims, err := readClaims(token)
		if err != nil {
			return Identity{}, &AuthError{Reason: InvalidToken, Err: err}
		}
		return o.Identify(claims)
	}, nil
}

// keyFor finds the key that a token claims to be signed by, among those of the
// issuer that it claims to be from.
func keyFor(r *http.Request, t *jwt.Token, keys map[string]*keySet) (any, error) {
	if _, has := t.Header["crit"]; has { // an extension that must be understood
		return nil, errors.New("the token has critical headers")
	}
	switch typ, _ := t.Header["typ"].(string); strings.ToLower(typ) {
	case "", "jwt", "at+jwt", "application/at+jwt":
	default:
		return nil, fmt.Errorf("a token of type %q is no access token", typ)
	}
	issuer, err := t.Claims.GetIssuer()
	if err != nil {
		return nil, err
	}
	set := keys[issuer]
	if set == nil {
		return nil, fmt.Errorf("the issuer %q is not configured", issuer)
	}
	kid, _ := t.Header["kid"].(string)
	return set.find(r.Context(), kid, t.Method.Alg())
}

// readClaims takes from a token that was checked what it says.
func readClaims(t *jwt.Token) (Claims, error) {
	c := Claims{all: t.Claims.(jwt.MapClaims)}
	c.Issuer, c.Subject = c.Text("iss"), c.Text("sub")
	if c.Subject == "" {
		return c, errors.New("the token has no subject")
	}
	for _, name := range []string{"scope", "scp"} { // of RFC 9068, and of some issuers
		switch v := c.all[name].(type) {
		case string:
			c.Scopes = append(c.Scopes, strings.Fields(v)...)
		case []any:
			for _, one := range v {
				if s, ok := one.(string); ok {
					c.Scopes = append(c.Scopes, s)
				}
			}
		}
	}
	return c, nil
}
