package agents

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// topics are what a conversation is about: a word that marks each, and what is
// said of it.
var topics = []struct {
	word string
	said []string
}{
	{"migration", []string{"The migration of the ledger starts on Monday", "Ivo runs the migration of the ledger with two people", "Before the migration the ledger is copied twice", "If the migration of the ledger fails, we go back to the copy"}},
	{"greenhouse", []string{"The greenhouse lost two panes in the storm", "New panes for the greenhouse cost ninety euros", "The greenhouse panes arrive on Thursday", "Somebody must fit the panes of the greenhouse before it freezes"}},
	{"marathon", []string{"Wen trains for the marathon in Ghent", "The marathon in Ghent is sold out since April", "For the marathon Wen runs forty kilometres a week", "We meet Wen at the finish of the marathon in Ghent"}},
	{"choir", []string{"The choir sings Bach at Easter", "Our choir needs two more altos for Bach", "The choir rehearses Bach in the old chapel", "Tickets for the choir and its Bach are free"}},
	{"invoice", []string{"The invoice of the caterer is wrong by ninety euros", "Priya sent the invoice back to the caterer", "The caterer will correct the invoice by Friday", "Until then nobody pays the invoice of the caterer"}},
	{"telescope", []string{"The telescope of the school has a new mirror", "With the new mirror the telescope shows the rings of Saturn", "The school opens the telescope on clear Fridays", "A grant paid for the mirror of the telescope"}},
	{"ferry", []string{"The ferry to the island was cancelled because of ice", "The island has no ferry until the ice is gone", "Letters for the island wait where the ferry lies in the ice", "A helicopter replaces the ferry while there is ice"}},
	{"bakery", []string{"The bakery in Mill Street closes for good in June", "Everybody in Mill Street will miss the bakery", "A bank wants the rooms of the bakery in Mill Street", "The oven of the bakery in Mill Street is for sale"}},
}

var chatter = []string{
	"Good morning everybody", "I had soup for lunch", "My umbrella is gone again", "That film was far too long", "It rains since noon", "The printer blinks", "Somebody parked badly",
	"Happy birthday, Otis", "The coffee tastes of soap", "I slept badly", "Where is everyone?", "My train stood for an hour", "Look at that rainbow", "The lift hums a melody", "Nice shoes, by the way",
	"A pigeon sat on my desk", "The stairs are slippery", "I forgot my badge", "Lunch at one?", "The moon was huge yesterday",
}

// talk is a conversation about some topics, with chatter in between.
func talk(seed uint64, about int) (turns []object, words []string) {
	r := rand.New(rand.NewPCG(seed, 9))
	var said []string
	for _, i := range r.Perm(len(topics))[:about] {
		words = append(words, topics[i].word)
		said = append(said, topics[i].said...)
	}
	for _, i := range r.Perm(len(chatter))[:16] {
		said = append(said, chatter[i])
	}
	r.Shuffle(len(said), func(i, j int) { said[i], said[j] = said[j], said[i] })
	for i, s := range said {
		turns = append(turns, object{"content": s, "source": []string{"Ada", "Ben"}[i%2], "context": fmt.Sprint("talk ", seed), "valid_from": fmt.Sprintf("2024-05-07T10:%02d:00Z", i)})
	}
	return turns, words
}

// covered is the share of the words that a text has.
func covered(text string, words []string) (share float64) {
	for _, w := range words {
		if strings.Contains(strings.ToLower(text), w) {
			share += 1 / float64(len(words))
		}
	}
	return share
}

// A digest of as many sentences as a conversation has topics tells of nearly
// all of them; its first sentences do not.
func TestDigest_TellsWhatItWasAbout(t *testing.T) {
	each(t, "digest", nil, func(t *testing.T, w *world) {
		const talks, about = 12, 5
		var lead, found float64
		for seed := range uint64(talks) {
			turns, words := talk(seed, about)
			w.create(turns...)
			var first []string
			for _, turn := range turns[:about] {
				first = append(first, turn["content"].(string))
			}
			lead += covered(strings.Join(first, "\n"), words) / talks
			d := w.run("write", object{"context": turns[0]["context"], "sentences": about})["digests"].([]any)[0].(object)
			content := w.get(d["id"].(string))[0]["content"].(string)
			found += covered(content, words) / talks
			if lines := strings.Count(content, "\n") + 1; lines != about {
				t.Errorf("%d sentences:\n%s", lines, content)
			}
		}
		t.Logf("topics told: by the first %d sentences %.3f, by the digest %.3f", about, lead, found)
		gate(t, "topics told", found, .90)
		gate(t, "more than the first sentences", found-lead, .30)
	})
}

// Of the 72 conversations of the quality set it quotes what is asked for later
// more often than a turn taken by chance would be.
func TestDigest_QuotesWhatIsAskedFor(t *testing.T) {
	talks, order := map[string][]qualityEngram{}, []string{}
	asked, all := 0.0, 0.0
	for _, e := range qualitySet(t, "talk") {
		if talks[e.Context] == nil {
			order = append(order, e.Context)
		}
		talks[e.Context] = append(talks[e.Context], e)
		if all++; e.gold {
			asked++
		}
	}
	each(t, "digest", nil, func(t *testing.T, w *world) {
		var quoted, gold float64
		for _, context := range order {
			var turns []object
			for _, e := range talks[context] {
				turns = append(turns, object{"content": e.Content, "source": e.Source, "context": context, "valid_from": e.ValidFrom})
			}
			ids := w.create(turns...)
			d := w.run("write", object{"context": context, "sentences": 5})["digests"].([]any)[0].(object)
			for id := range w.links(d["id"].(string), "summarizes") {
				if quoted++; talks[context][slices.Index(ids, id)].gold {
					gold++
				}
			}
		}
		t.Logf("asked for: %.3f of all turns, %.3f of those quoted", asked/all, gold/quoted)
		gate(t, "gained", gold/quoted/(asked/all), 2)
	})
}

func TestDigest_IsKeptUpToDate(t *testing.T) {
	each(t, "digest", nil, func(t *testing.T, w *world) {
		turns, _ := talk(1, 4)
		made := w.create(turns...)
		digest := func() (id, state string) {
			d := w.run("write", object{"context": "talk 1"})["digests"].([]any)[0].(object)
			return d["id"].(string), d["state"].(string)
		}
		sources := func(id string) []string {
			var ids []string
			for to := range w.links(id, "summarizes") {
				ids = append(ids, to)
			}
			return ids
		}
		quotes := func(id string) {
			t.Helper()
			content := w.get(id)[0]["content"].(string)
			lines := strings.Split(content, "\n")
			if n := len(sources(id)); n != len(lines) {
				t.Errorf("%d links, %d sentences", n, len(lines))
			}
			for _, e := range w.get(sources(id)...) {
				if !slices.Contains(lines, fmt.Sprintf("- %s: %s", e["source"], e["content"])) {
					t.Errorf("%q is linked, but not in\n%s", e["content"], content)
				}
			}
		}
		id, state := digest()
		if state != "new" {
			t.Error(state)
		}
		quotes(id)
		e := w.get(id)[0]
		if e["kind"] != "digest" || e["context"] != "talk 1" || e["previous"] != made[len(made)-1] {
			t.Errorf("%v", e)
		}
		version := e["version"]
		if again, state := digest(); again != id || state != "same" || w.get(id)[0]["version"] != version {
			t.Errorf("nothing is new: %s, %s", again, state)
		}
		var news []object
		for i, s := range []string{"The harbour is closed", "The harbour stays closed until the crane of the harbour is gone", "A crane fell into the harbour", "The harbour needs another crane"} {
			news = append(news, object{"content": s, "source": "Cleo", "context": "talk 1", "valid_from": fmt.Sprintf("2024-05-08T10:%02d:00Z", i)})
		}
		w.create(news...)
		if again, state := digest(); again != id || state != "changed" || covered(w.get(id)[0]["content"].(string), []string{"harbour"}) != 1 {
			t.Errorf("news: %s, %s, %v", again, state, w.get(id)[0]["content"])
		}
		quotes(id)
		w.call("engram_forget", object{"ids": []string{id}})
		if again, state := digest(); again == id || state != "new" {
			t.Errorf("it was forgotten: %s, %s", again, state)
		}
	})
}

func TestDigest_OfWhichEngrams(t *testing.T) {
	each(t, "digest", nil, func(t *testing.T, w *world) {
		for seed := range uint64(3) {
			turns, _ := talk(seed, 3)
			w.create(turns...)
		}
		w.create(object{"content": "The vault opens with the number of the vault", "context": "talk 0", "collections": []string{"board"}},
			object{"content": "Nobody but the board knows the number of the vault", "context": "talk 0", "collections": []string{"board"}})
		states := map[string]string{}
		for range 2 {
			for _, d := range w.run("write", nil)["digests"].([]any) {
				d := d.(object)
				states[d["context"].(string)] += d["state"].(string) + " "
				if content := w.get(d["id"].(string))[0]["content"].(string); strings.Contains(content, "vault") {
					t.Errorf("what only the board may read is in\n%s", content)
				}
			}
		}
		for seed := range 3 {
			if got := states[fmt.Sprint("talk ", seed)]; got != "new same " {
				t.Errorf("talk %d: %s", seed, got)
			}
		}
		if d := w.run("write", object{"context": "nowhere"})["digests"].([]any)[0].(object); d["state"] != "empty" {
			t.Errorf("%v", d)
		}
	})
}
