package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"engram-mcp/memory"
)

func newBackup(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the space to a file, while others work on it",
		Long: `Copy the space to a new file: everything, with its history, as it is at one
moment. Others may go on reading and writing meanwhile.`,
		Example: "  engram-mcp backup engram-2026-11-23.db",
		Args:    exactly(1, "name the file to make"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.backup(cmd.Context(), args[0]) },
	}
}

func (a *app) backup(ctx context.Context, file string) error {
	return a.asOwner(ctx, func(ctx context.Context, e *engine) error {
		if err := a.existing(e, a.space); err != nil {
			return err
		}
		store, release, err := e.open(ctx)
		if err != nil {
			return err
		}
		defer release()
		if err := store.Backup(ctx, file); err != nil {
			return err
		}
		var bytes int64
		if info, err := os.Stat(file); err == nil {
			bytes = info.Size()
		}
		return a.done("backed up the space "+a.space+" to "+file+" ("+size(bytes)+")",
			map[string]any{"file": file, "space": a.space, "bytes": bytes})
	})
}

func newRestore(a *app) *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the space",
		Long: `Put a backup in the place of the space, after checking it. With --replace a
space that is there already is kept beside the new one. Stop every process that
uses the space first; where the system tells who they are, restore refuses
while there is one.`,
		Example: "  engram-mcp restore engram-2026-11-23.db --replace",
		Args:    exactly(1, "name the backup"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), args[0], replace) },
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "replace the space that is there, and keep it beside the new one")
	return cmd
}

func (a *app) restore(ctx context.Context, file string, replace bool) error {
	if a.readOnly {
		return usage("--read-only and restore contradict each other", "leave out --read-only")
	}
	dir := a.spaceDir(a.space)
	if who := holders(a.spaceFile(a.space)); len(who) > 0 {
		return failed("the space "+a.space+" is in use by "+who[0].String(), "stop it, then try again", nil)
	}
	kept, err := memory.RestoreFile(ctx, file, dir, replace)
	if err != nil {
		return err
	}
	words := "restored the space " + a.space + " from " + file
	if kept != "" {
		words += "\nwhat was there is kept as " + kept
	}
	return a.done(words, map[string]any{"file": file, "space": a.space, "kept": kept})
}

func (s *settings) spaceDir(space string) string { return filepath.Join(s.data, "spaces", space) }
func (s *settings) spaceFile(space string) string {
	return filepath.Join(s.spaceDir(space), "engram.db")
}

// spaceNames lists the spaces by their files alone, so that a damaged one is
// listed too. It is what memory.Spaces.Names does, without an engine.
func (s *settings) spaceNames() []string {
	files, _ := filepath.Glob(filepath.Join(s.data, "spaces", "*", "engram.db")) // the pattern is right
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = filepath.Base(filepath.Dir(f))
	}
	slices.Sort(names)
	return names
}
