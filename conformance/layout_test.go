package conformance

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "engram-mcp"

// mayImport says which of our packages each one may import; "…/" stands for
// everything below. What is not listed may import nothing of ours.
var mayImport = map[string][]string{
	"cmd/engram-mcp":         {"…/"},
	"cmd/engram-plugin-host": {"sandbox/process"},
	"tools":                  {"memory", "sandbox", "tools/transport"},
	"sandbox/sandboxtest":    {"sandbox"},
	"sandbox/wasm":           {"sandbox", "sandbox/meter"},
	"sandbox/lua":            {"sandbox", "sandbox/wasm"},
	"sandbox/js":             {"sandbox", "sandbox/wasm"},
	"sandbox/process":        {"sandbox"},
	"sandbox/native":         {"sandbox", "sandbox/process"},
	"replica":                {"memory"},
	"conformance/fixture":    {"tools/transport"},
}

// mayBeImported says who alone may import a package that is not ours: the
// libraries that the house is built around each have one door.
var mayBeImported = map[string][]string{
	"github.com/mark3labs/mcp-go":        {"tools", "tools/transport", "conformance/fixture"},
	"github.com/golang-jwt/jwt":          {"tools/transport"},
	"github.com/tetratelabs/wazero":      {"sandbox/wasm"},
	"github.com/philippgille/chromem-go": {"vector"},
	"modernc.org/sqlite":                 {"memory"},
	"github.com/spf13/cobra":             {"cmd/engram-mcp"},
	"github.com/ebitengine/purego":       {"cmd/engram-plugin-host"},
}

type pkg struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...")
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 5 {
		t.Fatalf("only %d packages found", len(list))
	}
	return list
}

func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func TestImportsFollowTheLayout(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imp := range p.Imports {
			if ours, ok := strings.CutPrefix(imp, module+"/"); ok {
				allowed := mayImport[name]
				if !slices.Contains(allowed, ours) && !slices.Contains(allowed, "…/") {
					t.Errorf("%s imports %s; it may import %v of ours", name, ours, allowed)
				}
			}
			for lib, doors := range mayBeImported {
				if within(imp, lib) && !slices.Contains(doors, name) {
					t.Errorf("%s imports %s, which is for %v alone", name, imp, doors)
				}
			}
		}
	}
}

func TestNoCatchAllFolders(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		switch d.Name() {
		case ".git", "node_modules", ".venv", ".venv-mcp2", "testdata":
			return filepath.SkipDir
		case "internal", "pkg", "utils", "util", "common", "models", "helpers", "misc":
			t.Errorf("%s says nothing about what is in it", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every package says what it is for, and every exported name what it promises.
func TestEverythingExportedIsDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		d, err := doc.NewFromFiles(fset, files, p.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		if len(strings.Fields(d.Doc)) < 8 {
			t.Errorf("%s has no package doc that says what it is", p.ImportPath)
		}
		undocumented(t, p.ImportPath, d)
	}
}

func undocumented(t *testing.T, path string, d *doc.Package) {
	funcs := func(of string, list []*doc.Func) {
		for _, f := range list {
			// String, Error and Unwrap do what their interfaces say.
			if f.Doc == "" && !slices.Contains([]string{"String", "Error", "Unwrap", "MarshalJSON", "UnmarshalJSON"}, f.Name) {
				t.Errorf("%s: %s%s has no doc comment", path, of, f.Name)
			}
		}
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, s := range v.Decl.Specs {
				spec := s.(*ast.ValueSpec)
				if ast.IsExported(spec.Names[0].Name) && v.Doc == "" && spec.Doc == nil && spec.Comment == nil {
					t.Errorf("%s: %s has no doc comment", path, spec.Names[0].Name)
				}
			}
		}
	}
	funcs("", d.Funcs)
	values(d.Consts)
	values(d.Vars)
	for _, typ := range d.Types {
		if typ.Doc == "" {
			t.Errorf("%s: type %s has no doc comment", path, typ.Name)
		}
		funcs(typ.Name+".", typ.Funcs)
		funcs(typ.Name+".", typ.Methods)
		values(typ.Consts)
		values(typ.Vars)
	}
}

// Lock files pin what is installed, not where it comes from: each machine has
// a registry of its own.
func TestLockFilesNameNoRegistry(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "..").Output()
	if err != nil {
		t.Skipf("this is no git checkout: %v", err)
	}
	seen := 0
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		base := filepath.Base(name)
		named := regexp.MustCompile(`https?://|--(extra-)?index-url|--find-links|--trusted-host`)
		switch {
		case base == "package-lock.json":
			named = regexp.MustCompile(`"resolved": "http`)
		case !strings.HasPrefix(base, "requirements") || filepath.Ext(base) != ".txt":
			continue
		}
		seen++
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := named.Find(text); at != nil {
			t.Errorf("%s names a place: %s", name, at)
		}
	}
	if seen < 4 {
		t.Errorf("only %d lock files were found", seen)
	}
}
