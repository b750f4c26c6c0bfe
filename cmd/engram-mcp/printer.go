package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"engram-mcp/memory"
)

// A printer writes for people: in colour and within the width of a terminal,
// plain and unbroken into a pipe.
type printer struct {
	w     *bufio.Writer
	color bool
	width int // 0 outside of a terminal: lines are as long as they are
}

func (a *app) printer() *printer { return newPrinter(a.out) }

func newPrinter(out io.Writer) *printer {
	p := &printer{w: bufio.NewWriter(out)}
	if isTerminal(out) {
		p.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		p.width = 80
		if width, _, err := term.GetSize(int(out.(*os.File).Fd())); err == nil && width > 0 {
			p.width = min(width, 110) // longer lines are hard to read
		}
	}
	return p
}

func (p *printer) linef(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

func (p *printer) flush() error { return p.w.Flush() }

func (p *printer) in(code, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) bold(s string) string  { return p.in("1", s) }
func (p *printer) dim(s string) string   { return p.in("2", s) }
func (p *printer) green(s string) string { return p.in("32", s) }
func (p *printer) red(s string) string   { return p.in("31", s) }
func (p *printer) blue(s string) string  { return p.in("36", s) }

// fit is s on one line that ends before the right border when it starts after
// so many columns.
func (p *printer) fit(s string, after int) string {
	s = strings.Join(strings.Fields(s), " ")
	if room := p.width - after; p.width > 0 && utf8.RuneCountInString(s) > room {
		runes := []rune(s)
		return string(runes[:max(room-1, 1)]) + "…"
	}
	return s
}

// wrap is s in lines that end before the right border when each starts after
// so many columns.
func (p *printer) wrap(s string, after int) []string {
	if p.width == 0 {
		return strings.Split(s, "\n")
	}
	room := max(p.width-after, 20)
	var lines []string
	for _, paragraph := range strings.Split(s, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && columns(line)+1+columns(word) > room {
				lines = append(lines, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		lines = append(lines, line)
	}
	return lines
}

// columns is how wide s is, without its colours.
func columns(s string) (n int) {
	escape := false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escape = true
		case !escape:
			n++
		case r == 'm':
			escape = false
		}
	}
	return n
}

// text prints s wrapped, with a margin before each line: first before the
// first one, and as many blanks before the others.
func (p *printer) text(first string, columns int, s string) {
	margin := first
	for _, line := range p.wrap(s, columns) {
		p.linef("%s%s", margin, line)
		margin = strings.Repeat(" ", columns)
	}
}

// about is what there is to say of an engram beside its content, on one line.
func about(e *memory.Engram) string {
	facts := []string{e.Kind}
	add := func(s string) {
		if s != "" {
			facts = append(facts, s)
		}
	}
	add(e.Source)
	if at := e.ValidFrom; !at.IsZero() {
		add(day(at))
	} else {
		add(day(e.CreatedAt))
	}
	add(e.Context)
	for _, t := range e.Tags {
		add("#" + t)
	}
	if e.Confidence < 1 && e.Confidence > 0 {
		add(fmt.Sprintf("%.0f %% sure", 100*e.Confidence))
	}
	return strings.Join(facts, " · ")
}

// day is a time as short as it can be told.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2 Jan 2006")
}

// count is a number with its noun.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

// thousands is n with its digits in groups of three.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size is a number of bytes in the unit that suits it.
func size(bytes int64) string {
	v, units := float64(bytes), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
