// Command generate writes the labelled sets of testdata: memories of two kinds
// and questions about them, from templates that were written for it, the same
// bytes on every run. Run it by "go generate ./conformance/quality".
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	dir := flag.String("dir", "testdata", "where the files go")
	flag.Parse()
	for _, half := range []struct {
		name string
		seed uint64
		tell func(*set)
	}{{"talk", 4, talk}, {"facts", 5, facts}} {
		s := &set{Rand: rand.New(rand.NewPCG(1, half.seed)), name: half.name}
		half.tell(s)
		if err := os.WriteFile(filepath.Join(*dir, half.name+".jsonl"), s.bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// The types of question.
const (
	paraphrase = "paraphrase" // in other words than the memory
	multiHop   = "multi-hop"  // several memories answer it together
	temporal   = "temporal"   // asks for a time, or by one
	entity     = "entity"     // about one person or thing among many like it
	update     = "update"     // for what holds now, of several versions
)

// A set is one labelled file in the making.
type set struct {
	*rand.Rand
	name      string
	engrams   []engram
	questions []question
}

// engram has the arguments of engram_create that the sets use.
type engram struct {
	Key       string `json:"key"`
	Content   string `json:"content"`
	Kind      string `json:"kind,omitempty"`
	Source    string `json:"source,omitempty"`
	Context   string `json:"context,omitempty"`
	ValidFrom string `json:"valid_from,omitempty"`
	Links     []link `json:"links,omitempty"`
}

type link struct {
	To       string `json:"to"`
	Relation string `json:"relation"`
}

type question struct {
	Question string   `json:"question"`
	Type     string   `json:"type"`
	Gold     []string `json:"gold"`
}

// remember adds a memory and returns its key.
func (s *set) remember(e engram) string {
	e.Key = fmt.Sprintf("%s-%d", s.name, len(s.engrams)+1)
	s.engrams = append(s.engrams, e)
	return e.Key
}

// ask adds a question.
func (s *set) ask(kind, text string, gold ...string) {
	s.questions = append(s.questions, question{text, kind, gold})
}

func (s *set) bytes() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	write := func(v any) {
		if err := enc.Encode(v); err != nil {
			log.Fatal(err)
		}
	}
	for _, e := range s.engrams {
		write(map[string]engram{"engram": e})
	}
	for _, q := range s.questions {
		write(q)
	}
	return b.Bytes()
}

// vars are the values of the slots of a template.
type vars map[string]string

var slot = regexp.MustCompile(`\{([^{}]*)\}`)

// fill fills in a template: {x} is a variable, {a|b|c} one of the three, and
// {x=a|b|c} one of them that x is from then on.
func (s *set) fill(template string, v vars) string {
	return slot.ReplaceAllStringFunc(template, func(m string) string {
		m = m[1 : len(m)-1]
		name, list, define := strings.Cut(m, "=")
		if !define {
			list = m
		}
		if !define && !strings.Contains(m, "|") {
			value, ok := v[m]
			if !ok {
				log.Fatalf("%q has no %s", template, m)
			}
			return value
		}
		options := strings.Split(list, "|")
		pick := options[s.IntN(len(options))]
		if define {
			v[name] = pick
		}
		return pick
	})
}

// day is a date of the years that the sets tell of.
func (s *set) day() time.Time {
	return time.Date(2023, 1, 1, 9, 0, 0, 0, time.UTC).AddDate(0, 0, s.IntN(3*365-30))
}

func date(t time.Time) string { return t.Format(time.DateOnly) }

// some are n of the items, in random order.
func some[T any](s *set, items []T, n int) []T {
	out := make([]T, 0, n)
	for _, i := range s.Perm(len(items))[:min(n, len(items))] {
		out = append(out, items[i])
	}
	return out
}
