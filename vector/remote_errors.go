package vector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// errInput is the cause of a refusal that may be due to the texts themselves.
var errInput = errors.New("the input was not taken")

func (r *Remote) fail(kind error, detail, hint string) *Error {
	return &Error{Op: r.op(), Kind: kind, Detail: detail, Hint: hint}
}

func (r *Remote) wrong(detail string) *Error {
	return r.fail(ErrBadResponse, detail, "check that the base URL and the model belong to an embedding server, and not to a chat model or a proxy")
}

// unanswered tells why a request got no answer, or not all of it. It tells by
// the types of errors only: their texts can repeat what a server sent.
func (r *Remote) unanswered(ctx context.Context, err error) *failure {
	var (
		timeout     net.Error
		dial        *net.OpError
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		notTLS      tls.RecordHeaderError
	)
	down := func(detail, hint string) *Error { return r.fail(ErrUnavailable, detail, hint) }
	isDial := errors.As(err, &dial) && dial.Op == "dial"
	switch {
	case ctx.Err() != nil:
		e := r.fail(ErrTimeout, "the caller's time was up before the answer", "give the call more time, or use a faster model")
		e.Cause = ctx.Err()
		return &failure{err: e}
	case errors.As(err, &name):
		return &failure{err: down("its host name is not known", "check the host in the base URL, and the network")}
	case isDial:
		return &failure{err: down("no connection to "+r.url.Host, "start the server, or correct host and port in the base URL")}
	case errors.As(err, &certificate):
		return &failure{err: down("its certificate is not trusted", "use the host name of the certificate, or add its authority to the system's")}
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return &failure{err: down("it does not speak TLS", "write http instead of https in the base URL, or another port")}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &failure{err: r.fail(ErrTimeout, fmt.Sprintf("no answer within %v", r.config.Timeout),
			"raise the timeout, make batches smaller, or use a faster model; a model's first use may have to load it")}
	case strings.Contains(err.Error(), "malformed HTTP"):
		return &failure{err: r.wrong("the answer is not HTTP")}
	default:
		return &failure{err: down("the connection broke", "look at the server's log"), again: true}
	}
}

// denied tells what a status other than 200 means.
func (r *Remote) denied(res *http.Response) *failure {
	// Reading a short body to its end lets the connection be used again.
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)
	status := fmt.Sprintf("status %d", res.StatusCode)
	refused := func(hint string) *Error { return r.fail(ErrRefused, status, hint) }
	switch code := res.StatusCode; {
	case code == http.StatusTooManyRequests:
		return &failure{r.fail(ErrUnavailable, status+", too many requests", "wait, or look at the rate limit and quota of the key"), true, retryAfter(res)}
	case code == http.StatusRequestTimeout || code >= 500 && code != http.StatusNotImplemented:
		return &failure{r.fail(ErrUnavailable, status, "look at the server's log; it may be overloaded or still starting"), true, retryAfter(res)}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return &failure{err: refused("check the key, and that it may use this model; the configuration names the variable that holds it")}
	case code == http.StatusNotFound:
		return &failure{err: refused(r.dialect.notFound)}
	case code >= 300 && code < 400:
		return &failure{err: refused("the server redirects, which is not followed: write the final address as base URL")}
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnprocessableEntity:
		e := refused("check that the model embeds text, and that it can shorten its vectors if that is asked of it")
		e.Cause = errInput
		return &failure{err: e}
	case code >= 400:
		return &failure{err: refused("check base URL and model; the server's log says more")}
	default:
		return &failure{err: r.wrong(status)}
	}
}

// retryAfter returns how long the server asks to be left alone, in either form
// that HTTP has for it, or 0.
func retryAfter(res *http.Response) time.Duration {
	value := res.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return max(0, time.Duration(min(seconds, 1<<30))*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
