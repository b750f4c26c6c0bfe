package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
	"engram-mcp/sandbox"
	"engram-mcp/sandbox/wasm"
)

func newDoctor(a *app) *cobra.Command {
	var mend bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for problems, and say what to do about each",
		Long: `Examine the data directory, each space or the one of --space, the embedder and
the sandbox. Nothing is changed unless --mend is given, which rebuilds what can
be derived (full text, counters, missing vectors) and removes code that no agent
needs any more. The exit status is 3 if there are problems.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{app: a, mend: mend, spaces: a.spaceNames()}
			if cmd.Flags().Changed("space") {
				d.spaces = []string{a.space}
			}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&mend, "mend", false, "rebuild what can be derived")
	return cmd
}

// A doctor examines one thing after the other. It must work on whatever it
// finds: missing, damaged, foreign, newer, unreadable.
type doctor struct {
	*app
	mend   bool
	spaces []string
	checks []checked
}

// checked is what one check found.
type checked struct {
	Name     string           `json:"name"`
	Detail   string           `json:"detail,omitempty"`
	Problems []memory.Problem `json:"problems"`
}

func (d *doctor) run(ctx context.Context) error {
	d.check("data", func(c *checked) { d.data(c) })
	for _, space := range d.spaces {
		d.check("space "+space, func(c *checked) { d.space(ctx, space, c) })
	}
	d.check("code", func(c *checked) { d.code(ctx, c) })
	d.check("embedder", func(c *checked) { d.embedding(ctx, c) })
	d.check("sandbox", func(c *checked) { d.sandbox(ctx, c) })
	problems := 0
	for _, c := range d.checks {
		problems += len(c.Problems)
	}
	if err := d.report(problems); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if problems > 0 {
		return errProblems
	}
	return nil
}

func (d *doctor) check(name string, examine func(*checked)) {
	c := checked{Name: name, Problems: []memory.Problem{}}
	examine(&c)
	d.checks = append(d.checks, c)
}

func (c *checked) problem(what, hint string) {
	c.Problems = append(c.Problems, memory.Problem{What: what, Hint: hint})
}

// failure notes an error, with the cause that lies below it.
func (c *checked) failure(err error) {
	what, hint, cause := explain(err)
	if cause != nil && !strings.Contains(what, cause.Error()) {
		what += " (" + cause.Error() + ")"
	}
	// Elsewhere the hint is to come here.
	hint = strings.Replace(hint, "run 'engram-mcp doctor', then 'engram-mcp restore' with", "run 'engram-mcp restore --replace' with", 1)
	c.problem(what, hint)
}

func (d *doctor) report(problems int) error {
	if d.json {
		return d.encode(map[string]any{"checks": d.checks, "problems": problems})
	}
	p := d.printer()
	for _, c := range d.checks {
		mark := p.green("ok  ")
		if len(c.Problems) > 0 {
			mark = p.red("FAIL")
		}
		p.text(mark+" "+p.bold(fmt.Sprintf("%-16s", c.Name))+" ", 22, c.Detail)
		for _, x := range c.Problems {
			p.text("     "+p.red("- "), 7, x.What)
			if x.Hint != "" {
				p.text("       "+p.dim("hint: "), 13, x.Hint)
			}
		}
	}
	switch {
	case problems > 0:
		p.linef("\n%s", count(int64(problems), "problem"))
	case len(d.spaces) == 0:
		p.linef("\nno problems; there is no space yet")
	default:
		p.linef("\nno problems")
	}
	return p.flush()
}

// data examines the data directory.
func (d *doctor) data(c *checked) {
	c.Detail = d.app.data
	info, err := os.Stat(d.app.data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Detail += ", not there yet"
		return
	case err != nil:
		c.problem("it cannot be read: "+err.Error(), "check that it is yours; --data names another")
		return
	case !info.IsDir():
		c.problem("it is not a directory", "name one with --data or ENGRAM_DATA_DIR")
		return
	}
	// Others may look into it: what it holds is closed to them. They may not
	// put something else in the place of that.
	guarded(c, d.app.data, info, 0o022)
	if info, err := os.Stat(d.tokenFile()); err == nil {
		guarded(c, d.tokenFile(), info, 0o077)
	}
	if d.readOnly {
		return
	}
	f, err := os.CreateTemp(d.app.data, ".doctor-*")
	if err != nil {
		c.problem("it cannot be written: "+err.Error(), "check its owner, its mode and the disk, or serve it with --read-only")
		return
	}
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// guarded finds fault with what others than the owner may do to a file.
func guarded(c *checked, path string, info fs.FileInfo, forbidden fs.FileMode) {
	if info.Mode().Perm()&forbidden != 0 && runtime.GOOS != "windows" {
		c.problem(fmt.Sprintf("others may get at %s (mode %04o)", path, info.Mode().Perm()), "run 'chmod go= "+path+"'")
	}
}

// space examines one space, after mending it if that is asked for.
func (d *doctor) space(ctx context.Context, name string, c *checked) {
	path := d.spaceFile(name)
	info, err := os.Stat(path)
	if err != nil {
		c.problem("it cannot be read: "+err.Error(), "'engram-mcp space list' shows what there is")
		return
	}
	guarded(c, path, info, 0o077)
	c.Detail = size(info.Size()) + header(path)
	if others := holders(path); len(others) > 0 {
		c.Detail += ", open in " + others[0].String() + ifAny(int64(len(others)-1), " and %s others")
	}
	if d.mend {
		if err := d.mendSpace(ctx, name, c); err != nil {
			c.failure(err)
		}
	}
	one := *d.app
	one.settings.space, one.readOnly = name, true
	one.embedder = "none" // its vectors need not be loaded to be counted
	err = one.inSpace(ctx, func(ctx context.Context, s *memory.Store) error {
		st, err := s.Stats(ctx)
		if err != nil {
			return err
		}
		c.Detail = count(st.Engrams, "engram") + ", " + count(st.Links, "link") + ifAny(st.Pending, ", %s without a vector yet") + ", " + c.Detail
		if e, err := d.newEmbedder(); err == nil && e != nil && st.Model != "" && st.Model != e.ID() {
			c.problem("its vectors are of "+st.Model+", not of "+e.ID(), "configure the embedder that made them, or let 'engram-mcp serve' run until it has embedded all anew")
		}
		found, err := s.Check(ctx)
		c.Problems = append(c.Problems, found...)
		return err
	})
	if err != nil {
		c.failure(err)
	}
}

// mendSpace rebuilds what is derived in a space.
func (d *doctor) mendSpace(ctx context.Context, name string, c *checked) error {
	one := *d.app
	one.settings.space = name
	bar := d.progress("mending " + name)
	defer bar.end()
	err := one.inSpace(ctx, func(ctx context.Context, s *memory.Store) error {
		return s.Mend(ctx, func(done, total int64) { bar.tell(done, total, count(done, "engram")) })
	})
	if err == nil {
		c.Detail += ", mended"
	}
	return err
}

// code examines the code of the agents of all spaces.
func (d *doctor) code(ctx context.Context, c *checked) {
	one := *d.app
	one.embedder = "none"
	err := one.asOwner(ctx, func(ctx context.Context, e *engine) error {
		found, err := e.agents.Collect(ctx, d.mend && !d.readOnly)
		if err != nil {
			return err
		}
		c.Detail = "of no agent"
		if found.Files > 0 {
			c.Detail = count(int64(found.Files), "module") + ", " + size(found.Bytes) + ifAny(int64(found.Unused), ", %s unused")
		}
		c.Detail += ifAny(int64(found.Removed), ", %s removed")
		for _, hash := range found.Missing {
			c.problem("the code "+hash+" is missing", "install its agent again with 'engram-mcp agent install --replace'; 'engram-mcp agent list --json' shows which it is")
		}
		return nil
	})
	if err != nil { // the problem is that of a space, and told there
		what, _, _ := explain(err)
		c.Detail = "what agents need cannot be told: " + what
	}
}

// header reads from the first bytes of an SQLite file which schema it has,
// without opening it as a database. See https://www.sqlite.org/fileformat.html.
func header(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var b [100]byte
	if _, err := f.ReadAt(b[:], 0); err != nil || string(b[:16]) != "SQLite format 3\x00" {
		return ", not a database"
	}
	return fmt.Sprintf(", schema %d", binary.BigEndian.Uint32(b[60:]))
}

// embedding embeds a few words.
func (d *doctor) embedding(ctx context.Context, c *checked) {
	c.Detail = d.embedder
	embedder, err := d.newEmbedder()
	if err != nil {
		c.failure(err)
		return
	}
	if embedder == nil {
		c.Detail = "none: search goes by words only"
		return
	}
	c.Detail = fmt.Sprintf("%s, %d dimensions", embedder.ID(), embedder.Dim())
	vecs, err := embedder.Embed(ctx, []string{"what the doctor says"})
	if err != nil {
		c.failure(err)
		return
	}
	var square float64
	for _, v := range vecs[0] {
		square += float64(v) * float64(v)
	}
	if len(vecs[0]) != embedder.Dim() || math.Abs(square-1) > 1e-3 {
		c.problem(fmt.Sprintf("it answers with %d numbers of length %.3f", len(vecs[0]), math.Sqrt(square)), "check that --embed-dim is the dimension of the model")
	}
}

// sandbox runs a small agent as it would run beside the memory, with a host
// that answers its one question.
func (d *doctor) sandbox(ctx context.Context, c *checked) {
	rt, err := wasm.New(wasm.Options{})
	if err != nil {
		c.failure(err)
		return
	}
	m := sandbox.NewManager(sandbox.Options{}, rt)
	defer rt.Close(context.WithoutCancel(ctx))
	defer m.Close(context.WithoutCancel(ctx))
	manifest, err := sandbox.ParseManifest(tallyManifest)
	if err == nil {
		_, err = m.Load(ctx, manifest, tallyCode)
	}
	if err != nil {
		c.failure(err)
		return
	}
	host := func(context.Context, string, []byte) ([]byte, error) {
		return []byte(`{"hits": [{"id": "1", "kind": "fact"}]}`), nil
	}
	r, err := m.Run(ctx, manifest.Name, sandbox.Call{Action: "by", Params: []byte(`{"by": "kind"}`), Host: host})
	if err != nil {
		c.failure(err)
		return
	}
	c.Detail = fmt.Sprintf("wasm, %.1f ms and %s units of fuel for a test run", float64(r.Usage.Time.Microseconds())/1000, thousands(r.Usage.Fuel))
	if want := `{"fact":1}`; !strings.Contains(strings.ReplaceAll(string(r.Output), " ", ""), want) {
		c.problem("a test agent answered "+string(r.Output)+" instead of "+want, "this build is broken on this machine: report it with the output of 'engram-mcp version -v'")
	}
}
