package main

import (
	"os"
	"path/filepath"
	"runtime"
)

// dataDir is where the memory lies if nobody says otherwise: the user's
// directory for the data of programs. It is empty if the user has no home.
func dataDir() string {
	home, _ := os.UserHomeDir()
	var parent string
	switch runtime.GOOS {
	case "darwin":
		parent = under(home, "Library", "Application Support")
	case "windows":
		parent = os.Getenv("LocalAppData")
	default:
		if parent = os.Getenv("XDG_DATA_HOME"); !filepath.IsAbs(parent) {
			parent = under(home, ".local", "share")
		}
	}
	return under(parent, "engram-mcp")
}

// configFile is where the configuration is looked for.
func configFile() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "engram-mcp", "config.toml")
}

// under joins a path unless its beginning is unknown.
func under(dir string, rest ...string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(append([]string{dir}, rest...)...)
}
