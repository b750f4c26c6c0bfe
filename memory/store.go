package memory

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

//go:embed migration/*.sql
var migrations embed.FS

// applicationID marks a file as ours (PRAGMA application_id): "Engr".
const applicationID = 0x456e6772

// fileName is the name of the database inside a space's directory.
const fileName = "engram.db"

// Durability says when a change counts as made.
type Durability string

// The levels of durability.
const (
	Full   Durability = "full"   // on the disk before it is acknowledged; survives a power cut
	Normal Durability = "normal" // survives a crash of the program; a power cut may lose the last moments
)

// Quota bounds a space. Zero fields are unbounded.
type Quota struct {
	Engrams int64 // created and not purged
	Bytes   int64 // of content and metadata
	Agents  int64 // installed
}

// An Embedder turns texts into vectors of length Dim. ID changes whenever the
// vectors change meaning: vectors of two ids are never compared.
type Embedder interface {
	ID() string
	Dim() int
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// An Index finds vectors that are near another one. It is derived from the
// store, which fills it; it must be safe for concurrent use.
type Index interface {
	Put(ctx context.Context, rows []int64, vecs [][]float32) error
	Delete(ctx context.Context, rows []int64) error
	// Nearest returns up to k rows with their cosine similarity, best first,
	// ties by row. allow, if not nil, is a bitmap of the rows to consider: bit
	// row%64 of word row/64.
	Nearest(ctx context.Context, vec []float32, k int, allow []uint64) (rows []int64, scores []float32, err error)
}

// Options for Open. The zero value is a store without vectors.
type Options struct {
	Space      string     // the name that principals must carry; "default" if empty
	Durability Durability // Full if empty
	Quota      Quota
	ReadOnly   bool // refuse every change, and create nothing

	Embedder Embedder // nil: search by words only
	// Local says that Embed is quick and cannot fail for reasons outside this
	// process, so that it may run before each write. Otherwise embedding
	// happens in the background.
	Local bool
	// Index makes the index for vectors of a dimension; needed with Embedder.
	Index func(dim int) (Index, error)
	// Lexicon lets search see that words are alike in meaning; optional. All
	// programs that open a space should give the same one.
	Lexicon Lexicon
	// KeepModel leaves a space whose vectors or analyses were made with other
	// models as it is, instead of making them anew: for programs that only
	// pass by.
	KeepModel bool
	// IndexWait is how long a search waits for vectors that are still being
	// loaded, before it goes by words only; 250 ms if 0.
	IndexWait time.Duration
	// Log receives what goes wrong in the background; never memory content.
	Log func(msg string, args ...any)
}

// Store is one open space. All methods are safe for concurrent use, by any
// number of processes on the same file.
type Store struct {
	space, path string
	opt         Options
	readDB      *sql.DB
	writeDB     *sql.DB
	conn        *conn
	origin      string

	writes   chan *write
	stop     chan struct{} // closed by Close
	stopOnce sync.Once
	workers  sync.WaitGroup
	closeErr error

	feed       feed
	vectors    vectors
	reads      accessLog
	runs       runLog
	statements readStatements
	items      itemCache
}

func (o Options) indexWait() time.Duration {
	if o.IndexWait == 0 {
		return 250 * time.Millisecond
	}
	return o.IndexWait
}

var spaceName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ValidSpace reports whether name can name a space: 1 to 64 lower-case
// letters, digits, dots, dashes and underscores, starting with a letter or digit.
func ValidSpace(name string) bool { return spaceName.MatchString(name) }

// Open opens the space whose file lies in dir, and creates it if need be. Any
// number of processes may do so at once. A file of another program, a damaged
// one, or one written by a newer version is refused with ErrStorage and left
// as it is.
func Open(ctx context.Context, dir string, opt Options) (_ *Store, err error) {
	if opt.Space == "" {
		opt.Space = "default"
	}
	if opt.Durability == "" {
		opt.Durability = Full
	}
	if opt.Log == nil {
		opt.Log = func(string, ...any) {}
	}
	if !ValidSpace(opt.Space) {
		return nil, invalid("open", "space "+opt.Space, `use lower-case letters, digits, "-", "_" and ".", at most 64`)
	}
	s := &Store{space: opt.Space, path: filepath.Join(dir, fileName), opt: opt,
		writes: make(chan *write, 1024), stop: make(chan struct{})}
	defer func() {
		if err != nil {
			s.closeDBs()
		}
	}()
	if opt.ReadOnly {
		if _, err := os.Stat(s.path); err != nil {
			return nil, &Error{Op: "open", Kind: ErrStorage, Ref: s.path + " is not there", Err: err, Hint: "start once without --read-only to create it"}
		}
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &Error{Op: "open", Kind: ErrStorage, Ref: dir, Err: err, Hint: "check that the data directory is yours and on a writable disk; --data names another"}
	}
	if err := s.openDBs(ctx); err != nil {
		return nil, storage("open", err)
	}
	if err := s.initVectors(); err != nil {
		return nil, err
	}
	s.start()
	return s, nil
}

// start starts the goroutines that end with Close.
func (s *Store) start() {
	run := func(f func()) {
		s.workers.Add(1)
		go f()
	}
	if !s.opt.ReadOnly {
		run(s.writer)
		run(s.flushLoop)
		if !s.opt.KeepModel {
			run(s.reanalyse)
		}
	}
	if s.vectors.index != nil {
		run(s.embedLoop)
	}
}

// dsn builds the data source name. busy_timeout comes first, so that the other
// pragmas wait for other processes too.
func (s *Store) dsn(pragmas string) string {
	path := filepath.ToSlash(s.path)
	if filepath.IsAbs(s.path) && path[0] != '/' {
		path = "/" + path // a drive letter
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(10000)" + pragmas
}

func (s *Store) openDBs(ctx context.Context) (err error) {
	if !s.opt.ReadOnly {
		pragmas := "&_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=secure_delete(ON)&_pragma=foreign_keys(ON)&_pragma=cache_size(-8000)"
		if s.opt.Durability == Full {
			pragmas += "&_pragma=synchronous(FULL)"
		} else {
			pragmas += "&_pragma=synchronous(NORMAL)"
		}
		if s.writeDB, err = sql.Open("sqlite", s.dsn(pragmas)); err != nil {
			return err
		}
		s.writeDB.SetMaxOpenConns(1)
		err = retryBusy(ctx, func() error { return s.migrate(ctx) })
		if err != nil {
			return err
		}
		c, err := s.writeDB.Conn(ctx)
		if err != nil {
			return err
		}
		s.conn = &conn{c: c, stmts: map[string]*sql.Stmt{}}
		_ = os.Chmod(s.path, 0o600) // best effort where modes exist
	}
	pragmas := "&_pragma=query_only(1)&_pragma=cache_size(-4000)"
	if s.opt.ReadOnly && s.frozen() {
		pragmas += "&immutable=1"
	}
	if s.readDB, err = sql.Open("sqlite", s.dsn(pragmas)); err != nil {
		return err
	}
	s.readDB.SetMaxOpenConns(max(4, 2*runtime.GOMAXPROCS(0)))
	s.readDB.SetMaxIdleConns(4)
	s.statements = readStatements{db: s.readDB, m: map[string]*sql.Stmt{}}
	if err := s.checkVersion(ctx); err != nil {
		return err
	}
	return s.readDB.QueryRowContext(ctx, `SELECT origin FROM space`).Scan(&s.origin)
}

// frozen reports whether the file lies on a read-only disk and is complete
// without its log. SQLite must be told so: to read a file with a log otherwise,
// it has to write beside it.
func (s *Store) frozen() bool {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err == nil {
		_ = f.Close()
	}
	if !errors.Is(err, syscall.EROFS) {
		return false
	}
	log, err := os.Stat(s.path + "-wal")
	return err != nil || log.Size() == 0
}

// retryBusy repeats f while another process is in the way: switching to WAL
// and the first migration do not always honour busy_timeout.
func retryBusy(ctx context.Context, f func() error) error {
	wait := time.Millisecond
	for end := time.Now().Add(15 * time.Second); ; wait = min(2*wait, 100*time.Millisecond) {
		err := f()
		if err == nil || !isBusy(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// migrate runs each migration/*.sql that the file has not seen, in order;
// PRAGMA user_version counts them. It holds the write lock while it looks, so
// that of several first starts one migrates and the others wait.
func (s *Store) migrate(ctx context.Context) error {
	tx, err := s.writeDB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	names, version, err := s.version(ctx, tx)
	if err != nil || version == len(names) {
		return err
	}
	for i := version; i < len(names); i++ {
		text, err := migrations.ReadFile(names[i])
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
	}
	if version == 0 {
		if _, err := tx.ExecContext(ctx, `INSERT INTO space (one, origin) VALUES (1, ?)`, uuid.NewString()); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d`, applicationID, len(names)))
	if err != nil {
		return err
	}
	return tx.Commit()
}

// version reads how far the file has been migrated, and refuses one that is
// not ours to touch.
func (s *Store) version(ctx context.Context, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (names []string, version int, err error) {
	if names, err = fs.Glob(migrations, "migration/*.sql"); err != nil {
		return nil, 0, err
	}
	var app, tables int
	if err := q.QueryRowContext(ctx, `SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id),
		(SELECT count(*) FROM sqlite_master)`).Scan(&version, &app, &tables); err != nil {
		return nil, 0, err
	}
	refuse := func(ref, hint string) error {
		return &Error{Op: "open", Kind: ErrStorage, Ref: s.path + " " + ref, Hint: hint}
	}
	switch {
	case app != applicationID && tables > 0:
		return nil, 0, refuse("is a database of another program", "move it away, or choose another --data directory")
	case version > len(names):
		return nil, 0, refuse(fmt.Sprintf("was written by a newer engram-mcp (schema %d, this one knows %d)", version, len(names)), "upgrade engram-mcp; nothing was changed")
	}
	return names, version, nil
}

func (s *Store) checkVersion(ctx context.Context) error {
	names, version, err := s.version(ctx, s.readDB)
	if err == nil && version < len(names) {
		return &Error{Op: "open", Kind: ErrStorage, Ref: s.path + " was written by an older engram-mcp", Hint: "start once without --read-only to bring it up to date"}
	}
	return err
}

// Space is the name of the space.
func (s *Store) Space() string { return s.space }

// Path is the file that holds the space.
func (s *Store) Path() string { return s.path }

// Close finishes the changes under way, writes what is pending and releases
// the file. It may be called more than once; calls after it get ErrClosed.
func (s *Store) Close() error {
	s.stopOnce.Do(func() {
		s.flushAccess()
		s.flushRuns()
		close(s.stop)
		s.workers.Wait()
		s.closeErr = s.closeDBs()
	})
	return s.closeErr
}

func (s *Store) closeDBs() error {
	var errs []error
	if s.conn != nil {
		_, _ = s.conn.exec(`PRAGMA optimize`)
		for _, st := range s.conn.stmts {
			errs = append(errs, st.Close())
		}
		errs = append(errs, s.conn.c.Close())
	}
	for _, db := range []*sql.DB{s.readDB, s.writeDB} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *Store) closed() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

func closedError(op string) error {
	return &Error{Op: op, Kind: ErrClosed, Hint: "the server is shutting down: try again in a moment"}
}
