package agents

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// statements are what is said more than once, each with others that are nearly
// the same words and another statement.
var statements = []struct {
	said   string
	others []string
}{
	{"Ada prefers green tea over coffee in the morning", []string{"Ada prefers coffee over green tea in the morning", "Ben prefers green tea over coffee in the morning", "Ada prefers green tea over coffee in the evening", "Ada never prefers green tea over coffee in the morning"}},
	{"The error budget of mail-relay is 0.1 percent", []string{"The error budget of mail-relay is 0.05 percent", "The error budget of mail-parser is 0.1 percent", "The error budget of mail-relay is not 0.1 percent"}},
	{"Wen walks a stretch of the Camino every spring", []string{"Wen walks a stretch of the Camino every autumn", "Wen walks a stretch of the Danube every spring"}},
	{"The backups are copied to the vault in Zurich every Sunday night", []string{"The backups are copied to the vault in Geneva every Sunday night", "The backups are copied to the vault in Zurich every Monday night"}},
	{"Priya approves invoices below 1,500 euros without asking", []string{"Priya approves invoices below 2,500 euros without asking", "Priya approves invoices below 1,500 dollars without asking", "Priya approves invoices below 1,500 euros"}},
	{"Customers complained about slow downloads during the migration", []string{"Customers complained about slow uploads during the migration", "Customers complained about slow downloads before the migration", "Customers complained about slow downloads during the migration of 2023"}},
	{"We decided to postpone the launch of Juniper until the audit is finished", []string{"We decided to postpone the launch of Bluebell until the audit is finished", "We decided to announce the launch of Juniper once the audit is finished"}},
	{"Otis keeps the spare keys of the cabin in the blue toolbox", []string{"Otis keeps the spare keys of the cabin in the red toolbox", "Otis keeps the spare keys of the boat in the blue toolbox"}},
	{"The garden needs watering twice a week in summer", []string{"The garden needs watering thrice a week in summer", "The garden needs weeding twice a week in summer"}},
	{"Marek teaches sailing to beginners on Saturdays", []string{"Marek teaches sailing to beginners on Sundays", "Marek teaches swimming to beginners on Saturdays", "Maren teaches sailing to beginners on Saturdays"}},
	{"The library closes at eight except on holidays", []string{"The library closes at nine except on holidays", "The library closes at eight"}},
	{"Chiara finished the translation of the second chapter yesterday", []string{"Chiara finished the translation of the third chapter yesterday", "Chiara finished the illustration of the second chapter yesterday"}},
	{"Deployments of the billing service need two approvals", []string{"Deployments of the billing service need three approvals", "Deployments of the search service need two approvals", "Deployments of the billing service no longer need two approvals"}},
	{"Grandma keeps a photograph of the old harbour above her desk", []string{"Grandma keeps a painting of the old harbour above her desk", "Grandma keeps a photograph of the old church above her desk"}},
	{"The heating in the workshop switches itself off after an hour", []string{"The heating in the workshop switches itself on after an hour", "The lights in the workshop switches themselves off after an hour"}},
	{"Linnea was elected treasurer of the climbing club", []string{"Linnea was elected chairwoman of the climbing club", "Linnea was elected treasurer of the sailing club", "Linnea was not elected treasurer of the climbing club"}},
}

// again says a statement once more, in one of the ways in which people do.
func (r random) again(how int, said string) string {
	fields := strings.Fields(said)
	switch how {
	case 0: // another case, other marks
		return strings.ToLower(said) + "."
	case 1:
		return "  " + strings.ReplaceAll(said, " ", "  ") + " !"
	case 2: // a slip in a long word
		for range 50 {
			i := 1 + r.IntN(len(fields)-1)
			if w := fields[i]; len(w) >= 7 && strings.ToLower(w) == w && !strings.ContainsAny(w, digits+"-") {
				at := 2 + r.IntN(len(w)-4)
				fields[i] = r.pick(w[:at]+w[at+1:], w[:at]+w[at:at+1]+w[at:], w[:at]+w[at+1:at+2]+w[at:at+1]+w[at+2:])
				return strings.Join(fields, " ")
			}
		}
		return said + ","
	case 3: // words that say nothing
		return "Well, actually " + said + ", just so that you have it"
	case 4: // one word more
		return r.pick("Reminder: ", "Noted: ", "Update — ") + said
	default: // the end comes first
		at := len(fields) - 3
		return strings.Join(append(slices.Clone(fields[at:]), fields[:at]...), " ")
	}
}

const ways = 6

// What says the same is linked, with a weight; what only looks like it is not.
func TestDedupe_LinksWhatSaysTheSame(t *testing.T) {
	each(t, "dedupe", nil, func(t *testing.T, w *world) {
		r := random{rand.New(rand.NewPCG(3, 1))}
		var originals []object
		for _, s := range statements {
			originals = append(originals, object{"content": s.said})
		}
		ids := w.create(originals...)
		var count tally
		check := func(text, id string, same bool) {
			t.Helper()
			made := w.create(object{"content": text, "allow_duplicate": true})[0]
			linked := w.links(made, "near_duplicate")
			weight, ok := linked[id]
			switch {
			case same && ok && weight >= .85 && weight <= 1:
				count.right++
			case same:
				count.missed++
				t.Logf("not linked: %q", text)
			}
			if !same && ok {
				count.wrong++
				t.Logf("linked: %q", text)
			}
			w.call("engram_forget", object{"ids": []string{made}})
		}
		for i, s := range statements {
			for how := range ways {
				check(r.again(how, s.said), ids[i], true)
			}
			for _, other := range s.others {
				check(other, ids[i], false)
			}
		}
		gate(t, "recall", count.recall(), .95)
		gate(t, "precision", count.precision(), .98)
	})
}

// In a batch, engrams are compared with those before them; an equal engram is
// no near-duplicate but the same one.
func TestDedupe_WithinABatch(t *testing.T) {
	each(t, "dedupe", nil, func(t *testing.T, w *world) {
		answer := w.call("engram_create", object{"engrams": []object{
			{"content": "The garden needs watering twice a week"}, {"content": "Otis keeps the keys of the cabin"}, {"content": "the garden needs watering, twice a week!"},
		}})
		ids := idsOf(answer["engrams"])
		want := object{"dedupe": object{"near_duplicates": []any{object{"id": ids[2], "of": ids[0], "weight": 1.0}}}}
		if diff := cmp.Diff(want, answer["annotations"]); diff != "" {
			t.Error(diff)
		}
		if got := w.links(ids[2], "near_duplicate"); len(got) != 1 || got[ids[0]] != 1 {
			t.Errorf("%v is linked to %v", ids, got)
		}
		for _, id := range ids[:2] {
			if got := w.links(id, "near_duplicate"); len(got) != 0 {
				t.Errorf("%s is linked to %v", id, got)
			}
		}
		again := w.create(object{"content": "Otis keeps the keys of the cabin"})
		if again[0] != ids[1] || len(w.links(ids[1], "near_duplicate")) != 0 {
			t.Error("an equal engram is linked to itself or others")
		}
	})
}
