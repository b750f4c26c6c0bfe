package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// release is set by the linker: -X main.release=v1.2.3.
var release string

// version is the release, or else what the build knows of itself.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

func newVersion(a *app) *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use: "version", Short: "Show the version, with -v those of all parts", Args: none,
		RunE: func(*cobra.Command, []string) error { return a.version(verbose) },
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the versions of the dependencies")
	return cmd
}

func (a *app) version(verbose bool) error {
	type part struct {
		Path    string `json:"path"`
		Version string `json:"version"`
	}
	out := struct {
		Version      string `json:"version"`
		Commit       string `json:"commit,omitempty"`
		Go           string `json:"go"`
		Platform     string `json:"platform"`
		Dependencies []part `json:"dependencies,omitempty"`
	}{Version: version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				out.Commit = s.Value
			}
		}
		if verbose {
			for _, d := range info.Deps {
				out.Dependencies = append(out.Dependencies, part{d.Path, d.Version})
			}
			slices.SortFunc(out.Dependencies, func(x, y part) int { return strings.Compare(x.Path, y.Path) })
		}
	}
	if a.json {
		return a.encode(out)
	}
	p := a.printer()
	p.linef("engram-mcp %s (%s, %s)", p.bold(out.Version), out.Go, out.Platform)
	if verbose && out.Commit != "" {
		p.linef("%-44s %s", "commit", out.Commit)
	}
	for _, d := range out.Dependencies {
		p.linef("%s %s", p.dim(fmt.Sprintf("%-44s", d.Path)), d.Version)
	}
	return p.flush()
}
