package vector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	secretKey  = "sk-very-secret"
	secretText = "a private thought"
	// chatter is what a hostile or careless server answers with.
	chatter = "chatter " + secretKey + " " + secretText
)

// request is what a server was sent.
type request struct {
	Method, Path, Auth string
	Model              string
	Input              []string
	Format             string `json:"encoding_format"`
	Truncate           bool
	Dimensions         int
}

// server is an embedding server whose answers a test decides on.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request
}

func newServer(t *testing.T, answer func(w http.ResponseWriter, r request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var got request
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Errorf("the request is not JSON: %v", err)
		}
		got.Method, got.Path, got.Auth = r.Method, r.URL.Path, r.Header.Get("Authorization")
		s.mu.Lock()
		s.requests = append(s.requests, got)
		s.mu.Unlock()
		answer(w, got)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) seen() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// pauses records the waits of a Remote instead of waiting.
type pauses struct {
	mu   sync.Mutex
	list []time.Duration
}

func (p *pauses) pause(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, d)
	return ctx.Err()
}

// newClient returns a Remote for an OpenAI-compatible server with dimension 2.
func newClient(t *testing.T, url string, change func(*Config)) (*Remote, *pauses) {
	t.Helper()
	t.Setenv("TEST_EMBED_KEY", secretKey)
	c := Config{BaseURL: url, Model: "m", Dim: 2, KeyEnv: "TEST_EMBED_KEY", Timeout: 10 * time.Second}
	if change != nil {
		change(&c)
	}
	r, err := NewOpenAI(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.CloseIdleConnections)
	p := &pauses{}
	r.pause = p.pause
	return r, p
}

// vecOf is the vector that the good servers of these tests give a text: longer
// than one, and another for another length.
func vecOf(text string) []float32 { return []float32{float32(len(text)), 3} }

func wantUnit(texts ...string) [][]float32 {
	var want [][]float32
	for _, text := range texts {
		v := vecOf(text)
		want = append(want, unit(v, length(v)))
	}
	return want
}

// answerOpenAI answers as an OpenAI-compatible server may: in reverse order.
func answerOpenAI(w http.ResponseWriter, r request) {
	type datum struct {
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	var data []datum
	for i, text := range slices.Backward(r.Input) {
		data = append(data, datum{i, vecOf(text)})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": data, "model": r.Model})
}

func answerOllama(w http.ResponseWriter, r request) {
	var vecs [][]float32
	for _, text := range r.Input {
		vecs = append(vecs, vecOf(text))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"embeddings": vecs, "total_duration": 1})
}

func TestRemoteAsksAndUnderstands(t *testing.T) {
	t.Setenv("TEST_EMBED_KEY", " "+secretKey+"\n") // as files and editors leave it
	texts := []string{"one", "three", "seven or so"}
	for _, test := range []struct {
		name   string
		make   func(Config) (*Remote, error)
		answer func(http.ResponseWriter, request)
		change func(*Config)
		want   request
		id     string
	}{
		{"openai", NewOpenAI, answerOpenAI, func(c *Config) {},
			request{Path: "/v1/embeddings", Format: "float"}, "openai|m|2|1"},
		{"openai with key, shorter vectors and a version", NewOpenAI, answerOpenAI,
			func(c *Config) { c.KeyEnv, c.SendDim, c.Version = "TEST_EMBED_KEY", true, "7b" },
			request{Path: "/v1/embeddings", Format: "float", Auth: "Bearer " + secretKey, Dimensions: 2}, "openai|m|2|7b"},
		{"ollama", NewOllama, answerOllama, func(c *Config) {},
			request{Path: "/v1/api/embed", Truncate: true}, "ollama|m|2|1"},
		{"ollama with shorter vectors", NewOllama, answerOllama, func(c *Config) { c.SendDim = true },
			request{Path: "/v1/api/embed", Truncate: true, Dimensions: 2}, "ollama|m|2|1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, test.answer)
			c := Config{BaseURL: s.URL + "/v1/", Model: "m", Dim: 2}
			test.change(&c)
			r, err := test.make(c)
			if err != nil {
				t.Fatal(err)
			}
			if r.ID() != test.id || r.Dim() != 2 {
				t.Errorf("ID %q, dimension %d", r.ID(), r.Dim())
			}
			got, err := r.Embed(context.Background(), texts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantUnit(texts...), got); diff != "" {
				t.Errorf("vectors (-want +got):\n%s", diff)
			}
			test.want.Method, test.want.Model, test.want.Input = "POST", "m", texts
			if diff := cmp.Diff([]request{test.want}, s.seen()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNothingIsSentForNoTexts(t *testing.T) {
	s := newServer(t, answerOpenAI)
	r, _ := newClient(t, s.URL, nil)
	if got, err := r.Embed(context.Background(), nil); len(got) != 0 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if n := len(s.seen()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// Making and using whatever needs no server opens no connection, and neither
// does making a client of one.
func TestNoNetworkUnlessAsked(t *testing.T) {
	var dials atomic.Int32
	old := http.DefaultTransport
	http.DefaultTransport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		return nil, errors.New("no network in this test")
	}}
	t.Cleanup(func() { http.DefaultTransport = old })
	t.Setenv("OPENAI_API_KEY", secretKey)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			conn.Close()
		}
	}()
	ctx := context.Background()
	c := Config{BaseURL: "http://" + listener.Addr().String(), Model: "m", Dim: 2}
	for _, make := range []func(Config) (*Remote, error){NewOpenAI, NewOllama} {
		r, err := make(c)
		if err != nil {
			t.Fatal(err)
		}
		e := NewCached(r, 1<<20)
		_, _ = e.ID(), e.Dim()
		if _, err := r.Embed(ctx, []string{" "}); !errors.Is(err, ErrInvalid) {
			t.Errorf("a blank text: %v", err)
		}
	}
	if _, err := (None{}).Embed(ctx, []string{"text"}); !errors.Is(err, ErrNoEmbedder) {
		t.Errorf("None: %v", err)
	}
	ix := newIndex(t, 2, fastest())
	if err := ix.Put(ctx, []int64{1}, [][]float32{{1, 0}}); err != nil {
		t.Error(err)
	}
	if _, err := ix.docs.Query(ctx, "text", 1, nil, nil); err == nil {
		t.Error("chromem embedded a text")
	}
	if n := dials.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestBatches(t *testing.T) {
	s := newServer(t, answerOpenAI)
	for _, test := range []struct {
		name   string
		change func(*Config)
		texts  []string
		want   [][]string
	}{
		{"by count", func(c *Config) { c.BatchTexts = 2 }, []string{"a", "b", "c", "d", "e"}, [][]string{{"a", "b"}, {"c", "d"}, {"e"}}},
		{"by bytes", func(c *Config) { c.BatchBytes = 4 }, []string{"aa", "bb", "c", "ddd", "ee"}, [][]string{{"aa", "bb"}, {"c", "ddd"}, {"ee"}}},
		{"a long text goes alone", func(c *Config) { c.BatchBytes = 4 }, []string{"a", "bbbbbb", "c"}, [][]string{{"a"}, {"bbbbbb"}, {"c"}}},
		{"blanks around a text are not sent", nil, []string{"\n\n a b \t"}, [][]string{{"a b"}}},
		{"what is no UTF-8 is replaced", func(c *Config) { c.TextBytes = 4 }, []string{strings.Repeat("\x80", 99)}, [][]string{{"\uFFFD"}}},
		{"too long a text is cut between characters", func(c *Config) { c.TextBytes = 4 }, []string{"añbñ", "ab"}, [][]string{{"añb", "ab"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(s.seen())
			r, _ := newClient(t, s.URL, test.change)
			got, err := r.Embed(context.Background(), test.texts)
			if err != nil {
				t.Fatal(err)
			}
			var sent [][]string
			for _, r := range s.seen()[before:] {
				sent = append(sent, r.Input)
			}
			if diff := cmp.Diff(test.want, sent); diff != "" {
				t.Errorf("batches (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(wantUnit(slices.Concat(test.want...)...), got); diff != "" {
				t.Errorf("vectors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCutKeepsWholeCharacters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, limit := rapid.String().Draw(t, "text"), rapid.IntRange(4, 40).Draw(t, "limit")
		got := cut(text, limit)
		if !strings.HasPrefix(text, got) || len(got) > limit || !utf8.ValidString(got) {
			t.Fatalf("cut(%q, %d) = %q", text, limit, got)
		}
		if len(got) < len(text) && len(got) < limit-3 {
			t.Fatalf("cut(%q, %d) = %q is too short", text, limit, got)
		}
	})
}

func status(code int) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, chatter)
	}
}

func body(text string) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) { _, _ = io.WriteString(w, text) }
}

// Whatever a server does, the caller learns which kind of trouble it is, with a
// hint, and neither key nor text nor answer shows up in the error.
func TestFaultsAreToldApart(t *testing.T) {
	vec := func(v string) func(http.ResponseWriter, request) {
		return body(`{"data":[{"index":0,"embedding":` + v + `}]}`)
	}
	for _, test := range []struct {
		name     string
		answer   func(http.ResponseWriter, request)
		want     error
		requests int
	}{
		{"key refused", status(401), ErrRefused, 1},
		{"model forbidden", status(403), ErrRefused, 1},
		{"unknown model", status(404), ErrRefused, 1},
		{"input refused", status(400), ErrRefused, 1},
		{"method refused", status(405), ErrRefused, 1},
		{"not implemented", status(501), ErrRefused, 1},
		{"too many requests", status(429), ErrUnavailable, attempts},
		{"broken", status(500), ErrUnavailable, attempts},
		{"behind a broken gateway", status(502), ErrUnavailable, attempts},
		{"starting", status(503), ErrUnavailable, attempts},
		{"accepted, but nothing done", status(202), ErrBadResponse, 1},
		{"empty answer", body(""), ErrBadResponse, 1},
		{"a page", body("<html>" + chatter + "</html>"), ErrBadResponse, 1},
		{"an error as success", body(`{"error":{"message":"` + chatter + `"}}`), ErrBadResponse, 1},
		{"half an answer", body(`{"data":[{"index":0,"embed`), ErrBadResponse, 1},
		{"too few", body(`{"data":[]}`), ErrBadResponse, 1},
		{"too many", body(`{"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":[1,2]}]}`), ErrBadResponse, 1},
		{"no index", body(`{"data":[{"embedding":[1,2]}]}`), ErrBadResponse, 1},
		{"index out of range", body(`{"data":[{"index":1,"embedding":[1,2]}]}`), ErrBadResponse, 1},
		{"negative index", body(`{"data":[{"index":-1,"embedding":[1,2]}]}`), ErrBadResponse, 1},
		{"other dimension", vec(`[1,2,3]`), ErrBadResponse, 1},
		{"null", vec(`null`), ErrBadResponse, 1},
		{"zero vector", vec(`[0,0]`), ErrBadResponse, 1},
		{"NaN", vec(`[NaN,1]`), ErrBadResponse, 1},
		{"beyond float32", vec(`[1e39,1]`), ErrBadResponse, 1},
		{"words for numbers", vec(`["` + chatter + `"]`), ErrBadResponse, 1},
		{"base64 for numbers", vec(`"AACAPwAAAAA="`), ErrBadResponse, 1},
		{"endless answer", func(w http.ResponseWriter, r request) {
			for {
				if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
					return
				}
			}
		}, ErrBadResponse, 1},
		{"connection cut in the answer", func(w http.ResponseWriter, _ request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"data":`)
		}, ErrUnavailable, attempts},
		{"connection cut before the answer", func(http.ResponseWriter, request) {
			panic(http.ErrAbortHandler)
		}, ErrUnavailable, attempts},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, test.answer)
			r, _ := newClient(t, s.URL, nil)
			_, err := r.Embed(context.Background(), []string{secretText})
			checkFault(t, err, test.want)
			if n := len(s.seen()); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

func checkFault(t *testing.T, err, want error) {
	t.Helper()
	for _, kind := range []error{ErrInvalid, ErrNoEmbedder, ErrUnavailable, ErrTimeout, ErrRefused, ErrBadResponse} {
		if errors.Is(err, kind) != (kind == want) {
			t.Errorf("%v: is %q: %v", err, kind, errors.Is(err, kind))
		}
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is a %T", err, err)
	}
	if e.Hint == "" {
		t.Errorf("%v has no hint", err)
	}
	all := fmt.Sprintf("%v %+v %#v %v", err, err, e, e.Cause)
	for _, secret := range []string{secretKey, secretText, "chatter"} {
		if strings.Contains(all, secret) {
			t.Errorf("the error holds %q: %s", secret, all)
		}
	}
}

// listen answers every connection on a port of its own with raw bytes.
func listen(t *testing.T, raw string) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, raw)
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

func TestWhatIsNoServerIsToldToo(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the handshake
	t.Cleanup(secure.Close)
	plain := newServer(t, answerOpenAI)
	for _, test := range []struct {
		name, url string
		want      error
	}{
		{"nothing listens", "http://" + closed.Addr().String(), ErrUnavailable},
		{"unknown host", "http://no-such-host.invalid", ErrUnavailable},
		{"untrusted certificate", secure.URL, ErrUnavailable},
		{"TLS wanted, plain offered", "https" + strings.TrimPrefix(plain.URL, "http"), ErrUnavailable},
		{"another protocol", "http://" + listen(t, "220 "+chatter+"\r\n"), ErrBadResponse},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, p := newClient(t, test.url, nil)
			_, err := r.Embed(context.Background(), []string{secretText})
			checkFault(t, err, test.want)
			if len(p.list) != 0 {
				t.Error("it was tried again, which cannot help")
			}
		})
	}
}

// hang returns a server that takes requests and never answers.
func hang(t *testing.T) *server {
	done := make(chan struct{})
	s := newServer(t, func(http.ResponseWriter, request) { <-done })
	t.Cleanup(func() { close(done) }) // runs before the server is closed
	return s
}

func TestSlownessIsNotAbsence(t *testing.T) {
	s := hang(t)
	t.Run("the client's own limit", func(t *testing.T) {
		r, _ := newClient(t, s.URL, func(c *Config) { c.Timeout = 20 * time.Millisecond })
		_, err := r.Embed(context.Background(), []string{secretText})
		checkFault(t, err, ErrTimeout)
	})
	t.Run("the caller's deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		r, _ := newClient(t, s.URL, nil)
		_, err := r.Embed(ctx, []string{secretText})
		checkFault(t, err, ErrTimeout)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v is not the context's error too", err)
		}
	})
	t.Run("the caller gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(20*time.Millisecond, cancel)
		r, _ := newClient(t, s.URL, nil)
		if _, err := r.Embed(ctx, []string{secretText}); err != context.Canceled {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
	t.Run("the answer begins and stops", func(t *testing.T) {
		done := make(chan struct{})
		s := newServer(t, func(w http.ResponseWriter, _ request) {
			_, _ = io.WriteString(w, `{"data":`)
			w.(http.Flusher).Flush()
			<-done
		})
		t.Cleanup(func() { close(done) })
		r, _ := newClient(t, s.URL, func(c *Config) { c.Timeout = 50 * time.Millisecond })
		_, err := r.Embed(context.Background(), []string{secretText})
		checkFault(t, err, ErrTimeout)
	})
}

func TestRetries(t *testing.T) {
	// failing answers its first requests with a status and Retry-After.
	failing := func(t *testing.T, first int, code int, after string) *server {
		var n atomic.Int32
		return newServer(t, func(w http.ResponseWriter, r request) {
			if int(n.Add(1)) > first {
				answerOpenAI(w, r)
				return
			}
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(code)
		})
	}
	embed := func(t *testing.T, s *server, ctx context.Context) ([]time.Duration, error) {
		r, p := newClient(t, s.URL, nil)
		got, err := r.Embed(ctx, []string{"text"})
		if err == nil && !cmp.Equal(got, wantUnit("text")) {
			t.Errorf("got %v", got)
		}
		return p.list, err
	}
	ctx := context.Background()

	t.Run("waits grow and vary", func(t *testing.T) {
		waits, err := embed(t, failing(t, attempts-1, 503, ""), ctx)
		if err != nil || len(waits) != attempts-1 {
			t.Fatalf("waits %v, error %v", waits, err)
		}
		for i, w := range waits {
			if full := firstWait << i; w < full/2 || w > full {
				t.Errorf("wait %d is %v, want %v to %v", i, w, full/2, full)
			}
		}
	})
	t.Run("Retry-After in seconds", func(t *testing.T) {
		waits, err := embed(t, failing(t, 1, 429, "7"), ctx)
		if err != nil || len(waits) != 1 || waits[0] != 7*time.Second {
			t.Errorf("waits %v, error %v", waits, err)
		}
	})
	t.Run("Retry-After as a date", func(t *testing.T) {
		at := time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat)
		waits, err := embed(t, failing(t, 1, 429, at), ctx)
		if err != nil || len(waits) != 1 || waits[0] < 10*time.Second || waits[0] > 20*time.Second {
			t.Errorf("waits %v, error %v", waits, err)
		}
	})
	t.Run("nonsense in Retry-After is ignored", func(t *testing.T) {
		for _, after := range []string{"soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"} {
			waits, err := embed(t, failing(t, 1, 429, after), ctx)
			if err != nil || len(waits) != 1 || waits[0] > firstWait {
				t.Errorf("%q: waits %v, error %v", after, waits, err)
			}
		}
	})
	t.Run("too long a Retry-After is not waited for", func(t *testing.T) {
		waits, err := embed(t, failing(t, 1, 429, "3600"), ctx)
		if !errors.Is(err, ErrUnavailable) || len(waits) != 0 {
			t.Errorf("waits %v, error %v", waits, err)
		}
	})
	t.Run("no wait beyond the caller's deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		waits, err := embed(t, failing(t, 1, 429, "20"), ctx)
		if !errors.Is(err, ErrUnavailable) || len(waits) != 0 {
			t.Errorf("waits %v, error %v", waits, err)
		}
	})
	t.Run("a wait ends with the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(10*time.Millisecond, cancel)
		if err := pause(ctx, time.Hour); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
}

// Servers refuse what is longer than their model reads; the rest of the batch
// must not suffer, and the long text is found by its beginning.
func TestRefusedInputIsHalved(t *testing.T) {
	const reads = 300
	s := newServer(t, func(w http.ResponseWriter, r request) {
		for _, text := range r.Input {
			if len(text) > reads {
				w.WriteHeader(400)
				return
			}
		}
		answerOpenAI(w, r)
	})
	r, _ := newClient(t, s.URL, nil)
	long := strings.Repeat("x", 1000)
	got, err := r.Embed(context.Background(), []string{"a", "bb", long, "ccc", "dddd"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantUnit("a", "bb", long[:250], "ccc", "dddd"), got); diff != "" {
		t.Errorf("vectors (-want +got):\n%s", diff)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other := newServer(t, answerOpenAI)
	s := newServer(t, func(w http.ResponseWriter, r request) {
		w.Header().Set("Location", other.URL+"/embeddings")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	r, _ := newClient(t, s.URL, nil)
	_, err := r.Embed(context.Background(), []string{secretText})
	checkFault(t, err, ErrRefused)
	if n := len(other.seen()); n != 0 {
		t.Error("the text went to another server")
	}
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	good := Config{BaseURL: "http://localhost:1", Model: "m", Dim: 2}
	for _, test := range []struct {
		name   string
		change func(*Config)
	}{
		{"no URL", func(c *Config) { c.BaseURL = "" }},
		{"no scheme", func(c *Config) { c.BaseURL = "localhost:11434" }},
		{"no host", func(c *Config) { c.BaseURL = "http://" }},
		{"a file", func(c *Config) { c.BaseURL = "file:///etc/passwd" }},
		{"key in the URL", func(c *Config) { c.BaseURL = "https://" + secretKey + "@host/v1" }},
		{"unreadable URL", func(c *Config) { c.BaseURL = "http://" + secretKey + "\x7f" }},
		{"no model", func(c *Config) { c.Model = " " }},
		{"model that breaks the ID", func(c *Config) { c.Model = "a|b" }},
		{"version that breaks the ID", func(c *Config) { c.Version = "1\n" }},
		{"no dimension", func(c *Config) { c.Dim = 0 }},
		{"silly dimension", func(c *Config) { c.Dim = math.MaxInt }},
		{"key instead of its variable", func(c *Config) { c.KeyEnv = secretKey }},
		{"negative timeout", func(c *Config) { c.Timeout = -1 }},
		{"texts shorter than a character", func(c *Config) { c.TextBytes = 3 }},
		{"negative batch", func(c *Config) { c.BatchTexts = -1 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := good
			test.change(&c)
			_, err := NewOpenAI(c)
			checkFault(t, err, ErrInvalid)
		})
	}
	t.Run("variable with a broken key", func(t *testing.T) {
		t.Setenv("TEST_EMBED_KEY", secretKey+"\nX-Header: injected")
		c := good
		c.KeyEnv = "TEST_EMBED_KEY"
		_, err := NewOllama(c)
		checkFault(t, err, ErrInvalid)
	})
}

func TestKeyIsNeverPrinted(t *testing.T) {
	r, _ := newClient(t, "http://localhost:1", nil)
	if all := fmt.Sprintf("%v %+v %#v", r, r, *r); strings.Contains(all, secretKey) {
		t.Error("printing the client shows the key")
	}
}

// FuzzResponses feeds answers to both readers: whatever comes back is what was
// asked for, or an error.
func FuzzResponses(f *testing.F) {
	for _, seed := range []string{
		`{"data":[{"index":1,"embedding":[1,2]},{"index":0,"embedding":[3,4]}]}`,
		`{"data":[{"index":0,"embedding":[1,2]},{"index":0,"embedding":[3,4]}]}`,
		`{"embeddings":[[1,2],[3,4]]}`, `{"embeddings":[[1e-45,0],[1e38,-1e38]]}`, `{}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	var readers []*Remote
	for _, make := range []func(Config) (*Remote, error){NewOpenAI, NewOllama} {
		r, err := make(Config{BaseURL: "http://localhost:1", Model: "m", Dim: 2})
		if err != nil {
			f.Fatal(err)
		}
		readers = append(readers, r)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		for _, r := range readers {
			vecs, err := r.vectors(answer, 2)
			if err != nil {
				if !errors.Is(err, ErrBadResponse) {
					t.Fatal(err)
				}
				continue
			}
			if len(vecs) != 2 {
				t.Fatalf("%d vectors", len(vecs))
			}
			for _, v := range vecs {
				if len(v) != 2 || math.Abs(length(v)-1) > 1e-6 {
					t.Fatalf("vector %v", v)
				}
			}
		}
	})
}
