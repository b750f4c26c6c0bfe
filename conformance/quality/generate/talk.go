package main

import (
	"fmt"
	"log"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pairs are who talks with whom.
var pairs = [][2]string{{"Maya", "Tomas"}, {"Elif", "Jonah"}, {"Grace", "Rafael"}, {"Hana", "Bjorn"}, {"Stella", "Dmitri"}, {"Leila", "Owen"}}

const (
	sessions        = 12 // of a pair
	chaptersAtMost  = 5  // in a session
	chatterSessions = 2  // exchanges of chatter in a session, beside the first
	tellers         = 3  // of each story, all of different pairs
)

// A chapter is one of a story, told by a to b.
type chapter struct {
	story *telling
	index int
}

// A telling is a story with its teller, its values and the keys of its lines.
type telling struct {
	*story
	vars vars
	keys map[string]string // name of a line → key
}

// talk is six friendships in dated conversations.
func talk(s *set) {
	var all []*telling
	news := map[string]map[string][]string{} // day → who → keys of what they told
	for p, pair := range pairs {
		var told []*telling
		for i := range stories {
			if (i+p)%len(pairs) >= tellers {
				continue
			}
			a, b := pair[(i/3+p)%2], pair[(i/3+p+1)%2]
			told = append(told, &telling{&stories[i], vars{"A": a, "B": b}, map[string]string{}})
		}
		s.converse(pair, s.arrange(told), news)
		all = append(all, told...)
	}
	for i, t := range all {
		for j, q := range t.asks {
			if (i+j)%2 == 0 || q.kind == multiHop || q.kind == update {
				var gold []string
				for _, name := range strings.Fields(q.gold) {
					if t.keys[name] == "" {
						log.Fatalf("%q has no line %s", q.text, name)
					}
					gold = append(gold, t.keys[name])
				}
				s.ask(q.kind, s.fill(q.text, t.vars), gold...)
			}
		}
	}
	s.askByDate(news)
}

// askByDate asks what somebody told at a talk of a known day.
func (s *set) askByDate(news map[string]map[string][]string) {
	for _, at := range slices.Sorted(maps.Keys(news)) {
		for _, who := range slices.Sorted(maps.Keys(news[at])) {
			if keys := news[at][who]; len(keys) <= 4 && s.IntN(4) == 0 {
				s.ask(temporal, "What did "+who+" have to tell on "+at+"?", keys...)
			}
		}
	}
}

// arrange deals the chapters out to sessions, those of a story in order.
func (s *set) arrange(told []*telling) [][]chapter {
	plan := make([][]chapter, sessions)
	for _, t := range told {
		for {
			at := s.Perm(sessions)[:len(t.chapters)]
			slices.Sort(at)
			if slices.ContainsFunc(at, func(i int) bool { return len(plan[i]) == chaptersAtMost }) {
				continue
			}
			for c, i := range at {
				plan[i] = append(plan[i], chapter{t, c})
			}
			break
		}
	}
	return plan
}

// converse lets two talk: a greeting, their stories with chatter in between,
// and a goodbye.
func (s *set) converse(pair [2]string, plan [][]chapter, news map[string]map[string][]string) {
	at := time.Date(2024, time.Month(1+s.IntN(3)), 1+s.IntN(20), 9+s.IntN(10), s.IntN(60), 0, 0, time.UTC)
	idle := some(s, chatter, len(chatter))
	for n, chapters := range plan {
		day := at.Format("2 January 2006")
		news[day] = orNew(news[day])
		v := &voice{set: s, at: at, news: news[day], context: fmt.Sprintf("%s-%s/%02d", strings.ToLower(pair[0]), strings.ToLower(pair[1]), n+1)}
		turn := vars{"A": pair[n%2], "B": pair[(n+1)%2]}
		next := func() []string { c := idle[0]; idle = append(idle[1:], c); return c }
		v.say(next(), &telling{vars: turn})
		for i, j := range s.Perm(len(chapters)) {
			c := chapters[j]
			v.say(c.story.chapters[c.index], c.story)
			if i > 0 && i <= chatterSessions {
				v.say(next(), &telling{vars: turn})
			}
		}
		v.say(goodbyes[s.IntN(len(goodbyes))], &telling{vars: turn})
		at = at.AddDate(0, 0, 12+s.IntN(30)).Truncate(24 * time.Hour).Add(time.Duration(8*60+s.IntN(14*60)) * time.Minute)
	}
}

// A voice adds the turns of one conversation.
type voice struct {
	*set
	at      time.Time
	context string
	news    map[string][]string
}

// say adds lines of the form "A[name]: text" and keeps the keys of the named
// ones, and of the first as 0, in t.
func (v *voice) say(lines []string, t *telling) {
	for i, line := range lines {
		head, text, ok := strings.Cut(line, ": ")
		if !ok {
			log.Fatalf("nobody says %q", line)
		}
		who, name, _ := strings.Cut(strings.TrimSuffix(head, "]"), "[")
		key := v.remember(engram{Content: v.manner(v.fill(text, t.vars)), Source: t.vars[who], Context: v.context, ValidFrom: v.at.Format(time.RFC3339)})
		if name == "" && i == 0 {
			name = strconv.Itoa(i)
		}
		if t.keys != nil && name != "" {
			t.keys[name] = key
			if name != "0" {
				v.news[t.vars[who]] = append(v.news[t.vars[who]], key)
			}
		}
		v.at = v.at.Add(time.Duration(20+v.IntN(60)) * time.Second)
	}
}

// manner varies how the same is said.
func (v *voice) manner(text string) string {
	before := []string{"Well. ", "You know what? ", "Honestly! ", "Oh! ", "So. ", "Hm. ", "Right. ", "Listen. "}
	after := []string{" Anyway.", " Can you imagine?", " As I said.", " Just saying.", " Ah well.", " That is how it is."}
	switch v.IntN(9) {
	case 0:
		return before[v.IntN(len(before))] + text
	case 1:
		if !strings.HasSuffix(text, "?") {
			return text + after[v.IntN(len(after))]
		}
	}
	return text
}
