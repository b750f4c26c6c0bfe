package memory

import (
	"testing"

	"pgregory.net/rapid"
)

// Each group is one step of the algorithm; the stems were worked out by hand
// from its rules, through all later steps.
func TestStemEnglishFollowsTheRules(t *testing.T) {
	groups := map[string][][2]string{
		"plurals": {
			{"caresses", "caress"}, {"ponies", "poni"}, {"ties", "ti"}, {"caress", "caress"}, {"cats", "cat"}, {"gas", "ga"},
		},
		"past and gerund": {
			{"feed", "feed"}, {"agreed", "agre"}, {"plastered", "plaster"}, {"bled", "bled"}, {"motoring", "motor"}, {"sing", "sing"},
			{"conflated", "conflat"}, {"troubled", "troubl"}, {"sized", "size"}, {"hopping", "hop"}, {"tanned", "tan"},
			{"falling", "fall"}, {"hissing", "hiss"}, {"fizzed", "fizz"}, {"failing", "fail"}, {"filing", "file"},
		},
		"terminal y": {
			{"happy", "happi"}, {"sky", "sky"}, {"play", "plai"},
		},
		"double suffixes": {
			{"relational", "relat"}, {"conditional", "condit"}, {"rational", "ration"}, {"digitizer", "digit"},
			{"radically", "radic"}, {"differently", "differ"}, {"analogously", "analog"}, {"operator", "oper"},
			{"feudalism", "feudal"}, {"decisiveness", "decis"}, {"hopefulness", "hope"}, {"callousness", "callous"},
			{"formality", "formal"}, {"sensitivity", "sensit"}, {"sensibility", "sensibl"}, {"terribly", "terribl"}, {"archaeology", "archaeolog"},
		},
		"adjectives": {
			{"triplicate", "triplic"}, {"formative", "form"}, {"formalize", "formal"}, {"electrical", "electr"}, {"hopeful", "hope"}, {"goodness", "good"},
		},
		"bare suffixes": {
			{"revival", "reviv"}, {"allowance", "allow"}, {"inference", "infer"}, {"airliner", "airlin"}, {"adjustable", "adjust"},
			{"irritant", "irrit"}, {"replacement", "replac"}, {"adjustment", "adjust"}, {"dependent", "depend"}, {"adoption", "adopt"},
			{"communism", "commun"}, {"activate", "activ"}, {"effective", "effect"}, {"onion", "onion"}, {"vision", "vision"},
		},
		"tidying": {
			{"probate", "probat"}, {"rate", "rate"}, {"cease", "ceas"}, {"controlling", "control"}, {"rolling", "roll"},
		},
		"left alone": {
			{"", ""}, {"a", "a"}, {"is", "is"}, {"mp3s", "mp3s"}, {"straße", "straße"}, {"кошки", "кошки"}, {"Cats", "Cats"},
		},
	}
	for name, pairs := range groups {
		t.Run(name, func(t *testing.T) {
			for _, p := range pairs {
				if got := stemEnglish(p[0]); got != p[1] {
					t.Errorf("stemEnglish(%q) = %q, want %q", p[0], got, p[1])
				}
			}
		})
	}
}

func TestStemEnglishUnitesInflections(t *testing.T) {
	for _, family := range [][]string{
		{"research", "researched", "researching", "researches", "researcher"},
		{"paint", "paints", "painted", "painting"},
		{"adopt", "adopts", "adopted", "adopting", "adoption"},
		{"connect", "connected", "connection", "connections", "connective", "connecting"},
	} {
		for _, w := range family {
			if got := stemEnglish(w); got != family[0] {
				t.Errorf("stemEnglish(%q) = %q, want %q", w, got, family[0])
			}
		}
	}
}

func TestStemEnglishNeverEmptiesOrLengthens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.StringMatching(`[a-z]{1,24}`).Draw(t, "word")
		if got := stemEnglish(w); got == "" || len(got) > len(w) {
			t.Fatalf("stemEnglish(%q) = %q", w, got)
		}
	})
}
