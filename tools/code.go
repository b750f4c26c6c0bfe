package tools

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"engram-mcp/memory"
)

// The code of the agents of all spaces lies in one directory, each file under
// its hash, so that what several agents share is there once. A file is written
// before the row that needs it, and removed when no row does; a lock on the
// directory keeps the one from happening between the two steps of the other,
// in whatever process.

// codeGrace is how long code stays that was kept or given up a moment ago:
// another process may be about to run what has just been replaced.
const codeGrace = 10 * time.Minute

const lockName = ".lock"

// lockCode waits until no other process keeps or removes code.
func (a *Agents) lockCode() (unlock func(), err error) {
	if err := os.MkdirAll(a.opt.Dir, 0o700); err != nil {
		return nil, err
	}
	return lockedfile.MutexAt(filepath.Join(a.opt.Dir, lockName)).Lock()
}

// record keeps the code of an agent and makes it part of the caller's space.
func (a *Agents) record(ctx context.Context, row memory.AgentRow, code []byte) error {
	store, release, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer release()
	unlock, err := a.lockCode()
	if err != nil {
		return err
	}
	defer unlock()
	if err := a.keep(row.SHA256, code); err != nil {
		return err
	}
	return store.SetAgent(ctx, row)
}

// Find returns an installed agent of the caller's space and its code, which is
// nil if it is missing or damaged. The caller needs Read.
func (a *Agents) Find(ctx context.Context, name string) (memory.AgentRow, []byte, error) {
	sp, err := a.space(ctx)
	if err != nil {
		return memory.AgentRow{}, nil, err
	}
	ag, err := sp.installed(name)
	if err != nil {
		return memory.AgentRow{}, nil, err
	}
	code, _ := a.code(ag.row.SHA256) // that it is not there is told by its absence
	return ag.row, code, nil
}

// code reads a module and checks that it is what it is called.
func (a *Agents) code(hash string) ([]byte, error) {
	lost := func(what string) error {
		return &memory.Error{Op: "agents", Kind: memory.ErrStorage, Ref: "the code " + hash[:min(len(hash), 12)] + "… " + what, Hint: "install the agent again with replace true"}
	}
	code, err := os.ReadFile(filepath.Join(a.opt.Dir, filepath.Base(hash)))
	if err != nil {
		return nil, lost("cannot be read")
	}
	if sum := sha256.Sum256(code); hex.EncodeToString(sum[:]) != hash {
		return nil, lost("is damaged")
	}
	return code, nil
}

// keep writes a module under its hash, whole or not at all.
func (a *Agents) keep(hash string, code []byte) error {
	if old, err := a.code(hash); err == nil && bytes.Equal(old, code) {
		return nil
	}
	f, err := os.CreateTemp(a.opt.Dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // in vain once it is renamed
	_, err = f.Write(code)
	if err == nil {
		err = f.Sync()
	}
	if err = cmp.Or(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(a.opt.Dir, hash))
	}
	return err
}

// Code tells what lies in the directory.
type Code struct {
	Files, Unused      int      // unused: no agent of any space needs it
	Bytes, UnusedBytes int64    // on the disk
	Removed            int      // of the unused
	Missing            []string // hashes of code that an agent needs
}

// Collect looks for code that no agent of any space needs, and removes it if
// asked to, but for what was kept or given up in the last ten minutes. If one
// space cannot be read, nothing is known to be unused, and that is an error.
func (a *Agents) Collect(ctx context.Context, remove bool) (c Code, err error) {
	if a.opt.InUse == nil {
		return c, nil
	}
	if remove {
		unlock, err := a.lockCode()
		if err != nil {
			return c, err
		}
		defer unlock()
	}
	used, err := a.opt.InUse(ctx)
	if err != nil {
		return c, err
	}
	entries, err := os.ReadDir(a.opt.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	for hash := range used {
		if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == hash }) {
			c.Missing = append(c.Missing, hash)
		}
	}
	slices.Sort(c.Missing)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Name() == lockName {
			continue
		}
		c.Files++
		c.Bytes += info.Size()
		if used[e.Name()] {
			continue
		}
		c.Unused++
		c.UnusedBytes += info.Size()
		if remove && time.Since(info.ModTime()) >= a.grace && os.Remove(filepath.Join(a.opt.Dir, e.Name())) == nil {
			c.Removed++
		}
	}
	return c, nil
}

// tidy removes code after an agent has given up some. What cannot be removed
// now is removed another time.
func (a *Agents) tidy(ctx context.Context, givenUp string) {
	now := time.Now()
	_ = os.Chtimes(filepath.Join(a.opt.Dir, filepath.Base(givenUp)), now, now) // its time of grace begins
	if _, err := a.Collect(ctx, true); err != nil {
		a.opt.Log.WarnContext(ctx, "code that no agent needs was not looked for", "err", err)
	}
}
