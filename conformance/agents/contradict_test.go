package agents

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"engram-mcp/conformance/binary"
)

// A change is a fact that was updated, and what asks for it. # is a subject.
type change struct{ before, after, question string }

var peopleChanges = []change{
	{"# lives in Ghent", "# moved to Bergen", "Where does # live?"},
	{"# lives in Lisbon near the river", "# now lives in Tartu", "Where does # live now?"},
	{"# works at Kiln Works", "# works for Northwind since May", "For whom does # work?"},
	{"# works as a nurse", "# now works as a midwife", "What does # work as?"},
	{"#'s manager is Okafor", "#'s manager is now Lindqvist", "Who is the manager of #?"},
	{"# reports to Ivo", "# now reports to Renata", "To whom does # report?"},
	{"The phone extension of # is 4417", "The phone extension of # was changed to 5520", "What is the phone extension of #?"},
	{"#'s favourite colour is green", "#'s favourite colour is now orange", "What is #'s favourite colour?"},
	{"# drives a Volvo", "# drives a Dacia these days", "What does # drive?"},
	{"# eats meat", "# no longer eats meat", "Does # eat meat?"},
	{"# is vegetarian", "# is not vegetarian", "Is # vegetarian?"},
	{"#'s desk is in room 204", "#'s desk was moved to room 318", "In which room is #'s desk?"},
	{"# gets up at 6:30", "# now gets up at 8:15", "When does # get up?"},
	{"#'s salary is 52,000 euros", "#'s salary was raised to 58,000 euros", "What is the salary of #?"},
	{"# is engaged to Jun", "# married Jun in June", "To whom is # married?"},
}

var serviceChanges = []change{
	{"The timeout of # is 30 seconds", "The timeout of # was lowered to 12 seconds", "What is the timeout of #?"},
	{"# listens on port 7443", "# now listens on port 9310", "On which port does # listen?"},
	{"# is written in Kotlin", "# was rewritten in Rust", "In which language is # written?"},
	{"# runs on Heron", "# was migrated to Plover", "Where does # run?"},
	{"# is owned by Payments", "# was handed over to Platform", "Who owns #?"},
	{"The error budget of # is 0.1 percent", "The error budget of # has been tightened from 0.1 to 0.05 percent", "What is the error budget of #?"},
	{"The release day of # is Tuesday", "The release day of # is now Thursday", "What is the release day of #?"},
	{"The launch of # is planned for May 5", "The launch of # was postponed to June 12", "When is the launch of #?"},
	{"# runs version 4.2", "# runs version 5.0 now", "Which version does # run?"},
	{"# costs 900 euros a month", "# now costs 1,150 euros a month", "What does # cost?"},
	{"The status of # is stable", "Correction: the status of # is deprecated", "What is the status of #?"},
	{"# closes at 18:00", "As of Monday, # closes at 17:00", "When does # close?"},
	{"# supports IPv6", "# does not support IPv6", "Does # support IPv6?"},
	{"# waits up to two seconds", "# waits for nine seconds at most", "How long does # wait?"},
}

var (
	people   = []string{"Ada", "Thandi", "Marek Novak", "Chiara", "Viktor", "Zofia Maas"}
	services = []string{"mail-relay", "cart-api", "geo-tiles", "pdf-render", "auth-gate", "stock-sync"}
)

// agreements are pairs of statements that may both be true.
var agreements = [][2]string{
	{"Ada lives in Paris", "Ben lives in Rome"},
	{"Ada lives in Paris", "Ada lives in Paris, in the 11th arrondissement"},
	{"Ada lives in Paris", "Ada lives in France"},
	{"Ada lives in Paris", "Ada lives in a small flat"},
	{"Ada lives in Paris", "Ada will move to Rome"},
	{"Ada lives in Paris", "Ada may move to Rome"},
	{"Ada lives in Paris", "Ada wants to live in Rome"},
	{"Ada lives in Paris", "Ada used to live in Rome"},
	{"Ada lives in Paris", "Ada visited Rome in May"},
	{"Ada lives in Paris", "Ada's sister lives in Rome"},
	{"Ada lives in Paris", "Does Ada live in Rome?"},
	{"Ada lives in Paris", "If Ada lives in Rome, we can meet"},
	{"Ada lives in Paris", "She lives in Rome"},
	{"Ada lives in Paris", "Ada works in Rome"},
	{"Ada works at Kiln", "Ada works at night"},
	{"Ada works at Kiln", "Ada works as a nurse"},
	{"Ada likes tea", "Ada likes coffee"},
	{"Ada likes tea", "Ada does not like coffee"},
	{"Ada likes tea", "Ben does not like tea"},
	{"Ada prefers tea", "Ada prefers the window seat"},
	{"Ada is a mother", "Ada is a doctor"},
	{"Ada is tired", "Ada is hungry"},
	{"Ada's car is red", "Ada's car is fast"},
	{"Ada's friend is Ben", "Ada's friend is Carla"},
	{"Ada's brother is Ben", "Ada's brother is tall"},
	{"Ada's hobbies are chess and sailing", "Ada's hobbies are Lego and tennis"},
	{"Ada's manager is Ben", "Ada's old manager is Carla"},
	{"Ada's manager is Ben", "Ada's manager is strict"},
	{"Ada's manager is Ben", "Ada's manager's manager is Carla"},
	{"Ada's manager is Ben", "Ben's manager is Carla"},
	{"Ada's manager is Ben", "Ada's manager was Carla"},
	{"Ada speaks French", "Ada speaks Dutch"},
	{"Ada has two cats", "Ada has three bicycles"},
	{"Ada bought a Volvo", "Ada sold a Dacia"},
	{"The meeting is on Friday", "The meeting is at 10:30"},
	{"The meeting is on Friday", "The meeting is in room 12"},
	{"The team is five people", "The team is 200 km away"},
	{"The timeout of cart-api is 30 seconds", "The timeout of geo-tiles is 12 seconds"},
	{"The timeout of cart-api is 30 seconds", "The timeout of cart-api is too long"},
	{"The timeout of cart-api is 30 seconds", "The timeout of cart-api was 12 seconds"},
	{"The timeout of cart-api is 30 seconds", "The timeout of cart-api should be 12 seconds"},
	{"The timeout of cart-api is 30 seconds", "The retries of cart-api are 3"},
	{"cart-api listens on port 7443", "cart-api listens on port 7443 for clients"},
	{"cart-api is written in Rust", "cart-api is written in a hurry"},
	{"cart-api runs on Heron", "cart-api runs on 2024-05-07 were slow"},
	{"cart-api supports IPv6", "cart-api does not support HTTP/3"},
	{"cart-api depends on Redis", "cart-api depends on Kafka"},
	{"The error budget of cart-api is 0.1 percent", "The error budget of cart-api is 0.1%"},
	{"The error budget of cart-api is 0.1 percent", "The error budget of cart-api is 0.1"},
	{"The library opens at 9:00", "The library closes at 20:00"},
	{"The launch of Juniper is planned for May 5", "The launch of Juniper is planned by Ada"},
	{"The launch of Juniper is planned for May 5", "The audit of Juniper is planned for June 12"},
	{"The goal of Juniper is speed", "The goal of Juniper is Kenya"},
	{"The keys are under the mat", "The keys are Ben's"},
	{"I live in Paris", "You live in Rome"},
	{"Each user has one token", "Each user has two devices"},
	{"Ada married Ben in 2019", "Ada married into a large family"},
	{"The status of Juniper is green", "The colour of Juniper is red"},
	{"The price of the ticket is 20 euros", "The price of the meal is 30 euros"},
	{"Version 2 of the parser is written in Go", "Version 3 of the parser is written in Rust"},
}

// updates are all changes about all subjects.
func updates() (all []change) {
	fill := func(list []change, subjects []string) {
		for i, c := range list {
			for _, s := range []string{subjects[2*i%len(subjects)], subjects[(2*i+1)%len(subjects)]} {
				all = append(all, change{strings.ReplaceAll(c.before, "#", s), strings.ReplaceAll(c.after, "#", s), strings.ReplaceAll(c.question, "#", s)})
			}
		}
	}
	fill(peopleChanges, people)
	fill(serviceChanges, services)
	return all
}

// Questions about what has changed are answered by what holds now: the newer
// engram stands before the older one.
func TestContradict_TheNewerAnswers(t *testing.T) {
	each(t, "contradict", nil, func(t *testing.T, w *world) {
		all := updates()
		_, before, beforeNow := answers(newWorld(t, languages[0], "contradict", nil), all) // its hooks do not run
		ids, after, afterNow := answers(w, all)
		t.Logf("%d updated facts; the newer one is first without the agent and with it:", len(all))
		t.Logf("of all that was found %.3f, %.3f; of what is valid now %.3f, %.3f", before, after, beforeNow, afterNow)
		var count tally
		for i, c := range all {
			links := w.links(ids[i][1], "contradicts")
			if _, ok := links[ids[i][0]]; ok {
				count.right++
			} else {
				count.missed++
				t.Logf("not seen: %q, %q", c.before, c.after)
			}
			for to := range links {
				if to != ids[i][0] {
					count.wrong++
					t.Logf("%q is said to contradict %v", c.after, w.get(to)[0]["content"])
				}
			}
			count.wrong += len(w.links(ids[i][0], "contradicts"))
		}
		gate(t, "recall of contradictions", count.recall(), .85)
		gate(t, "precision of contradictions", count.precision(), .97)
		gate(t, "the newer first", after, .80)
		gate(t, "the newer first of what is valid now", afterNow, .85)
		gate(t, "gained", after-before, .40)
	})
}

// answers stores what held before, then what holds now, and asks for it: how
// often the newer engram stands before the older one among all hits, and among
// those that are valid now.
func answers(w *world, all []change) (ids [][2]string, any, valid float64) {
	w.t.Helper()
	ids = make([][2]string, len(all))
	for i, c := range all {
		ids[i][0] = w.create(object{"content": c.before, "valid_from": fmt.Sprintf("2024-0%d-05", 1+i%5)})[0]
	}
	for i, c := range all {
		ids[i][1] = w.create(object{"content": c.after, "valid_from": fmt.Sprintf("2025-0%d-17", 1+i%7)})[0]
	}
	first := func(i int, filter object) float64 {
		args := object{"query": all[i].question, "limit": 20}
		maps.Copy(args, filter)
		hits := idsOf(w.call("engram_search", args)["hits"])
		newer, older := slices.Index(hits, ids[i][1]), slices.Index(hits, ids[i][0])
		if newer >= 0 && (older < 0 || newer < older) {
			return 1
		}
		return 0
	}
	for i := range all {
		any += first(i, nil) / float64(len(all))
		valid += first(i, object{"valid_at": "2025-12-01"}) / float64(len(all))
	}
	return ids, any, valid
}

// Statements that may both be true are not linked, whichever came first.
func TestContradict_LeavesWhatMayBothBeTrue(t *testing.T) {
	each(t, "contradict", nil, func(t *testing.T, w *world) {
		wrong := 0
		for _, pair := range agreements {
			for _, p := range [][2]string{pair, {pair[1], pair[0]}} {
				ids := []string{w.create(object{"content": p[0], "valid_from": "2024-01-01"})[0], w.create(object{"content": p[1], "valid_from": "2024-02-01"})[0]}
				for _, id := range ids {
					if links := w.links(id, "contradicts"); len(links) > 0 {
						wrong++
						t.Logf("%q against %q", p[1], p[0])
					}
				}
				w.call("engram_forget", object{"ids": ids})
			}
		}
		gate(t, "left alone", 1-float64(wrong)/float64(2*len(agreements)), .98)
	})
}

// Among the 1,178 facts of the quality set, in which what has changed is said
// in other words each time, it sees little, but nothing that is not so.
func TestContradict_IsQuietAmongManyFacts(t *testing.T) {
	if testing.Short() {
		t.Skip("storing a thousand facts takes seconds")
	}
	changed := []string{"The error budget of mail-relay", "The error budget of stock-sync", "The all-hands", "Thandi moved", "Wen moved"}
	var facts []object
	for _, e := range qualitySet(t, "facts") {
		facts = append(facts, object{"content": e.Content, "valid_from": e.ValidFrom, "kind": e.Kind})
	}
	each(t, "contradict", nil, func(t *testing.T, w *world) {
		var count tally
		for _, part := range batches(facts, 40) {
			for _, e := range w.get(w.create(part...)...) {
				for to := range w.links(e["id"].(string), "contradicts") {
					about := func(s string) bool { return strings.HasPrefix(e["content"].(string), s) }
					if slices.ContainsFunc(changed, about) {
						count.right++
						continue
					}
					count.wrong++
					t.Errorf("%q is said to contradict %q", e["content"], w.get(to)[0]["content"])
				}
			}
		}
		if count.right != len(changed) {
			t.Errorf("%d changes are seen, want %d", count.right, len(changed))
		}
	})
}

func TestContradict_SaysWhichHolds(t *testing.T) {
	each(t, "contradict", nil, func(t *testing.T, w *world) {
		const old, now = "Ada's manager is Ben", "Ada's manager is Carla"
		type engram = object
		for _, tc := range []struct {
			name       string
			first      engram
			second     engram
			linked     string // from which to which
			supersedes bool
			ends       string // valid_to of the one that is linked to
		}{
			{"by valid_from", engram{"content": old, "valid_from": "2024-01-01"}, engram{"content": now, "valid_from": "2024-06-01"}, "1>0", true, "2024-06-01T00:00:00Z"},
			{"the older told later", engram{"content": now, "valid_from": "2024-06-01"}, engram{"content": old, "valid_from": "2024-01-01"}, "0>1", true, "2024-06-01T00:00:00Z"},
			{"at the same time", engram{"content": old, "valid_from": "2024-01-01"}, engram{"content": now, "valid_from": "2024-01-01"}, "1>0", false, ""},
			{"hardly sure", engram{"content": old}, engram{"content": now, "confidence": .3}, "1>0", false, ""},
			{"over before", engram{"content": old, "valid_from": "2024-01-01", "valid_to": "2024-03-01"}, engram{"content": now, "valid_from": "2024-06-01"}, "", false, "2024-03-01T00:00:00Z"},
			{"a name in two contexts", engram{"content": old, "context": "a", "valid_from": "2024-01-01"}, engram{"content": now, "context": "b", "valid_from": "2024-06-01"}, "1>0", true, "2024-06-01T00:00:00Z"},
			{"no name, two contexts", engram{"content": "The deadline is Friday", "context": "a"}, engram{"content": "The deadline is Monday", "context": "b"}, "", false, ""},
			{"no name, one context", engram{"content": "The deadline is Friday", "context": "a", "valid_from": "2024-01-01"}, engram{"content": "The deadline was moved to Monday", "context": "a", "valid_from": "2024-06-01"}, "1>0", true, "2024-06-01T00:00:00Z"},
			{"the same I", engram{"content": "I live in Paris", "source": "ada", "valid_from": "2024-01-01"}, engram{"content": "I live in Rome", "source": "ada", "valid_from": "2024-06-01"}, "1>0", true, "2024-06-01T00:00:00Z"},
			{"another I", engram{"content": "I live in Paris", "source": "ada"}, engram{"content": "I live in Rome", "source": "ben"}, "", false, ""},
		} {
			ids := append(w.create(tc.first), w.create(tc.second)...)
			from, to := 1, 0
			if tc.linked == "0>1" {
				from, to = 0, 1
			}
			_, contradicts := w.links(ids[from], "contradicts")[ids[to]]
			_, supersedes := w.links(ids[from], "supersedes")[ids[to]]
			ends, _ := w.get(ids[to])[0]["valid_to"].(string)
			if contradicts != (tc.linked != "") || supersedes != tc.supersedes || ends != tc.ends {
				t.Errorf("%s: contradicts %v, supersedes %v, ends %q", tc.name, contradicts, supersedes, ends)
			}
			w.call("engram_forget", object{"ids": ids})
		}
		ids := w.create(object{"content": old, "valid_from": "2024-01-01"}, object{"content": now, "valid_from": "2024-06-01"})
		if links := w.links(ids[1], "supersedes"); len(links) != 1 {
			t.Errorf("within a batch: %v", links)
		}
		w.call("engram_forget", object{"ids": ids})

		// What an agent says does not supersede what a user said.
		out, err := binary.Command(t, w.data, "call", "engram_create", `{"content": "`+old+`", "valid_from": "2024-01-01"}`).Output()
		if err != nil {
			t.Fatal(err)
		}
		var told struct{ Engrams []struct{ ID string } }
		if err := json.Unmarshal(out, &told); err != nil {
			t.Fatal(err)
		}
		user, agent := told.Engrams[0].ID, w.create(object{"content": now, "valid_from": "2024-06-01"})[0]
		if len(w.links(agent, "contradicts")) != 1 || len(w.links(agent, "supersedes")) != 0 || w.get(user)[0]["valid_to"] != nil {
			t.Errorf("an agent against a user: %v, %v", w.get(agent), w.get(user))
		}
	})
}
