package memory

import (
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The kinds of failure, for errors.Is. Each is the Kind of an *[Error] that
// carries the remedy as its Hint.
var (
	// ErrNotFound means that there is no such thing for this principal:
	// missing, forgotten, expired, foreign and unreadable are not told apart.
	ErrNotFound = errors.New("not found")
	// ErrInvalid means that an argument cannot be accepted as it stands.
	ErrInvalid = errors.New("invalid")
	// ErrConflict means that the state is not what the caller expected.
	ErrConflict = errors.New("conflict")
	// ErrDenied means that the principal lacks a right.
	ErrDenied = errors.New("denied")
	// ErrQuota means that the space has reached a configured limit.
	ErrQuota = errors.New("quota reached")
	// ErrStorage means that the file could not be read or written: a full or
	// read-only disk, a corrupt, foreign or newer file. Nothing was changed.
	ErrStorage = errors.New("storage failed")
	// ErrClosed means that the store was closed before or during the call.
	ErrClosed = errors.New("memory is closed")
)

// Error says what was tried, which kind of failure it was, what it was about,
// and what the caller can do.
type Error struct {
	Op   string // the verb: "create", "get", "open"
	Kind error  // one of the Err values of this package
	Ref  string // what it was about: a field, an id, a file
	Hint string // the remedy, for a person or a model to read
	Err  error  // the cause, if one lies below; never shown to remote callers
}

// Error returns the failure without its hint.
func (e *Error) Error() string {
	s := e.Kind.Error()
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Ref != "" {
		s += ": " + e.Ref
	}
	return s
}

// Unwrap makes errors.Is see both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

func invalid(op, ref, hint string) *Error {
	return &Error{Op: op, Kind: ErrInvalid, Ref: ref, Hint: hint}
}

// notFound is the one answer for everything the principal cannot see.
func notFound(op, id string) *Error {
	return &Error{Op: op, Kind: ErrNotFound, Ref: id,
		Hint: "use engram_search to find the id; it may have been forgotten, or not be yours to read"}
}

func denied(op, ref, hint string) *Error {
	return &Error{Op: op, Kind: ErrDenied, Ref: ref, Hint: hint}
}

// storage turns what SQLite says into an Error with a remedy. Errors that
// already are one, and nil, pass through.
func storage(op string, err error) error {
	var own *Error
	var low *sqlite.Error
	if err == nil || errors.As(err, &own) || !errors.As(err, &low) {
		return err
	}
	e := &Error{Op: op, Kind: ErrStorage, Err: err}
	switch low.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		e.Ref, e.Hint = "the disk is full", "free some space and try again; what was acknowledged is safe, this change was not made"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		e.Ref, e.Hint = "the file cannot be written", "check the owner and mode of the data directory, or serve it with --read-only"
	case sqlite3.SQLITE_CANTOPEN:
		e.Ref, e.Hint = "the file cannot be opened", "check that the data directory exists and is yours, or on a read-only disk use --read-only; --data names another"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		e.Ref, e.Hint = "the file is damaged or is not a database", "run 'engram-mcp doctor', then 'engram-mcp restore' with your last backup; keep the damaged file"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		e.Ref, e.Hint = "another process holds the file", "try again; if it lasts, run 'engram-mcp doctor' to see who has it open"
	case sqlite3.SQLITE_IOERR:
		e.Ref, e.Hint = "the disk reported an error", "check the disk and its free space, then run 'engram-mcp doctor'"
	default:
		return fmt.Errorf("%s: %w", op, err)
	}
	return e
}

// isBusy reports whether err is SQLite saying that another connection is in
// the way, which waiting cures.
func isBusy(err error) bool {
	var low *sqlite.Error
	if !errors.As(err, &low) {
		return false
	}
	code := low.Code() & 0xff
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

// quoteList joins names for an error text: a, b or c.
func quoteList(names ...string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
