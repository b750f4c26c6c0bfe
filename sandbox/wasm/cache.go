package wasm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"

	"engram-mcp/sandbox/meter"
)

// A diskCache keeps machine code from one process to the next.
//
// wazero can do that by itself, but trusts what it reads: a damaged file could
// crash the server. So the files lie here under names that end in the SHA-256
// of their content, and wazero is given a directory of this process's own, in
// which only files are that were checked a moment ago.
type diskCache struct {
	dir     string // kept files: <module>.<wazero's name>.<sha256>
	staging string // wazero's directory
	wazero  wazero.CompilationCache
}

// maxCache bounds the kept files, in bytes.
const maxCache = 2 << 30

func openCache(dir string) (*diskCache, error) {
	c := &diskCache{dir: filepath.Join(dir, "meter-"+meter.Version)}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("wasm: make the cache directory: %w", err)
	}
	c.trim(maxCache)
	var err error
	if c.staging, err = os.MkdirTemp(c.dir, stagingPrefix); err != nil {
		return nil, fmt.Errorf("wasm: make the cache directory: %w", err)
	}
	if c.wazero, err = wazero.NewCompilationCacheWithDir(c.staging); err != nil {
		return nil, fmt.Errorf("wasm: open the cache directory: %w", err)
	}
	return c, nil
}

const stagingPrefix = "staging-"

// close frees the machine code in memory and wazero's directory.
func (c *diskCache) close() error {
	return errors.Join(c.wazero.Close(context.Background()), os.RemoveAll(c.staging))
}

// around runs compile, which compiles wasm, with the files for it at hand, and
// keeps those that it makes. What goes wrong with files costs time only.
func (c *diskCache) around(wasm []byte, compile func() error) error {
	sum := sha256.Sum256(wasm)
	key := hex.EncodeToString(sum[:16])
	inner := c.inner()
	had := c.stage(key, inner)
	err := compile()
	if err == nil {
		c.keep(key, inner, had)
	}
	left, _ := os.ReadDir(inner)
	for _, f := range left {
		_ = os.Remove(filepath.Join(inner, f.Name()))
	}
	return err
}

// inner returns the directory in which wazero looks for files, made anew if
// somebody has cleaned up meanwhile.
func (c *diskCache) inner() string {
	entries, err := os.ReadDir(c.staging)
	if err != nil || len(entries) == 0 {
		// wazero makes the directory when it opens a cache.
		if again, err := wazero.NewCompilationCacheWithDir(c.staging); err == nil {
			_ = again.Close(context.Background())
		}
		entries, _ = os.ReadDir(c.staging)
	}
	for _, e := range entries {
		if e.IsDir() {
			return filepath.Join(c.staging, e.Name())
		}
	}
	return c.staging
}

// stage puts the kept files of a module where wazero looks, and removes those
// that are damaged. It returns the names that wazero knows them by.
func (c *diskCache) stage(key, inner string) (names []string) {
	kept, _ := os.ReadDir(c.dir)
	for _, f := range kept {
		parts := strings.Split(f.Name(), ".")
		if len(parts) != 3 || parts[0] != key {
			continue
		}
		path := filepath.Join(c.dir, f.Name())
		if err := place(path, filepath.Join(inner, parts[1]), parts[2]); err != nil {
			slog.Warn("compiled code on disk cannot be used and is made anew", "file", path, "error", err)
			_ = os.Remove(path)
			continue
		}
		now := time.Now()
		_ = os.Chtimes(path, now, now) // trim removes what was used longest ago
		names = append(names, parts[1])
	}
	return names
}

// keep keeps the files that wazero has made.
func (c *diskCache) keep(key, inner string, had []string) {
	made, _ := os.ReadDir(inner)
	made = slices.DeleteFunc(made, func(f fs.DirEntry) bool { return slices.Contains(had, f.Name()) || strings.Contains(f.Name(), ".") })
	if len(made) == 0 {
		return
	}
	for _, f := range made {
		path := filepath.Join(inner, f.Name())
		sum, err := sumFile(path)
		if err == nil {
			err = os.Rename(path, filepath.Join(c.dir, key+"."+f.Name()+"."+sum))
		}
		if err != nil {
			slog.Warn("compiled code cannot be kept on disk", "directory", c.dir, "error", err)
		}
	}
	c.trim(maxCache)
}

// trim removes the files used longest ago until at most limit bytes are left,
// and the directories of processes that were killed.
func (c *diskCache) trim(limit int64) {
	entries, _ := os.ReadDir(c.dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() && strings.HasPrefix(e.Name(), stagingPrefix) && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(filepath.Join(c.dir, e.Name()))
		}
	}
	kept := files(c.dir)
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var total int64
	for _, f := range kept {
		if total += f.Size(); total > limit {
			_ = os.Remove(filepath.Join(c.dir, f.Name()))
		}
	}
}

// files lists the regular files of a directory; none if it cannot be read.
func files(dir string) []fs.FileInfo {
	entries, _ := os.ReadDir(dir)
	var list []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			list = append(list, info)
		}
	}
	return list
}

// place gives a file a second name if its content has the given hash. Nobody
// writes to a file once it has its name, so that a link is as good as a copy;
// where there are no links it is one.
func place(from, to, sum string) error {
	if got, err := sumFile(from); err != nil || got != sum {
		return cmp.Or(err, errors.New("its content is not what was written"))
	}
	if os.Link(from, to) == nil {
		return nil
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}

func sumFile(path string) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
