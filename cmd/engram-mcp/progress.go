package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A progress tells how far a long command has come: in a bar on a terminal,
// else in a line every five seconds.
type progress struct {
	w        io.Writer
	terminal bool
	label    string
	started  time.Time
	told     time.Time
}

func (a *app) progress(label string) *progress {
	now := time.Now()
	return &progress{w: a.err, terminal: isTerminal(a.err), label: label, started: now, told: now}
}

// tell says that done of total is done, and what that is. A total of 0 is not
// known.
func (p *progress) tell(done, total int64, what string) {
	pause := 5 * time.Second
	if p.terminal {
		pause = 100 * time.Millisecond
	}
	now := time.Now()
	if now.Sub(p.told) < pause {
		return
	}
	p.told = now
	share := ""
	if total > 0 {
		share = fmt.Sprintf("%3d %%", 100*min(done, total)/total)
	}
	if !p.terminal {
		fmt.Fprintln(p.w, strings.Join(strings.Fields(p.label+": "+what+" "+share), " "))
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s %s %s  %s%s", p.label, bar(done, total), share, what, p.left(now, done, total))
}

// bar is a line that fills up.
func bar(done, total int64) string {
	const width = 24
	if total <= 0 {
		return ""
	}
	full := int(width * min(done, total) / total)
	return strings.Repeat("━", full) + strings.Repeat("─", width-full)
}

// left is the time that remains if it goes on like this.
func (p *progress) left(now time.Time, done, total int64) string {
	if done <= 0 || total <= done {
		return ""
	}
	rest := time.Duration(float64(now.Sub(p.started)) / float64(done) * float64(total-done))
	return fmt.Sprintf("  %s left", max(rest.Round(time.Second), time.Second))
}

// end takes the bar away.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
