package memory

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// idleClose is how long a space that nobody uses stays open.
const idleClose = 5 * time.Minute

// Spaces opens the spaces of a data directory on demand and closes them when
// they have been idle. Its methods are safe for concurrent use.
type Spaces struct {
	dir string
	opt Options

	mu     sync.Mutex
	open   map[string]*openSpace
	closed bool
}

type openSpace struct {
	ready chan struct{} // closed once store and err are set
	store *Store
	err   error
	users int
	idle  *time.Timer // runs while users is 0
}

// OpenSpaces returns the spaces under dir, each in spaces/NAME. Nothing is
// touched until a space is asked for. opt.Space is ignored.
func OpenSpaces(dir string, opt Options) *Spaces {
	return &Spaces{dir: filepath.Join(dir, "spaces"), opt: opt, open: map[string]*openSpace{}}
}

// Get returns an open space, creating it if need be. The caller must call
// release when it is done with the store, and not use it after.
func (s *Spaces) Get(ctx context.Context, space string) (_ *Store, release func(), err error) {
	if !ValidSpace(space) {
		return nil, nil, invalid("open", "space "+space, `use lower-case letters, digits, "-", "_" and ".", at most 64`)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, nil, closedError("open")
	}
	o := s.open[space]
	if o == nil {
		o = &openSpace{ready: make(chan struct{})}
		s.open[space] = o
		go s.start(space, o)
	}
	o.users++
	if o.idle != nil {
		o.idle.Stop()
		o.idle = nil
	}
	s.mu.Unlock()
	var once sync.Once
	release = func() { once.Do(func() { s.release(space, o) }) }
	select {
	case <-o.ready:
	case <-ctx.Done():
		release()
		return nil, nil, ctx.Err()
	}
	if o.err != nil {
		release()
		return nil, nil, o.err
	}
	return o.store, release, nil
}

// start opens a store outside the lock, so that a slow disk holds up only
// those who want this space. It does not end with the first caller's context.
func (s *Spaces) start(space string, o *openSpace) {
	opt := s.opt
	opt.Space = space
	o.store, o.err = Open(context.Background(), filepath.Join(s.dir, space), opt)
	if o.err != nil {
		s.mu.Lock()
		if s.open[space] == o {
			delete(s.open, space) // the next Get tries again
		}
		s.mu.Unlock()
	}
	close(o.ready)
}

func (s *Spaces) release(space string, o *openSpace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.users--; o.users > 0 || s.closed {
		return
	}
	o.idle = time.AfterFunc(idleClose, func() {
		s.mu.Lock()
		gone := o.users == 0 && s.open[space] == o && !s.closed
		if gone {
			delete(s.open, space)
		}
		s.mu.Unlock()
		if gone && o.store != nil {
			_ = o.store.Close()
		}
	})
}

// Names lists the spaces that exist, by name.
func (s *Spaces) Names() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, &Error{Op: "list spaces", Kind: ErrStorage, Ref: s.dir, Err: err, Hint: "check that the data directory is yours"}
	}
	var names []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(s.dir, e.Name(), fileName)); err == nil && ValidSpace(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Due is when the next run is due in a space, the zero time if none is. It
// does not open a space that is closed, which would be much to do for those in
// which nothing is scheduled: it looks into the file alone.
func (s *Spaces) Due(ctx context.Context, space string) (due time.Time, err error) {
	if !ValidSpace(space) {
		return due, nil
	}
	look := &Store{path: filepath.Join(s.dir, space, fileName)}
	if _, err := os.Stat(look.path); err != nil {
		return due, nil
	}
	db, err := sql.Open("sqlite", look.dsn("&_pragma=query_only(1)"))
	if err != nil {
		return due, storage("schedule", err)
	}
	defer db.Close()
	var tables int
	var next *int64
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name = 'schedule'`).Scan(&tables); err != nil || tables == 0 {
		return due, storage("schedule", err) // of an older version: nothing is scheduled
	}
	if err := db.QueryRowContext(ctx, `SELECT min(max(due, claimed)) FROM schedule`).Scan(&next); err != nil || next == nil {
		return due, storage("schedule", err)
	}
	return instant(*next), nil
}

// Close closes every open space. Calls of Get after it fail with ErrClosed.
func (s *Spaces) Close() error {
	s.mu.Lock()
	s.closed = true
	open := make([]*openSpace, 0, len(s.open))
	for _, o := range s.open {
		if o.idle != nil {
			o.idle.Stop()
		}
		open = append(open, o)
	}
	s.mu.Unlock()
	var errs []error
	for _, o := range open {
		<-o.ready
		if o.store != nil {
			errs = append(errs, o.store.Close())
		}
	}
	return errors.Join(errs...)
}
