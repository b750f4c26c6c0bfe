package main

import (
	"slices"
	"strings"
)

// world is what the facts tell, for questions over several of them.
type world struct {
	*set
	of      map[string]map[string]string // subject → name of a trait → key
	by      map[*saying][]string         // saying → keys of the facts that say it
	planned map[[2]string]bool           // subject and name of a trait that it is to have
	owner   map[string][2]string         // service → person, key
	store   map[string][2]string         // service → cluster, key
	manager map[string][2]string         // person → person, key
}

const (
	traitsEach        = 15 // of a person
	traitQuestions    = 2  // of a person
	serviceTraitsEach = 14
)

// facts are memories that stand alone: no context, no speaker.
func facts(s *set) {
	w := &world{
		set: s, of: map[string]map[string]string{}, by: map[*saying][]string{}, planned: map[[2]string]bool{},
		owner: map[string][2]string{}, store: map[string][2]string{}, manager: map[string][2]string{},
	}
	var told []func()
	later := func(f func()) { told = append(told, f) }
	w.tell(later)
	w.change(later)
	w.decide(later)
	for _, i := range s.Perm(len(told)) { // in no order
		told[i]()
	}
	w.askOfPeople()
	w.askOfServices()
	w.askAcross()
}

// learn adds a fact about x.
func (w *world) learn(x string, t *trait, v vars) {
	sy := &t.say[w.IntN(len(t.say))]
	v["x"] = x
	key := w.remember(engram{Content: w.fill(sy.text, v)})
	w.of[x] = orNew(w.of[x])
	w.of[x][t.name] = key
	w.by[sy] = append(w.by[sy], key)
}

// tell plans the traits of everybody and everything, and who goes with what.
func (w *world) tell(later func(func())) {
	for i, p := range people {
		later(func() {
			key := w.remember(engram{Content: w.fill(roles[i], vars{"x": p})})
			w.of[p] = orNew(w.of[p])
			w.of[p]["role"] = key
		})
		for _, j := range w.Perm(len(traits))[:traitsEach] {
			w.planned[[2]string{p, traits[j].name}] = true
			later(func() { w.learn(p, &traits[j], vars{}) })
		}
		boss := people[(i+1+w.IntN(5))%len(people)]
		later(func() { w.manager[p] = [2]string{boss, w.remember(engram{Content: p + " reports to " + boss})} })
	}
	for i, c := range clusters {
		for j := range clusterTraits {
			later(func() { w.learn(c, &clusterTraits[j], vars{"p": people[(i*5+2)%len(people)]}) })
		}
	}
	for i, x := range services {
		p, c := people[(i*3+1)%len(people)], clusters[i%len(clusters)]
		v := vars{"x": x, "p": p, "c": c}
		later(func() { w.owner[x] = [2]string{p, w.remember(engram{Content: w.fill(owns[i%len(owns)], v)})} })
		later(func() { w.store[x] = [2]string{c, w.remember(engram{Content: w.fill(stores[i%len(stores)], v)})} })
		for _, j := range w.Perm(len(serviceTraits))[:serviceTraitsEach] {
			later(func() { w.learn(x, &serviceTraits[j], vars{"p": people[w.IntN(len(people))]}) })
		}
	}
	for _, list := range [][]pair{preferences, things} {
		for i, p := range list {
			later(func() {
				key := w.remember(engram{Content: p.say})
				if i%2 == 0 {
					w.ask(paraphrase, p.ask, key)
				}
			})
		}
	}
}

func orNew[V any](m map[string]V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	return m
}

// change plans what has several versions, the newest of which is asked for.
func (w *world) change(later func(func())) {
	for i, c := range chains {
		subjects := map[string][]string{"person": people, "service": services, "": {""}}[c.of]
		clear := slices.DeleteFunc(slices.Clone(subjects), func(x string) bool { return w.planned[[2]string{x, c.clash}] })
		for n, x := range some(w.set, clear, 2) {
			first := w.day()
			later(func() {
				var keys []string
				at := first
				for _, say := range c.say {
					e := engram{Content: w.fill(say, vars{"x": x}), ValidFrom: date(at)}
					if len(keys) > 0 && (i+n)%3 == 0 {
						e.Links = []link{{keys[len(keys)-1], "supersedes"}}
					}
					keys = append(keys, w.remember(e))
					at = at.AddDate(0, 1+w.IntN(5), w.IntN(28))
				}
				w.ask(update, w.fill(c.ask, vars{"x": x}), keys[len(keys)-1])
			})
		}
	}
}

// decide plans what is dated: half of it is asked by its time, half for it.
func (w *world) decide(later func(func())) {
	used := map[string]bool{}
	for i, d := range decisions {
		at := w.day()
		for used[at.Format("2006-01")] {
			at = w.day()
		}
		used[at.Format("2006-01")] = true
		later(func() {
			key := w.remember(engram{Content: d.say, Kind: "decision", ValidFrom: date(at)})
			if i%2 == 0 {
				w.ask(temporal, d.when, key)
			} else {
				w.ask(temporal, w.fill(d.what, vars{"m": at.Format("January 2006")}), key)
			}
		})
		later(func() { w.remember(engram{Content: d.noise}) })
	}
	for _, e := range events {
		for n, x := range some(w.set, people, 3) {
			at := w.day()
			later(func() {
				key := w.remember(engram{Content: w.fill(e.say, vars{"x": x}), Kind: "event", ValidFrom: date(at)})
				switch n {
				case 0:
					w.ask(temporal, w.fill(e.when, vars{"x": x}), key)
				case 1:
					w.ask(temporal, "What happened to "+x+" on "+at.Format("2 January 2006")+"?", key)
				}
			})
		}
	}
}

// askOfPeople asks for traits of people, by name and without.
func (w *world) askOfPeople() {
	for i, p := range people {
		v := vars{"x": p}
		w.ask(entity, w.fill([]string{"Who is {x}?", "What is {x}'s job?"}[i%2], v), w.of[p]["role"])
		for n, t := range some(w.set, w.asked(p, traits), traitQuestions+1) {
			kind, text := paraphrase, t.ask[(i+n)%len(t.ask)]
			if n == traitQuestions {
				kind, text = entity, t.direct
			}
			w.ask(kind, w.fill(text, v), w.of[p][t.name])
		}
	}
	for i := range traits {
		for j := range traits[i].say {
			sy := &traits[i].say[j]
			switch keys := w.by[sy]; {
			case sy.who == "" || len(keys) == 0 || len(keys) > 5:
			case len(keys) == 1:
				w.ask(paraphrase, sy.who, keys...)
			case w.IntN(2) == 0:
				w.ask(multiHop, strings.Replace(sy.who, "Who ", "Who of them ", 1), keys...)
			}
		}
	}
}

// asked are those of the traits that x has and that can be asked for.
func (w *world) asked(x string, all []trait) []trait {
	return slices.DeleteFunc(slices.Clone(all), func(t trait) bool { return w.of[x][t.name] == "" || len(t.ask) == 0 })
}

// askOfServices asks for traits of services, whose names are written this way
// and that.
func (w *world) askOfServices() {
	for i, x := range services {
		first, second, _ := strings.Cut(x, "-")
		written := []string{x, first + " " + second, "the " + first + " " + strings.ToUpper(second), strings.ToUpper(first[:1]) + first[1:] + strings.ToUpper(second[:1]) + second[1:]}[i%4]
		for n, t := range some(w.set, w.asked(x, serviceTraits), 2) {
			kind := entity
			if n == 0 {
				kind, written = paraphrase, x
			}
			w.ask(kind, w.fill(t.ask[0], vars{"x": written}), w.of[x][t.name])
		}
		if i%2 == 0 {
			w.ask(entity, w.fill("Who is responsible for {x}?", vars{"x": x}), w.owner[x][1])
		}
	}
}

// askAcross asks what only several facts together answer.
func (w *world) askAcross() {
	for i, x := range services {
		owner, store := w.owner[x], w.store[x]
		switch i % 3 {
		case 0:
			w.ask(multiHop, "In which data centre are the rows of "+x+"?", store[1], w.of[store[0]]["city"])
		case 1:
			w.ask(multiHop, "Which kind of cluster does "+x+" write to?", store[1], w.of[store[0]]["engine"])
		}
		for _, t := range some(w.set, w.asked(owner[0], traits), 1) {
			w.ask(multiHop, w.fill(t.direct, vars{"x": "whoever answers for " + x}), owner[1], w.of[owner[0]][t.name])
		}
	}
	for i, p := range people {
		boss := w.manager[p]
		if i%2 == 0 {
			for _, t := range some(w.set, w.asked(boss[0], traits), 1) {
				w.ask(multiHop, w.fill(t.direct, vars{"x": "the one that " + p + " reports to"}), boss[1], w.of[boss[0]][t.name])
			}
		}
	}
	w.compare(people, traits, 16)
	w.compare(services, serviceTraits, 8)
}

// compare asks n questions that compare two subjects in a trait that both have.
func (w *world) compare(subjects []string, all []trait, n int) {
	for n > 0 {
		two := some(w.set, subjects, 2)
		both := slices.DeleteFunc(w.asked(two[0], all), func(t trait) bool { return t.pair == "" || w.of[two[1]][t.name] == "" })
		if len(both) == 0 {
			continue
		}
		t := both[w.IntN(len(both))]
		w.ask(multiHop, w.fill(t.pair, vars{"x": two[0], "y": two[1]}), w.of[two[0]][t.name], w.of[two[1]][t.name])
		n--
	}
}
