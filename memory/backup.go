package memory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"modernc.org/sqlite"
)

// Backup writes a consistent copy of the space to path while others go on
// reading and writing. The copy appears under its name only once it is
// complete; an existing file is refused. The caller needs Owner.
func (s *Store) Backup(ctx context.Context, path string) (err error) {
	if _, err := s.caller(ctx, "backup", Owner); err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return &Error{Op: "backup", Kind: ErrConflict, Ref: path + " exists", Err: err, Hint: "choose another name, or move the old backup away"}
	}
	part := path + ".part"
	defer os.Remove(part)
	if err := s.copyTo(ctx, part); err != nil {
		return storage("backup", err)
	}
	if err := syncFile(part); err != nil {
		return &Error{Op: "backup", Kind: ErrStorage, Ref: path, Err: err, Hint: "check the disk that the backup goes to"}
	}
	return os.Rename(part, path)
}

// copyTo runs SQLite's online backup into a new file.
func (s *Store) copyTo(ctx context.Context, path string) error {
	c, err := s.readDB.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Raw(func(driver any) error {
		d, ok := driver.(interface {
			NewBackup(string) (*sqlite.Backup, error)
		})
		if !ok {
			return fmt.Errorf("backup: the driver %T cannot", driver)
		}
		b, err := d.NewBackup("file:" + filepath.ToSlash(path))
		if err != nil {
			return err
		}
		for more := true; more; {
			if err := ctx.Err(); err != nil {
				return errors.Join(err, b.Finish())
			}
			if more, err = b.Step(1000); err != nil {
				return errors.Join(err, b.Finish())
			}
		}
		return b.Finish()
	})
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// RestoreFile puts a backup in the place of the space in dir. The backup is
// checked first; a space that is there already is refused unless replace is
// set, and then kept beside the new one, with the name that is returned. The
// restored file gets an origin of its own, so that a copy which lives on
// elsewhere and this one are never taken for the same node. Nobody may have
// the space open.
func RestoreFile(ctx context.Context, backup, dir string, replace bool) (kept string, err error) {
	if problems := checkFile(ctx, backup); len(problems) > 0 {
		return "", &Error{Op: "restore", Kind: ErrStorage, Ref: backup + ": " + problems[0].What, Hint: "choose another backup; the space was not touched"}
	}
	path := filepath.Join(dir, fileName)
	if _, err := os.Stat(path); err == nil && !replace {
		return "", &Error{Op: "restore", Kind: ErrConflict, Ref: path + " exists", Hint: "add --replace to put the backup in its place (the present file is kept beside it)"}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", &Error{Op: "restore", Kind: ErrStorage, Ref: dir, Err: err, Hint: "check that the data directory is yours"}
	}
	fresh := path + ".restore"
	defer os.Remove(fresh)
	if err := copyFile(backup, fresh); err != nil {
		return "", &Error{Op: "restore", Kind: ErrStorage, Ref: fresh, Err: err, Hint: "check the disk and its free space; the space was not touched"}
	}
	if err := newOrigin(ctx, fresh); err != nil {
		return "", storage("restore", err)
	}
	if kept, err = setAside(path); err != nil {
		return "", &Error{Op: "restore", Kind: ErrStorage, Ref: path, Err: err, Hint: "stop every engram-mcp that uses this space, then try again"}
	}
	return kept, os.Rename(fresh, path)
}

func copyFile(from, to string) error {
	data, err := os.Open(from)
	if err != nil {
		return err
	}
	defer data.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.ReadFrom(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// newOrigin makes a copied file a node of its own.
func newOrigin(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `UPDATE space SET origin = ?, oseq = 0`, uuid.NewString())
	return errors.Join(err, db.Close())
}

// setAside moves a database and its log out of the way; "" if there is none.
func setAside(path string) (kept string, err error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	for i := 1; ; i++ {
		kept = fmt.Sprintf("%s.before-restore-%d", path, i)
		if _, err := os.Lstat(kept); errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	for _, suffix := range []string{"-wal", "-shm", ""} { // the log first: it must not meet the new file
		if err := os.Rename(path+suffix, kept+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return kept, nil
}
