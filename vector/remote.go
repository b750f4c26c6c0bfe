package vector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Config says which server embeds, with which model. BaseURL, Model and Dim are
// required; what else is zero takes its default.
type Config struct {
	BaseURL string // such as https://api.openai.com/v1 or http://localhost:11434
	Model   string // as the server names it
	Dim     int    // the dimension of the model's vectors
	SendDim bool   // ask the server to shorten its vectors to Dim

	// KeyEnv is the name of the environment variable that holds the API key,
	// which is sent as a bearer token. Empty sends none.
	KeyEnv string

	// Version tells apart models of the same name; change it when the server's
	// model changes under its name. The default is "1".
	Version string

	Timeout    time.Duration // of one request; 30 s
	BatchTexts int           // most texts in one request; 64
	BatchBytes int           // most bytes of text in one request, but for a single text; 256 KiB
	TextBytes  int           // longer texts are cut to this; 16 KiB
}

const (
	attempts  = 4 // of one request, the first included
	firstWait = 250 * time.Millisecond
	// longestWait is the most that a server can make a request wait before a
	// retry; one that asks for more is unavailable.
	longestWait = 30 * time.Second
	// dialTimeout is short: a server that does not even take a connection is
	// down, not slow.
	dialTimeout = 5 * time.Second
	// shortest is how many bytes of a text every model reads: what is refused
	// at that length is not refused for its length.
	shortest = 256
)

// Remote is an Embedder that asks a server. Making one opens no connection.
// Texts go to that server and to no other, but for a proxy that the environment
// names: redirects are not followed.
//
// Texts are sent in batches, one after the other. A server that is overloaded or
// failing is asked up to four times, no sooner than it wants to be.
//
// Texts longer than the configured limit are cut, so that a very long one is
// found by its beginning rather than not at all. The same happens where a server
// refuses its input: a refused batch is halved, and a refused text is cut in
// half, again and again, since many servers give no other answer to a text that
// is longer than their model reads.
type Remote struct {
	config    Config
	dialect   dialect
	url       *url.URL
	authorize func(*http.Request) // hides the key from everything that prints
	client    *http.Client
	pause     func(ctx context.Context, d time.Duration) error
}

// dialect is what differs between servers.
type dialect struct {
	provider string
	path     string
	request  func(c *Config, texts []string) any
	// response reads an answer and returns its vectors in the order of the texts
	// that were sent. Their number and content are left to Remote to check.
	response func(body []byte) (vecs [][]float32, problem string)
	base     string // an example of a BaseURL
	notFound string // hint for status 404
}

func newRemote(c Config, d dialect) (*Remote, error) {
	setDefault(&c.Version, "1")
	setDefault(&c.Timeout, 30*time.Second)
	setDefault(&c.BatchTexts, 64)
	setDefault(&c.BatchBytes, 256<<10)
	setDefault(&c.TextBytes, 16<<10)
	bad := func(detail, hint string) (*Remote, error) {
		return nil, invalid("embed "+d.provider, detail, hint)
	}
	base, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return bad("the base URL is not an http or https address", "write it like "+d.base)
	case base.User != nil || base.Fragment != "":
		return bad("the base URL holds a user name, password or fragment", "name an environment variable with the key instead")
	case strings.TrimSpace(c.Model) == "" || strings.ContainsFunc(c.Model+c.Version, notInID):
		return bad("the model or version is missing or holds | or control characters", "give the model's name as the server knows it")
	case c.Dim < 1 || c.Dim > MaxDim:
		return bad(fmt.Sprintf("dimension %d is not in 1 to %d", c.Dim, MaxDim), "give the dimension of the model's vectors, as its page says")
	case c.Timeout < 0 || min(c.BatchTexts, c.BatchBytes, c.TextBytes-utf8.UTFMax) < 0:
		return bad("a limit is negative, or less than a character", "leave it out to get the default")
	}
	authorize, ok := bearer(c.KeyEnv)
	if !ok {
		return bad("the environment variable that should hold the key is not set or holds no key",
			"set it, or name another one; the configuration holds its name, never the key itself")
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
	}
	return &Remote{
		config: c, dialect: d, url: base.JoinPath(d.path), authorize: authorize, pause: pause,
		client: &http.Client{Transport: transport, Timeout: c.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func notInID(r rune) bool { return r == '|' || r < ' ' || r == 0x7f }

// bearer returns a function that adds the key held by the named variable. Its
// errors do not repeat the name, lest someone wrote the key in its place.
func bearer(env string) (authorize func(*http.Request), ok bool) {
	if env == "" {
		return func(*http.Request) {}, true
	}
	key := strings.TrimSpace(os.Getenv(env))
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, false
	}
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) }, true
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// ID returns provider|model|dim|version.
func (r *Remote) ID() string {
	return strings.Join([]string{r.dialect.provider, r.config.Model, strconv.Itoa(r.config.Dim), r.config.Version}, "|")
}

// Dim returns the configured dimension; every answer is checked against it.
func (r *Remote) Dim() int { return r.config.Dim }

// Embed implements [Embedder]. Blank texts are refused with [ErrInvalid] before
// anything is sent. A server that is down, too slow, unwilling or wrong gives
// [ErrUnavailable], [ErrTimeout], [ErrRefused] or [ErrBadResponse].
func (r *Remote) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	cuts := make([]string, len(texts))
	for i, text := range texts {
		if strings.TrimSpace(text) == "" {
			return nil, invalid(r.op(), fmt.Sprintf("text %d is blank", i), "embed texts with words only")
		}
		// Trimmed, so that no cut leaves nothing but blanks.
		cuts[i] = cut(strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD")), r.config.TextBytes)
	}
	vecs := make([][]float32, 0, len(texts))
	for len(cuts) > 0 {
		n := r.batch(cuts)
		answer, err := r.embed(ctx, cuts[:n])
		if err != nil {
			return nil, err
		}
		vecs = append(vecs, answer...)
		cuts = cuts[n:]
	}
	return vecs, nil
}

func (r *Remote) op() string { return "embed " + r.dialect.provider }

// cut returns the longest beginning of text, valid UTF-8, within limit bytes that
// ends with a whole character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// batch returns how many of texts go into the next request, at least one.
func (r *Remote) batch(texts []string) int {
	bytes := 0
	for i, text := range texts {
		bytes += len(text)
		if i == r.config.BatchTexts || i > 0 && bytes > r.config.BatchBytes {
			return i
		}
	}
	return len(texts)
}

// embed asks for one batch, and for less of it as long as the input is refused.
func (r *Remote) embed(ctx context.Context, texts []string) ([][]float32, error) {
	vecs, err := r.ask(ctx, texts)
	if !errors.Is(err, errInput) {
		return vecs, err
	}
	if len(texts) == 1 {
		if len(texts[0]) <= shortest {
			return nil, err
		}
		return r.embed(ctx, []string{cut(texts[0], len(texts[0])/2)})
	}
	first, err := r.embed(ctx, texts[:len(texts)/2])
	if err != nil {
		return nil, err
	}
	second, err := r.embed(ctx, texts[len(texts)/2:])
	if err != nil {
		return nil, err
	}
	return append(first, second...), nil
}

// ask makes the request for one batch and tries again where that can help.
func (r *Remote) ask(ctx context.Context, texts []string) ([][]float32, error) {
	body, err := json.Marshal(r.dialect.request(&r.config, texts))
	if err != nil {
		return nil, fmt.Errorf("vector: %s: %w", r.op(), err)
	}
	wait := firstWait
	for attempt := 1; ; attempt++ {
		answer, failure := r.once(ctx, body, len(texts))
		if failure == nil {
			return r.vectors(answer, len(texts))
		}
		if err := ctx.Err(); errors.Is(err, context.Canceled) {
			return nil, err
		}
		if !failure.again || attempt == attempts {
			return nil, failure.err
		}
		// Between half and all of the wait, so that many clients that failed
		// together do not come back together.
		delay := max(wait/2+rand.N(wait/2), failure.after)
		if deadline, ok := ctx.Deadline(); delay > longestWait || ok && time.Until(deadline) < delay {
			return nil, failure.err
		}
		if err := r.pause(ctx, delay); err != nil {
			return nil, err
		}
		wait *= 2
	}
}

// failure is why one attempt failed, whether another can help, and how long the
// server wants to be left alone before.
type failure struct {
	err   error
	again bool
	after time.Duration
}

// once makes one request and returns the body of a good answer.
func (r *Remote) once(ctx context.Context, body []byte, texts int) ([]byte, *failure) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &failure{err: fmt.Errorf("vector: %s: cannot make a request", r.op())}
	}
	req.Header.Set("Content-Type", "application/json")
	r.authorize(req)
	res, err := r.client.Do(req)
	if err != nil {
		return nil, r.unanswered(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, r.denied(res)
	}
	// No sane encoder takes 64 bytes for a component or 4 KiB around a vector.
	bound := int64(texts)*(int64(r.config.Dim)*64+4096) + 64<<10
	answer, err := io.ReadAll(io.LimitReader(res.Body, bound+1))
	if err != nil {
		return nil, r.unanswered(ctx, err)
	}
	if int64(len(answer)) > bound {
		return nil, &failure{err: r.wrong(fmt.Sprintf("the answer is longer than %d bytes", bound))}
	}
	return answer, nil
}

// vectors reads an answer and checks that it is what was asked for.
func (r *Remote) vectors(answer []byte, texts int) ([][]float32, error) {
	vecs, problem := r.dialect.response(answer)
	if problem != "" {
		return nil, r.wrong(problem)
	}
	if len(vecs) != texts {
		return nil, r.wrong(fmt.Sprintf("%d embeddings for %d texts", len(vecs), texts))
	}
	for i, v := range vecs {
		if len(v) != r.config.Dim {
			e := r.wrong(fmt.Sprintf("an embedding of dimension %d instead of %d", len(v), r.config.Dim))
			e.Hint = fmt.Sprintf("configure dimension %d if that is the model you want", len(v))
			return nil, e
		}
		n := length(v)
		if !usable(n) {
			return nil, r.wrong("an embedding that is zero or not finite")
		}
		vecs[i] = unit(v, n)
	}
	return vecs, nil
}
