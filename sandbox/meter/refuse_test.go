package meter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"engram-mcp/sandbox/meter"
)

// Everything that is refused is refused with the right kind, words that say
// what was found, and a hint that says what to do.
func TestRefusals(t *testing.T) {
	empty := function{typeNone, code()}
	body := func(b ...[]byte) []byte { return simple(function{typeNone, code(b...)}, empty) }
	importOf := func(kind ...byte) []byte { return module(types, sec(2, vec(join(str("env"), str("x"), kind)))) }
	exportAs := func(name string) []byte {
		return module(types, sec(3, vec(ops(0))), sec(7, vec(join(str(name), ops(0, 0)))), sec(10, vec(sized(code()))))
	}
	for _, c := range []struct {
		name string
		wasm []byte
		kind error
		says string // in Detail
		hint string // in Hint
	}{
		{"empty file", nil, meter.ErrMalformed, "header", "wat2wasm"},
		{"text", []byte("(module)"), meter.ErrMalformed, "header", "wat2wasm"},
		{"header only half", []byte("\x00asm\x01\x00"), meter.ErrMalformed, "cut short", "Rebuild"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), meter.ErrUnsupported, "component", "wasm32-wasip1"},
		{"other version", []byte("\x00asm\x02\x00\x00\x00"), meter.ErrUnsupported, "version", "Rebuild"},
		{"section twice", module(types, types), meter.ErrMalformed, "type section out of order", "Rebuild"},
		{"section order", module(sec(3, vec()), types), meter.ErrMalformed, "out of order", "Rebuild"},
		{"section unknown", module(sec(14)), meter.ErrMalformed, "unknown section 14", "Rebuild"},
		{"section too long", module(ops(1, 100)), meter.ErrMalformed, "100 bytes announced, 0 left", "Rebuild"},
		{"bytes left over", module(sec(3, ops(0, 7))), meter.ErrMalformed, "left over in the function section", "Rebuild"},
		{"huge count", module(sec(2, uleb(0xffff_ffff))), meter.ErrMalformed, "imports announced", "Rebuild"},
		{"number too long", module(sec(3, ops(0xff, 0xff, 0xff, 0xff, 0x1f))), meter.ErrMalformed, "over 32 bits", "Rebuild"},
		{"function without body", module(types, sec(3, vec(ops(0)))), meter.ErrMalformed, "1 functions declared, 0 bodies", "Rebuild"},
		{"name not UTF-8", exportAs("\xff"), meter.ErrMalformed, "UTF-8", "Rebuild"},
		{"body without end", module(types, sec(3, vec(ops(0))), sec(10, vec(sized(ops(0, 1))))), meter.ErrMalformed, "unexpected end", "Rebuild"},
		{"code after end", module(types, sec(3, vec(ops(0))), sec(10, vec(sized(ops(0, 0x0b, 0x0b))))), meter.ErrMalformed, "after the end", "Rebuild"},
		{"else without if", body(ops(0x02, 0x40, 0x05, 0x0b)), meter.ErrMalformed, "else without if", "Rebuild"},
		{"else twice", body(i32c(0), ops(0x04, 0x40, 0x05, 0x05, 0x0b)), meter.ErrMalformed, "else without if", "Rebuild"},
		{"unknown opcode", body(ops(0xff)), meter.ErrMalformed, "unknown instruction ff", "Rebuild"},
		{"unknown misc opcode", body(ops(0xfc, 18)), meter.ErrMalformed, "unknown instruction fc 12", "Rebuild"},
		{"unknown vector opcode", body(ops(0xfd, 0x9a, 1)), meter.ErrMalformed, "unknown instruction", "Rebuild"},
		{"relaxed vectors", body(ops(0xfd, 0x80, 2)), meter.ErrUnsupported, "relaxed vector", "relaxed-simd"},
		{"atomics", body(ops(0xfe, 0x10, 2, 0)), meter.ErrUnsupported, "instruction fe", "-pthread"},
		{"shared memory", withSections([]function{empty}, sec(5, ops(1, 3, 1, 1))), meter.ErrUnsupported, "shared", "-pthread"},
		{"memory64", withSections([]function{empty}, sec(5, ops(1, 4, 1))), meter.ErrUnsupported, "64-bit", "wasm32"},
		{"two memories", withSections([]function{empty}, sec(5, ops(2, 0, 1, 0, 1))), meter.ErrUnsupported, "more than one memory", "one memory"},
		{"memory over 4 GiB", withSections([]function{empty}, sec(5, join(ops(1, 1, 1), uleb(65537)))), meter.ErrMalformed, "4 GiB", "Rebuild"},
		{"minimum over maximum", withSections([]function{empty}, sec(5, ops(1, 1, 2, 1))), meter.ErrMalformed, "below minimum", "Rebuild"},
		{"struct type", module(sec(1, vec(ops(0x5f, 0)))), meter.ErrUnsupported, "type form 0x5f", "garbage-collected"},
		{"typed reference", module(sec(1, vec(ops(0x60, 1, 0x64, 0x70, 0)))), meter.ErrUnsupported, "value type 0x64", "typed references"},
		{"call_ref", body(ops(0x14, 0)), meter.ErrUnsupported, "instruction 14", "typed references"},
		{"legacy exceptions", body(ops(0x06, 0x40, 0x0b)), meter.ErrUnsupported, "instruction 06", "use-legacy-eh=false"},
		{"exceptions", body(ops(0x08, 0)), meter.ErrUnsupported, "exception handling: throw", "-fno-exceptions"},
		{"tags", module(types, sec(13, ops(1, 0, 0))), meter.ErrUnsupported, "tag section", "-fno-exceptions"},
		{"imported memory", importOf(2, 0, 1), meter.ErrUnsupported, "import of a memory", "--import-memory"},
		{"imported table", importOf(1, 0x70, 0, 1), meter.ErrUnsupported, "import of a table", "--import-table"},
		{"imported global", importOf(3, 0x7f, 0), meter.ErrUnsupported, "import of a global", "define its own"},
		{"imported tag", importOf(4, 0, 0), meter.ErrUnsupported, "import of a tag", "define its own"},
		{"our import", module(types, sec(2, vec(join(str("engram"), str("__yield"), ops(0, 0))))), meter.ErrReserved, `"engram"."__yield"`, "Rename"},
		{"our import space", module(types, sec(2, vec(join(str("engram"), str("__any"), ops(0, 0))))), meter.ErrReserved, `"engram"."__any"`, "Rename"},
		{"our fuel", exportAs(meter.Fuel), meter.ErrReserved, `"__fuel"`, "Rename"},
		{"our stack", exportAs(meter.Stack), meter.ErrReserved, `"__stack"`, "Rename"},
		{"our start", exportAs(meter.Start), meter.ErrReserved, `"__start"`, "Rename"},
		{"our globals", exportAs("__g0"), meter.ErrReserved, `"__g0"`, "Rename"},
		{"two exports", module(types, sec(3, vec(ops(0))), sec(7, vec(join(str("a"), ops(0, 0)), join(str("a"), ops(0, 0)))), sec(10, vec(sized(code())))), meter.ErrMalformed, `two exports "a"`, "Rebuild"},
		{"locals bomb", simple(function{typeNone, join(ops(1), uleb(0xffff_ffff), ops(0x7f, 0x0b))}), meter.ErrLimit, "locals of a function: 4294967295, limit 5000", "limit"},
		{"locals bomb in groups", simple(function{typeNone, join(uleb(2), uleb(0xffff_ffff), ops(0x7f), uleb(0xffff_ffff), ops(0x7f, 0x0b))}), meter.ErrLimit, "locals", "limit"},
		{"nesting bomb", body(rep(3000, 0x02, 0x40), rep(3000, 0x0b)), meter.ErrLimit, "nested blocks: 2001, limit 2000", "limit"},
		{"br_table bomb", body(ops(0x02, 0x40), i32c(0), ops(0x0e), uleb(20_000), rep(20_001, 0), ops(0x0b)), meter.ErrLimit, "branch targets: 20000", "limit"},
		{"block bomb", body(rep(80_000, 0x02, 0x40, 0x0b)), meter.ErrLimit, "estimated time to compile function 0", "-Os"},
		{"loops and locals bomb", simple(function{typeNone, join(ops(1), uleb(5000), ops(0x7f), rep(1900, 0x03, 0x40), rep(1900, 0x0b), ops(0x0b))}), meter.ErrLimit, "estimated time to compile", "-Os"},
		{"body bomb", body(rep(300_000, 0x01)), meter.ErrLimit, "bytes of a function", "limit"},
		{"types", module(sec(1, uleb(20_000), rep(20_000, 0x60, 0, 0))), meter.ErrLimit, "types: 20000, limit 16384", "limit"},
		{"parameters", module(sec(1, vec(join(ops(0x60), uleb(1000), rep(1000, 0x7f), ops(0))))), meter.ErrLimit, "parameters: 1000, limit 256", "limit"},
		{"table bomb", withSections([]function{empty}, sec(4, join(ops(1, 0x70, 0), uleb(1<<27))), sec(5, ops(1, 0, 1))), meter.ErrLimit, "entries of table 0 at start: 134217728", "smaller"},
		{"many tables", withSections([]function{empty}, sec(4, uleb(17), rep(17, 0x70, 0, 1)), sec(5, ops(1, 0, 1))), meter.ErrLimit, "tables: 17", "limit"},
		{"memory bomb", withSections([]function{empty}, sec(5, join(ops(1, 0), uleb(60_000)))), meter.ErrLimit, "memory pages at start: 60000, limit 512", "initial-memory"},
		{"globals", module(sec(6, uleb(5000), rep(5000, 0x7f, 0, 0x41, 0, 0x0b))), meter.ErrLimit, "globals: 5000", "limit"},
		{"constant expression", module(sec(6, vec(join(ops(0x7f, 0), rep(200, 0x41, 0), rep(199, 0x6a), ops(0x0b))))), meter.ErrLimit, "constant expression: 600", "limit"},
		{"custom sections", module(rep(300, 0, 2, 1, 'x')), meter.ErrLimit, "custom sections: 257", "limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := meter.Rewrite(c.wasm, meter.Options{Allow: allowAll})
			var e *meter.Error
			if !errors.As(err, &e) || !errors.Is(err, c.kind) {
				t.Fatalf("got %v, want %v", err, c.kind)
			}
			if !strings.Contains(e.Detail, c.says) {
				t.Errorf("detail %q says nothing of %q", e.Detail, c.says)
			}
			if !strings.Contains(e.Hint, c.hint) || !strings.HasSuffix(e.Hint, ".") {
				t.Errorf("hint %q says nothing of %q", e.Hint, c.hint)
			}
		})
	}
}

// A file that is cut short anywhere is refused, never half accepted.
func TestTruncatedFilesAreRefused(t *testing.T) {
	wasm := testdata(t, "kernels.wasm")
	ends := map[int]bool{8: true} // after the header and after whole sections it may be a module
	for p := 8; p < len(wasm); {
		n, size := uint64(0), 0
		for shift := 0; ; shift += 7 {
			size++
			n |= uint64(wasm[p+size]&0x7f) << shift
			if wasm[p+size] < 0x80 {
				break
			}
		}
		p += 1 + size + int(n)
		ends[p] = true
	}
	for n := range wasm {
		_, _, err := meter.Rewrite(wasm[:n], meter.Options{})
		if err == nil && !ends[n] {
			t.Errorf("accepted with %d of %d bytes", n, len(wasm))
		}
	}
}

// Indices that are one beyond the module's own would, after the rewriting,
// name what the rewriter added.
func TestOwnPartsAreOutOfReach(t *testing.T) {
	global := sec(6, vec(ops(0x7e, 1, 0x42, 0, 0x0b)))
	with := func(f function) []byte { return withSections([]function{f}, sec(5, ops(1, 0, 1)), global) }
	big := int64(1) << 40
	for name, wasm := range map[string][]byte{
		"fuel":           with(function{typeNone, code(ops(0x42), sleb(big), ops(0x24, 1))}),
		"stack":          with(function{typeNone, code(ops(0x42), sleb(big), ops(0x24, 2))}),
		"depth local":    with(function{typeNone, code(ops(0x10, 0, 0x42, 0, 0x21, 0))}),
		"length local":   with(function{typeNone, code(i32c(0), i32c(0), ops(0x3f, 0, 0xfc, 11, 0), i32c(0), ops(0x21, 0))}),
		"yield":          with(function{typeNone, code(ops(0x10, 1))}),
		"yield by start": module(types, sec(3, vec(ops(0))), sec(8, ops(1)), sec(10, vec(sized(code())))),
		"yield exported": module(types, sec(3, vec(ops(0))), sec(7, vec(join(str("x"), ops(0, 1)))), sec(10, vec(sized(code())))),
		"fuel exported":  module(types, sec(7, vec(join(str("x"), ops(3, 0))))),
		"fuel in offset": module(types, sec(4, ops(1, 0x70, 0, 1)), sec(9, ops(1, 0, 0x23, 0, 0x0b, 0))),
		"yield in table": module(types, sec(4, ops(1, 0x70, 0, 1)), sec(9, ops(1, 0, 0x41, 0, 0x0b, 1, 0))),
		"yield type":     simple(function{typeNone, code(i32c(0), ops(0x11, 5, 0))}),
	} {
		if _, _, err := meter.Rewrite(wasm, meter.Options{}); !errors.Is(err, meter.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// wazero reads the number of a vector instruction as a single byte. A padded
// number would be another instruction to it than to the rewriter, and could
// hide code from it; so every instruction is written anew.
func TestPaddedVectorOpcodeIsNormalized(t *testing.T) {
	// To wazero: i16x8.shr_s, unreachable, and 16 bytes of code. To the
	// specification: v128.const with these 16 bytes.
	padded := simple(function{typeNone, code(ops(0xfd, 0x8c, 0x00), rep(16, 0x01), ops(0x1a))})
	h := newHost(t, engines[0], features)
	if _, err := h.rt.CompileModule(h.ctx, padded); err == nil {
		t.Error("wazero now reads padded opcodes as they are meant; this test and a comment in decode.go are out of date")
	}
	m := h.instantiate(rewrite(t, padded, meter.Options{}))
	if _, _, err := h.call(h.ctx, m, ample, "run"); err != nil {
		t.Error(firstLine(err))
	}
}

// Missing imports are listed, all of them, with their signatures.
func TestMissingImportsAreListed(t *testing.T) {
	wasm := module(types, sec(2, vec(
		join(str("engram"), str("input_len"), ops(0, typeResult)),
		join(str("env"), str("emscripten_memcpy"), ops(0, typeUnary)),
		join(str("wasi_snapshot_preview1"), str("sock_accept"), ops(0, typeNone)),
	)))
	_, info, err := meter.Rewrite(wasm, meter.Options{Allow: func(module, name string) bool { return module == "engram" }})
	var e *meter.Error
	if !errors.As(err, &e) || !errors.Is(err, meter.ErrImport) {
		t.Fatal(err)
	}
	var got []string
	for _, i := range e.Imports {
		got = append(got, fmt.Sprint(i.Module, ".", i.Name, " ", i.Type))
	}
	want := []string{"env.emscripten_memcpy (i32) -> (i32)", "wasi_snapshot_preview1.sock_accept () -> ()"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if want := `meter: import not allowed: "env"."emscripten_memcpy", "wasi_snapshot_preview1"."sock_accept"`; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if len(info.Imports) != 3 {
		t.Errorf("info lists %d of 3 imports", len(info.Imports))
	}
	if _, _, err := meter.Rewrite(wasm, meter.Options{}); !errors.Is(err, meter.ErrImport) {
		t.Errorf("without Allow: %v", err)
	}
}
