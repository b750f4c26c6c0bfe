package wasm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"engram-mcp/sandbox"
	"engram-mcp/sandbox/meter"
)

// code is one compiled module, shared by every agent that was loaded from the
// same bytes on the same engine.
type code struct {
	key      codeKey
	ready    chan struct{} // closed when the fields below are set
	engine   *engine
	compiled wazero.CompiledModule
	user     api.Module // operations that it imports by name, or nil
	info     meter.Info
	err      error

	refs int // guarded by the store's mutex
	size int // of the module, to bound what idle modules take

	// Of an interpreter:
	base  atomic.Pointer[state] // in which every program begins
	mu    sync.Mutex
	pools map[int64]*pool // instances in that state, by their memory limit
}

type codeKey struct {
	sum  [sha256.Size]byte
	kind engineKind
}

// maxIdleCode bounds the modules that stay compiled without an agent, in
// bytes of their files. Their machine code is three to four times as large.
const maxIdleCode = 16 << 20

// A codeStore compiles modules, one at a time, each once.
type codeStore struct {
	rt      *Runtime
	compile chan struct{} // held while compiling

	mu     sync.Mutex
	codes  map[codeKey]*code
	sums   map[*byte][sha256.Size]byte // of interpreters, by where they lie
	idle   []*code                     // without refs, oldest first
	closed bool
	busy   sync.WaitGroup // compilations
}

func newCodeStore(rt *Runtime) *codeStore {
	return &codeStore{rt: rt, compile: make(chan struct{}, 1), codes: map[codeKey]*code{}, sums: map[*byte][sha256.Size]byte{}}
}

// get returns the compiled module and holds a reference to it. Compiling goes
// on in the background if ctx is done first, and the next call finds it.
func (s *codeStore) get(ctx context.Context, wasm []byte, key codeKey) (*code, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, sandbox.ErrClosed
	}
	c := s.codes[key]
	if c == nil {
		c = &code{key: key, ready: make(chan struct{}), size: len(wasm)}
		s.codes[key] = c
		s.busy.Add(1)
		c.refs++ // of the compilation
		go s.build(c, append([]byte(nil), wasm...))
	}
	s.unidle(c)
	c.refs++
	s.mu.Unlock()
	select {
	case <-c.ready:
	case <-ctx.Done():
		s.put(c)
		return nil, fmt.Errorf("compiling goes on in the background: %w", context.Cause(ctx))
	}
	if c.err != nil {
		s.put(c)
		return nil, c.err
	}
	return c, nil
}

// sumOf returns the hash of a module that does not change: an interpreter's,
// which many agents are loaded with.
func (s *codeStore) sumOf(wasm []byte) [sha256.Size]byte {
	if len(wasm) == 0 {
		return sha256.Sum256(nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sum, ok := s.sums[&wasm[0]]
	if !ok {
		sum = sha256.Sum256(wasm)
		s.sums[&wasm[0]] = sum
	}
	return sum
}

// put gives a reference back.
func (s *codeStore) put(c *code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.refs--; c.refs > 0 {
		return
	}
	if c.err != nil || s.closed {
		s.drop(c)
		return
	}
	s.idle = append(s.idle, c)
	total := 0
	for _, c := range s.idle {
		total += c.size
	}
	for total > maxIdleCode && len(s.idle) > 0 {
		oldest := s.idle[0]
		s.idle = s.idle[1:]
		total -= oldest.size
		s.drop(oldest)
	}
}

func (s *codeStore) unidle(c *code) {
	for i := range s.idle {
		if s.idle[i] == c {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			return
		}
	}
}

// drop forgets a module without references.
func (s *codeStore) drop(c *code) {
	if s.codes[c.key] == c {
		delete(s.codes, c.key)
	}
	for _, p := range c.pools {
		p.close()
		s.rt.memory.leave(p)
	}
	if c.compiled != nil {
		_ = c.compiled.Close(context.Background()) // frees memory, never fails
		c.compiled = nil
	}
	if c.user != nil {
		_ = c.user.Close(context.Background())
		c.user = nil
	}
}

// close waits for compilations and frees every idle module.
func (s *codeStore) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.busy.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.idle {
		s.drop(c)
	}
	s.idle = nil
}

func (s *codeStore) build(c *code, wasm []byte) {
	defer s.busy.Done()
	defer s.put(c)
	defer close(c.ready)
	s.compile <- struct{}{}
	defer func() { <-s.compile }()
	c.engine, c.err = s.rt.engine(c.key.kind)
	if c.err != nil {
		return
	}
	rewritten, info, err := meter.Rewrite(wasm, meter.Options{
		Allow:      allowed,
		Exceptions: c.key.kind&trusted != 0,
		Limits:     meter.Limits{MemoryPages: hardPages},
	})
	if err != nil {
		c.err = refusal(err)
		return
	}
	info.Customs = nil // parts of the file, which need not stay
	c.info = info
	if err = s.compileOn(c, rewritten); err != nil {
		c.err = badCode("compile", "build it for WebAssembly 2.0, without threads and exceptions", errors.New(firstLine(err)))
		return
	}
	c.user, c.err = c.engine.userModule(&c.info)
}

// compileOn compiles on the code's engine. When that fails it tries once
// without files: either the module is invalid, or the disk is full or failing.
func (s *codeStore) compileOn(c *code, wasm []byte) error {
	compile := func() (err error) {
		c.compiled, err = c.engine.rt.CompileModule(context.Background(), wasm)
		return err
	}
	cache := c.engine.cache
	if cache == nil {
		return compile()
	}
	err := cache.around(wasm, compile)
	if err == nil {
		return nil
	}
	if c.engine, err = s.rt.engine(c.key.kind | uncached); err != nil {
		return err
	}
	return compile()
}

// refusal turns what the meter found into an error of the sandbox.
func refusal(err error) error {
	var me *meter.Error
	if !errors.As(err, &me) {
		return badCode("read", "build the module again", err)
	}
	hint := me.Hint
	for _, i := range me.Imports {
		if i.Module == extismUser {
			continue
		}
		if strings.HasPrefix(i.Module, "wasi:") || strings.Contains(i.Module, ":") && i.Module != extismEnv {
			hint = "it imports an interface of the component model; build a core module for wasm32-unknown-unknown or wasm32-wasip1"
		} else if i.Module == "env" {
			hint = "a function was not linked in: define " + i.Name + ", or import it from module engram"
		}
	}
	return badCode("read", hint, err)
}

func badCode(op, hint string, err error) error {
	return &sandbox.Error{Op: op + " module", Kind: sandbox.ErrBadAgent, Err: err, Hint: hint}
}

// firstLine leaves out the stack trace that wazero puts into its errors.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
