package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"engram-mcp/sandbox"
)

// section encodes a section of a module; the tests need none of 128 bytes or
// more.
func section(id byte, body ...byte) []byte { return append([]byte{id, byte(len(body))}, body...) }

func name(s string) []byte { return append([]byte{byte(len(s))}, s...) }

func module(sections ...[]byte) []byte {
	m := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		m = append(m, s...)
	}
	return m
}

// exporting is a module with one function () -> i32 that returns 0, exported
// under a name, with an import before it if there is one.
func exporting(export string, imp ...string) []byte {
	parts := [][]byte{section(1, 1, 0x60, 0, 1, 0x7f)}
	index := byte(0)
	if len(imp) == 2 {
		body := append([]byte{1}, append(name(imp[0]), name(imp[1])...)...)
		parts = append(parts, section(2, append(body, 0, 0)...))
		index = 1
	}
	parts = append(parts, section(3, 1, 0), section(7, append(append([]byte{1}, name(export)...), 0, index)...), section(10, 1, 4, 0, 0x41, 0, 0x0b))
	return module(parts...)
}

// Whatever is wrong with a module is said when it is loaded, with a remedy.
func TestLoadExplains(t *testing.T) {
	good := exporting("execute")
	for _, tc := range []struct {
		why           string
		code          []byte
		message, hint string
	}{
		{"nothing", nil, "", "binary WebAssembly module"},
		{"text", []byte("(module)"), "", "wat2wasm"},
		{"cut short", good[:len(good)-3], "malformed", "damaged"},
		{"bytes after the end", append(append([]byte{}, good...), 99, 99, 99), "malformed", "damaged"},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), "", "core module"},
		{"an export of another name", exporting("main"), "nothing that performs an action", "export execute"},
		{"an import that is not there", exporting("execute", "env", "puts"), "puts", "not linked in"},
		{"an interface of the component model", exporting("execute", "wasi:io/poll@0.2.0", "poll"), "poll", "core module"},
		{"the rewriter's own import", exporting("execute", "engram", "__yield"), "__yield", "Rename"},
		{"an operation with an odd type", exporting("execute", "extism:host/user", "engram_get"), "engram_get", "i64"},
		{"an execute with another type", module(section(1, 1, 0x60, 1, 0x7f, 0), section(3, 1, 0), section(7, append(append([]byte{1}, name("execute")...), 0, 0)...), section(10, 1, 2, 0, 0x0b)), "type", "without parameters"},
		{"a body that does not fit its type", module(section(1, 1, 0x60, 0, 1, 0x7f), section(3, 1, 0), section(7, append(append([]byte{1}, name("execute")...), 0, 0)...), section(10, 1, 4, 0, 0x42, 0, 0x0b)), "", "WebAssembly 2.0"},
		{"too much memory", module(section(1, 1, 0x60, 0, 1, 0x7f), section(3, 1, 0), section(5, 1, 0, 0x80, 0x10), section(7, append(append([]byte{1}, name("execute")...), 0, 0)...), section(10, 1, 4, 0, 0x41, 0, 0x0b)), "limit of 64 MiB", "memory_mib"},
		{"memory that is shared", module(section(5, 1, 3, 1, 1)), "", "thread"},
		{"four thousand million locals", module(section(1, 1, 0x60, 0, 0), section(3, 1, 0), section(10, 1, 8, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b)), "locals", ""},
	} {
		for _, engine := range []string{"compiler", "interpreter"} {
			m := manager(t, Options{})
			_, err := m.Load(t.Context(), manifest("x", func(m *sandbox.Manifest) { m.Engine = engine }), tc.code)
			if !errors.Is(err, sandbox.ErrBadAgent) || !strings.Contains(err.Error(), tc.message) {
				t.Errorf("%s: %v, want a bad agent with %q", tc.why, err, tc.message)
			} else if hint := sandbox.HintOf(err); hint == "" || !strings.Contains(hint, tc.hint) {
				t.Errorf("%s: hint %q, want %q", tc.why, hint, tc.hint)
			}
			if len(m.Agents()) != 0 {
				t.Errorf("%s: it is loaded", tc.why)
			}
		}
	}
}

// Code that runs while an agent is made ready is bounded like any other.
func TestStartingIsBounded(t *testing.T) {
	loop := []byte{0x03, 0x40, 0x0c, 0, 0x0b, 0x41, 0, 0x0b} // (loop (br 0)) (i32.const 0)
	types, funcs := section(1, 2, 0x60, 0, 1, 0x7f, 0x60, 0, 0), section(3, 2, 0, 1)
	code := section(10, append([]byte{2, byte(len(loop) + 1), 0}, append(loop, 7, 0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b)...)...)
	export := func(n string) []byte { return section(7, append(append([]byte{1}, name(n)...), 0, 0)...) }
	both := func(n string) []byte {
		return section(7, append(append(append(append([]byte{2}, name(n)...), 0, 0), name("execute")...), 0, 0)...)
	}
	for why, wasm := range map[string][]byte{
		"start section": module(types, funcs, export("execute"), section(8, 1), code),
		"_initialize":   module(types, funcs, both("_initialize"), code),
		"initialize":    module(types, funcs, both("initialize"), code),
		"capabilities":  module(types, funcs, both("capabilities"), code),
	} {
		m := manager(t, Options{})
		for compiled := false; !compiled; {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err := m.Load(ctx, manifest("x"), wasm)
			cancel()
			if compiled = err == nil || !strings.Contains(err.Error(), "compiling goes on"); compiled && (!errors.Is(err, sandbox.ErrBadAgent) || !errors.Is(err, sandbox.ErrTimeout)) {
				t.Errorf("%s: %v", why, err)
			}
		}
	}
	m := manager(t, Options{})
	_, err := m.Load(t.Context(), manifest("x", func(m *sandbox.Manifest) { m.Limits.Fuel, m.Limits.TimeMS = 1, 60_000 }), module(types, funcs, both("initialize"), code))
	if !errors.Is(err, sandbox.ErrBadAgent) || !errors.Is(err, sandbox.ErrFuel) {
		t.Errorf("with little fuel: %v", err)
	}
}

func TestManifestInsideTheModule(t *testing.T) {
	man := `{"name":"inside","grants":["engram_get"]}`
	code := append(exporting("execute"), section(0, append(name(manifestSection), man...)...)...)
	m, found, err := ReadManifest(code)
	if err != nil || !found || m.Name != "inside" || m.Runtime != "wasm" || len(m.Grants) != 1 {
		t.Errorf("%+v %v %v", m, found, err)
	}
	if _, found, err = ReadManifest(exporting("execute")); found || err != nil {
		t.Errorf("without: %v %v", found, err)
	}
	bad := append(exporting("execute"), section(0, append(name(manifestSection), `{"nam":"x"}`...)...)...)
	if _, found, err = ReadManifest(bad); !found || !errors.Is(err, sandbox.ErrBadAgent) || !strings.Contains(sandbox.HintOf(err), "name") {
		t.Errorf("bad: %v %v", found, err)
	}
	if _, _, err = ReadManifest([]byte("junk")); !errors.Is(err, sandbox.ErrBadAgent) || sandbox.HintOf(err) == "" {
		t.Errorf("junk: %v", err)
	}
}

// Compiling goes on when its caller is gone, and is done once.
func TestCompilingGoesOnInTheBackground(t *testing.T) {
	r := open(t, Options{})
	code := file(t, "testdata/reference.wasm")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	man := manifest("x")
	man.Limits = sandbox.DefaultLimits
	if a, err := r.Load(ctx, man, code); err == nil {
		_ = a.Close(t.Context()) // it was quicker than the caller
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	first, err := r.Load(t.Context(), man, code)
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Load(t.Context(), man, append([]byte{}, code...))
	if err != nil {
		t.Fatal(err)
	}
	if first.(*agent).code != second.(*agent).code {
		t.Error("the same code was compiled twice")
	}
	for _, a := range []sandbox.Agent{first, second, first} { // closing twice is fine
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Compiled code is found again by the next process, and damaged files cost no
// more than compiling anew.
func TestCodeOnDisk(t *testing.T) {
	dir := t.TempDir()
	code := file(t, "testdata/reference.wasm")
	works := func(t *testing.T) {
		t.Helper()
		m := manager(t, Options{CacheDir: dir})
		load(t, m, manifest("ref"), code)
		if res, err := m.Run(t.Context(), "ref", sandbox.Call{Action: "echo", Params: []byte(`[1]`)}); err != nil || string(res.Output) != "[1]" {
			t.Errorf("%s %v", res.Output, err)
		}
	}
	all := func() (list []string) {
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
			if !d.IsDir() {
				list = append(list, path)
			}
			return nil
		})
		return list
	}
	t.Run("first", works)
	kept := all()
	if len(kept) == 0 {
		t.Skip("this platform has no compiler, only the interpreter")
	}
	t.Run("second", works)
	if again := all(); !slices.Equal(again, kept) {
		t.Fatalf("files %v became %v", kept, again)
	}
	content := file(t, kept[0])
	damages := map[string][]byte{"cut": content[:len(content)/2], "empty": {}, "nonsense": make([]byte, len(content))}
	for _, at := range []int{0, 7, 20, 60, len(content) / 2, len(content) - 1} {
		b := slices.Clone(content)
		b[at] ^= 0x80
		damages[fmt.Sprintf("byte %d", at)] = b
	}
	for damage, b := range damages {
		t.Run(damage, func(t *testing.T) {
			if err := os.WriteFile(kept[0], b, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Run("run", works)
			if now := all(); !slices.Equal(now, kept) || !bytes.Equal(file(t, kept[0]), content) {
				t.Errorf("files are %v", now)
			}
		})
	}
	t.Run("directory gone", func(t *testing.T) {
		m := manager(t, Options{CacheDir: dir})
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		load(t, m, manifest("ref"), code)
	})
}

func TestCacheIsBounded(t *testing.T) {
	c := &diskCache{dir: t.TempDir()}
	for i, name := range []string{"oldest", "older", "new"} {
		path := filepath.Join(c.dir, name)
		if err := os.WriteFile(path, make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(i-3) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	for name, age := range map[string]time.Duration{"staging-1": 48 * time.Hour, "staging-2": time.Hour} {
		path, at := filepath.Join(c.dir, name), time.Now().Add(-age)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	c.trim(2500)
	entries, err := os.ReadDir(c.dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"new", "older", "staging-2"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%v %v, want %v", names, err, want)
	}
}

// The memory of all guests together is bounded; instances that nobody uses
// make room first.
func TestMemoryOfAllGuestsIsBounded(t *testing.T) {
	rt := open(t, Options{Memory: 10 << 20})
	m := sandbox.NewManager(sandbox.Options{}, rt)
	code := file(t, "testdata/reference.wasm") // 3.2 MiB each
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		load(t, m, manifest(n), code)
	}
	for range 2 {
		for _, n := range []string{"a", "b", "c", "d", "e"} {
			if _, err := m.Run(t.Context(), n, sandbox.Call{Action: "echo"}); err != nil {
				t.Errorf("%s: %v", n, err)
			}
		}
	}
	if _, err := m.Run(t.Context(), "a", sandbox.Call{Action: "bomb"}); !errors.Is(err, sandbox.ErrBusy) {
		t.Errorf("all memory for one: %v, want busy", err)
	}
	if n := rt.memory.used.Load(); n > 10<<20 {
		t.Errorf("%d bytes are used", n)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := rt.memory.used.Load(); n != 0 {
		t.Errorf("%d bytes are used when all agents are gone", n)
	}
}

func TestWASIPollMovesTheClock(t *testing.T) {
	r := open(t, Options{})
	man := manifest("x")
	man.Limits = sandbox.DefaultLimits
	a, err := r.Load(t.Context(), man, file(t, "testdata/hostile.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(context.Background())
	g, err := newGuest(a.(*agent).code, r.memory, man.Limits.Memory())
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	j := a.(*agent).job(g, &turn{gate: r.gate}, sandbox.Call{}, nil)
	start := time.Now()
	mem := g.bytes()
	le := binary.LittleEndian
	subscribe := func(i int, user uint64, kind byte, timeout time.Duration) {
		s := mem[1024+48*i:][:48]
		clear(s)
		le.PutUint64(s, user)
		s[8] = kind
		le.PutUint32(s[16:], 1)
		le.PutUint64(s[24:], uint64(timeout))
	}
	poll := func(n uint64) (events uint32) {
		stack := []uint64{1024, 8192, n, 16384}
		if errno := pollOneoff(j, stack); errno != errnoSuccess {
			t.Fatalf("errno %d", errno)
		}
		return le.Uint32(mem[16384:])
	}
	subscribe(0, 7, 0, 2*time.Hour)
	subscribe(1, 8, 0, time.Hour)
	before := j.clock.elapsed
	if n := poll(2); n != 1 || le.Uint64(mem[8192:]) != 8 {
		t.Errorf("%d events, the first of %d; want one of 8", n, le.Uint64(mem[8192:]))
	}
	if passed := j.clock.elapsed - before; passed < time.Hour || passed > time.Hour+time.Second {
		t.Errorf("the guest's clock moved by %v", passed)
	}
	subscribe(1, 9, 2, 0) // writing is possible at once
	before = j.clock.elapsed
	if n := poll(2); n != 1 || le.Uint64(mem[8192:]) != 9 || j.clock.elapsed-before > time.Second {
		t.Errorf("%d events, the first of %d, after %v", n, le.Uint64(mem[8192:]), j.clock.elapsed-before)
	}
	if time.Since(start) > 10*time.Second {
		t.Error("it really slept")
	}
	for _, n := range []uint64{0, maxEvents + 1} {
		if errno := pollOneoff(j, []uint64{1024, 8192, n, 16384}); errno != errnoInval {
			t.Errorf("%d subscriptions: errno %d", n, errno)
		}
	}
}

// Exception handling is for interpreters only.
func TestExceptionsAreForInterpretersOnly(t *testing.T) {
	throwing := module(
		section(1, 2, 0x60, 0, 1, 0x7f, 0x60, 0, 0), section(3, 1, 0), section(13, 1, 0, 1),
		section(7, append(append(append(append([]byte{2}, name("initialize")...), 0, 0), name("execute")...), 0, 0)...),
		// block, try_table (catch 0 0), throw 0, end, unreachable, end, i32.const 0
		section(10, 1, 17, 0, 0x02, 0x40, 0x1f, 0x40, 1, 0, 0, 0, 0x08, 0, 0x0b, 0x00, 0x0b, 0x41, 0, 0x0b))
	rt := open(t, Options{})
	m := sandbox.NewManager(sandbox.Options{}, rt)
	defer m.Close(context.Background())
	if _, err := m.Load(t.Context(), manifest("user"), throwing); !errors.Is(err, sandbox.ErrBadAgent) || !strings.Contains(sandbox.HintOf(err), "exceptions") {
		t.Errorf("a user's module: %v (%s)", err, sandbox.HintOf(err))
	}
	own := sandbox.NewManager(sandbox.Options{}, language{rt, Interpreter{Wasm: throwing, Exceptions: true}})
	defer own.Close(context.Background())
	load(t, own, manifest("own"), []byte("program"))
	if res, err := own.Run(t.Context(), "own", sandbox.Call{Action: "run"}); err != nil || string(res.Output) != "null" {
		t.Errorf("an interpreter: %s, %v", res.Output, err)
	}
}
