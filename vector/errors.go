package vector

import (
	"errors"
	"strings"
)

// The kinds of failure of this package. What a caller or operator can remedy is
// an [*Error], which matches exactly one of them with errors.Is; a cancelled
// context is returned as the context's own error; anything else is a bug here.
var (
	// ErrInvalid: the caller's argument cannot be used: a vector of the wrong
	// dimension, a zero or non-finite vector, a negative row, a blank text, a
	// configuration that contradicts itself.
	ErrInvalid = errors.New("invalid argument")

	// ErrNoEmbedder: no embedder is configured, so texts cannot be embedded.
	ErrNoEmbedder = errors.New("no embedder configured")

	// ErrUnavailable: the embedding server cannot be reached, or says that it
	// is overloaded or broken even after retries.
	ErrUnavailable = errors.New("embedding server unavailable")

	// ErrTimeout: the embedding server was reached but did not answer in time.
	ErrTimeout = errors.New("embedding server too slow")

	// ErrRefused: the embedding server answered that it will not serve the
	// request: a wrong key, an unknown model or path, an input it rejects.
	// Repeating the same request does not help.
	ErrRefused = errors.New("embedding server refused the request")

	// ErrBadResponse: the embedding server answered with something that is not
	// the embeddings asked for: other JSON, a wrong count, order or dimension,
	// a zero or non-finite vector, a body beyond all bounds.
	ErrBadResponse = errors.New("embedding server answered wrongly")
)

// Error says what failed, what kind of failure it is and what to do about it.
// It never holds a key, a text to be embedded or a server's answer.
type Error struct {
	Op     string // the operation, such as "index put" or "embed openai"
	Kind   error  // one of the sentinels of this package
	Detail string // what exactly was wrong; may be empty
	Hint   string // the remedy, a phrase that can follow "hint: "
	Cause  error  // the error underneath, or nil; not part of the message
}

// Error returns operation, kind and detail; the hint is left to whoever shows it.
func (e *Error) Error() string {
	parts := []string{"vector", e.Op, e.Kind.Error()}
	if e.Detail != "" {
		parts = append(parts, e.Detail)
	}
	return strings.Join(parts, ": ")
}

// Unwrap makes errors.Is find the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}
