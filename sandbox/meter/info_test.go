package meter_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"engram-mcp/sandbox/meter"
)

func TestInspect(t *testing.T) {
	producers := join(ops(2),
		str("language"), ops(1), str("C11"), str(""),
		str("processed-by"), ops(1), str("clang"), str("19.1.7"))
	wasm := module(
		sec(0, str("engram.agent"), []byte(`{"name":"x"}`)),
		types,
		sec(2, vec(join(str("extism:host/env"), str("input_length"), ops(0, typeResult)))),
		sec(3, vec(ops(typeNone))),
		sec(4, ops(1, 0x70, 1, 2, 9)),
		sec(5, ops(1, 1, 2, 200, 1)),
		sec(6, vec(ops(0x7e, 1, 0x42, 0, 0x0b))),
		sec(7, vec(join(str("run"), ops(0, 1)), join(str("memory"), ops(2, 0)), join(str("again"), ops(0, 0)))),
		sec(8, ops(1)),
		sec(10, vec(sized(code()))),
		sec(0, str("producers"), producers),
	)
	want := meter.Info{
		Imports: []meter.Import{{Module: "extism:host/env", Name: "input_length", Type: meter.Signature{Results: []meter.ValType{0x7f}}}},
		Exports: []meter.Export{
			{Name: "run"}, {Name: "memory", Kind: meter.KindMemory},
			{Name: "again", Type: meter.Signature{Results: []meter.ValType{0x7f}}},
		},
		Customs:   []meter.Custom{{Name: "engram.agent", Data: []byte(`{"name":"x"}`)}, {Name: "producers", Data: producers}},
		Producers: []string{"language C11", "processed-by clang 19.1.7"},
		Memory:    &meter.Extent{Min: 2, Max: 200, HasMax: true},
		Tables:    []meter.Extent{{Min: 2, Max: 9, HasMax: true}},
		Functions: 1, Globals: 1, Start: true,
	}
	got, err := meter.Inspect(wasm)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(meter.Import{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got.HasExport("run") || got.HasExport("memory") || !got.HasImport("extism:host/env") || got.HasImport("engram") {
		t.Error("HasExport or HasImport is wrong")
	}
	if data, ok := got.Custom("engram.agent"); !ok || string(data) != `{"name":"x"}` {
		t.Errorf("custom section: %q, %v", data, ok)
	}
	if _, ok := got.Custom("none"); ok {
		t.Error("found a custom section that is not there")
	}
}

// What is wrong with a module does not hide what could be read before it.
func TestInspectTellsWhatItCouldRead(t *testing.T) {
	wasm := module(types, sec(2, vec(join(str("engram"), str("call"), ops(0, typeUnary)))), sec(5, ops(1, 3, 1, 1)))
	info, err := meter.Inspect(wasm)
	if err == nil || len(info.Imports) != 1 {
		t.Errorf("got %+v, %v", info, err)
	}
}

// Only memory and globals can be restored from outside; instructions that
// change anything else are reported.
func TestSticky(t *testing.T) {
	for _, c := range []struct {
		file, want string
	}{{"work-c.wasm", ""}, {"work-rust.wasm", ""}, {"work-as.wasm", ""}, {"kernels.wasm", "table.fill"}} {
		_, info, err := meter.Rewrite(testdata(t, c.file), meter.Options{})
		if err != nil || info.Sticky != c.want {
			t.Errorf("%s: sticky %q, %v; want %q", c.file, info.Sticky, err, c.want)
		}
		if info.Sites == 0 || info.Size == 0 || info.CompileTime == 0 {
			t.Errorf("%s: %+v", c.file, info)
		}
	}
	vector := module(sec(6, vec(join(ops(0x7b, 1, 0xfd, 12), rep(16, 0), ops(0x0b)))))
	if _, info, err := meter.Rewrite(vector, meter.Options{}); err != nil || info.Sticky == "" {
		t.Errorf("a mutable v128 global cannot be read by the host: sticky %q, %v", info.Sticky, err)
	}
}
