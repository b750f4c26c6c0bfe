package main

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
)

func newExport(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export [FILE | -]",
		Short: "Write the space as JSON Lines, to keep or to move",
		Long: `Write all engrams, links, contexts and collections of the space as JSON Lines,
to stdout or to a new file. History and vectors are not part of it: a backup has
them too.`,
		Example: "  engram-mcp export notes.jsonl\n  engram-mcp export | gzip > notes.jsonl.gz",
		Args:    atMost(1, "give one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := "-"
			if len(args) == 1 {
				file = args[0]
			}
			return a.export(cmd.Context(), file)
		},
	}
}

func (a *app) export(ctx context.Context, file string) error {
	return a.inSpace(ctx, func(ctx context.Context, s *memory.Store) error {
		if file == "-" {
			engrams, links, err := s.Export(ctx, a.out)
			if err == nil {
				a.note("exported " + count(engrams, "engram") + " and " + count(links, "link"))
			}
			return err
		}
		var engrams, links int64
		err := writeNew(file, func(w io.Writer) (err error) {
			engrams, links, err = s.Export(ctx, w)
			return err
		})
		if err != nil {
			return err
		}
		return a.done("exported "+count(engrams, "engram")+" and "+count(links, "link")+" to "+file,
			map[string]any{"file": file, "engrams": engrams, "links": links})
	})
}

// done reports on a command whose result is a file or a change: to a program
// as JSON on stdout, to a person in words.
func (a *app) done(words string, v any) error {
	if a.json {
		return a.encode(v)
	}
	a.note(words)
	return nil
}

// writeNew writes a file that appears under its name only when it is complete.
// One that exists is refused.
func writeNew(path string, write func(io.Writer) error) error {
	const hint = "check the directory and the free space of its disk"
	if _, err := os.Lstat(path); err == nil {
		return failed(path+" exists", "choose another name, or move it away", nil)
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return failed(path+" cannot be written", hint, err)
	}
	defer os.Remove(part)
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		var own *memory.Error
		if errors.As(err, &own) || errors.Is(err, context.Canceled) {
			return err
		}
		return failed(path+" cannot be written", hint, err)
	}
	if err := os.Rename(part, path); err != nil {
		return failed(path+" cannot be written", hint, err)
	}
	return nil
}

func newImport(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE | -",
		Short: "Read what export wrote",
		Long: `Read JSON Lines as export writes them, from a file or from stdin. What is there
already is skipped, so an import that broke off is finished by running it again.
What comes in is marked with trust "import".`,
		Example: "  engram-mcp import notes.jsonl\n  gunzip -c notes.jsonl.gz | engram-mcp import -",
		Args:    exactly(1, "give one file, or - for stdin"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.importFile(cmd.Context(), args[0]) },
	}
}

func (a *app) importFile(ctx context.Context, file string) error {
	in := &counter{r: a.in}
	var total int64
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return failed(file+" cannot be read", "check the path", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			total = info.Size()
		}
		in.r = f
	}
	return a.inSpace(ctx, func(ctx context.Context, s *memory.Store) error {
		who := a.owner()
		who.Trust = memory.TrustImport
		p := a.progress("importing")
		done, err := s.Import(memory.WithPrincipal(ctx, who), in, memory.ImportOptions{Progress: func(done memory.Imported) {
			p.tell(in.n.Load(), total, count(done.Engrams, "engram")+", "+count(done.Links, "link"))
		}})
		p.end()
		if err != nil {
			if done.Lines > 0 {
				a.note("before it broke off: " + imported(done))
			}
			return err
		}
		return a.done(imported(done), done)
	})
}

func imported(d memory.Imported) string {
	return "imported " + count(d.Engrams, "engram") + " and " + count(d.Links, "link") + ifAny(d.Duplicates, "; %s were there already")
}

// A counter counts the bytes that are read through it.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
