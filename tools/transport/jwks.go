package transport

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	keysFresh    = 10 * time.Minute // after which keys are fetched anew
	keysUsable   = 24 * time.Hour   // for which they are good if that fails
	fetchPause   = 30 * time.Second // between two fetches from one issuer, whatever asks for them
	fetchTimeout = 5 * time.Second
	maxDocument  = 1 << 20 // bytes of what an issuer answers
	maxKeys      = 100     // of one issuer
)

// keySet is the public keys of one issuer.
type keySet struct {
	issuer string
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex
	keys    []publicKey
	fetched time.Time     // when keys were got
	tried   time.Time     // when the latest fetch began
	running chan struct{} // closed when it ends; nil if none runs
	failure error         // of the latest fetch
}

// publicKey is a key with what its issuer says of it.
type publicKey struct {
	id, alg string // alg may be empty
	key     crypto.PublicKey
}

func newKeySet(issuer string) *keySet {
	return &keySet{issuer: issuer, now: time.Now, client: &http.Client{
		Timeout: fetchTimeout,
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			return fmt.Errorf("a redirect to %s is not followed", r.URL.Host)
		},
	}}
}

// find returns the key with the given id for signatures by alg. A token that
// names no key is checked with the only one there is. What a stranger says can
// make the set be fetched at most once in a while.
func (s *keySet) find(ctx context.Context, id, alg string) (crypto.PublicKey, error) {
	s.mu.Lock()
	key, age := s.pick(id, alg), s.now().Sub(s.fetched)
	if key == nil || age > keysFresh {
		s.refresh()
	}
	running := s.running
	s.mu.Unlock()
	if key != nil && age <= keysUsable {
		return key, nil
	}
	if running != nil {
		select {
		case <-running:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key = s.pick(id, alg); key != nil && s.now().Sub(s.fetched) <= keysUsable {
		return key, nil
	}
	return nil, errors.Join(fmt.Errorf("%s has no key %q for %s", s.issuer, id, alg), s.failure)
}

// pick returns a key that is known, or nil. Callers hold mu.
func (s *keySet) pick(id, alg string) crypto.PublicKey {
	for _, k := range s.keys {
		if (k.id == id || id == "" && len(s.keys) == 1) && (k.alg == "" || k.alg == alg) {
			return k.key
		}
	}
	return nil
}

// refresh begins to fetch the keys, unless that was done a moment ago. Callers
// hold mu.
func (s *keySet) refresh() {
	now := s.now()
	if s.running != nil || now.Sub(s.tried) < fetchPause {
		return
	}
	done := make(chan struct{})
	s.tried, s.running = now, done
	go func() {
		defer close(done)
		keys, err := s.fetch()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running, s.failure = nil, err
		if err == nil {
			s.keys, s.fetched = keys, now
		}
	}()
}

// fetch asks the issuer for its keys.
func (s *keySet) fetch() ([]publicKey, error) {
	where, err := s.discover()
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []jsonKey `json:"keys"`
	}
	if err := s.get(where, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%s has more than %d keys", where, maxKeys)
	}
	var keys []publicKey
	for _, k := range set.Keys {
		if key := k.public(); key != nil {
			keys = append(keys, publicKey{k.ID, k.Alg, key})
		}
	}
	return keys, nil
}

// discover finds out where the keys are.
func (s *keySet) discover() (string, error) {
	u, err := url.Parse(s.issuer)
	if err != nil {
		return "", err
	}
	origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	var errs []error
	for _, at := range []string{
		origin + path + "/.well-known/openid-configuration",
		origin + "/.well-known/oauth-authorization-server" + path,
	} {
		var doc struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		err := s.get(at, &doc)
		switch {
		case err == nil && doc.Issuer != s.issuer:
			err = fmt.Errorf("%s is the configuration of %q", at, doc.Issuer)
		case err == nil:
			err = safeURL(doc.Keys)
		}
		if err == nil {
			return doc.Keys, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// get reads a JSON document.
func (s *keySet) get(at string, to any) error {
	resp, err := s.client.Get(at)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers with %s", at, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return err
	}
	if len(b) > maxDocument {
		return fmt.Errorf("%s answers with more than %d bytes", at, maxDocument)
	}
	return json.Unmarshal(b, to)
}

// safeURL refuses addresses that somebody on the way could answer for.
func safeURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return err
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is no address of a server; write it like https://login.example", text)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q must be https, as anybody on the way could change what it says", text)
}

// jsonKey is a JSON Web Key of RFC 7517.
type jsonKey struct {
	Type  string   `json:"kty"`
	ID    string   `json:"kid"`
	Alg   string   `json:"alg"`
	Use   string   `json:"use"`
	Ops   []string `json:"key_ops"`
	Curve string   `json:"crv"`
	N     string   `json:"n"`
	E     string   `json:"e"`
	X     string   `json:"x"`
	Y     string   `json:"y"`
}

// public returns the key, or nil if it is none that checks signatures: another
// kind, another use, too weak, or damaged. An issuer may have such beside others.
func (k jsonKey) public() crypto.PublicKey {
	verifies := len(k.Ops) == 0
	for _, op := range k.Ops {
		verifies = verifies || op == "verify"
	}
	if !verifies || k.Use != "" && k.Use != "sig" {
		return nil
	}
	switch k.Type {
	case "RSA":
		n, e := new(big.Int).SetBytes(decoded(k.N)), new(big.Int).SetBytes(decoded(k.E))
		if n.BitLen() < 2048 || n.BitLen() > 8192 || !e.IsInt64() || e.Int64() < 3 || e.BitLen() > 31 {
			return nil
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}
	case "EC":
		return k.ecdsa()
	case "OKP":
		if x := decoded(k.X); k.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x)
		}
	}
	return nil
}

func (k jsonKey) ecdsa() crypto.PublicKey {
	curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Curve]
	if !ok {
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	x, y := decoded(k.X), decoded(k.Y)
	if len(x) != size || len(y) != size {
		return nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
	if err != nil { // not on the curve
		return nil
	}
	return key
}

// decoded returns the bytes of a member, or none if they are damaged.
func decoded(text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}
