package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A holder is a process that has a file open.
type holder struct {
	pid     int
	command string
}

func (h holder) String() string { return fmt.Sprintf("process %d (%s)", h.pid, h.command) }

// holders finds the other processes that have a file open, as far as this user
// may see them, on systems that tell: those with a /proc. Elsewhere it finds
// none.
func holders(path string) (found []holder) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*/fd") // the pattern is right
	for _, dir := range dirs {
		process := filepath.Dir(dir)
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil || pid == os.Getpid() || !holds(dir, path) {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(process, "comm")) // it may have ended
		found = append(found, holder{pid, strings.TrimSpace(string(command))})
	}
	return found
}

func holds(dir, path string) bool {
	files, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, f := range files {
		if target, err := os.Readlink(filepath.Join(dir, f.Name())); err == nil && target == path {
			return true
		}
	}
	return false
}
