package memory

// stemEnglish reduces a lower-case English word to its stem by M. F. Porter's
// algorithm ("An algorithm for suffix stripping", Program 14(3), 1980) with
// the two changes its author published later (-bli for -abli, and -logi).
// A word that is not made of the letters a to z alone is returned as it is,
// and so is one of fewer than three letters.
func stemEnglish(word string) string {
	if len(word) < 3 {
		return word
	}
	for i := 0; i < len(word); i++ {
		if word[i] < 'a' || word[i] > 'z' {
			return word
		}
	}
	p := porter([]byte(word))
	p.plurals()
	p.pastAndGerund()
	p.terminalY()
	p.replaceLongest(doubleSuffixes, 0)
	p.replaceLongest(adjectiveSuffixes, 0)
	p.removeSuffix()
	p.tidy()
	return string(p)
}

// porter is the word in work; every step shortens or rewrites its end.
type porter []byte

// A suffixRule replaces one ending by another.
type suffixRule struct{ from, to string }

// doubleSuffixes is step 2. Within every list here a suffix stands before any
// shorter one that it ends in, so that the first match is the longest.
var doubleSuffixes = []suffixRule{
	{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"},
	{"bli", "ble"}, {"alli", "al"}, {"entli", "ent"}, {"eli", "e"}, {"ousli", "ous"},
	{"ization", "ize"}, {"ation", "ate"}, {"ator", "ate"}, {"alism", "al"}, {"iveness", "ive"},
	{"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"}, {"iviti", "ive"}, {"biliti", "ble"},
	{"logi", "log"},
}

// adjectiveSuffixes is step 3.
var adjectiveSuffixes = []suffixRule{
	{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""},
}

// bareSuffixes is step 4; "ion" is handled apart.
var bareSuffixes = []string{
	"ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize",
	"al", "er", "ic", "ou",
}

// consonant reports whether the letter at i is one: not a vowel, and y only
// at the start or after a vowel.
func (p porter) consonant(i int) bool {
	switch p[i] {
	case 'a', 'e', 'i', 'o', 'u':
		return false
	case 'y':
		return i == 0 || !p.consonant(i-1)
	}
	return true
}

// measure counts the vowel-consonant sequences of the first n letters.
func (p porter) measure(n int) int {
	m, afterVowel := 0, false
	for i := range n {
		if !p.consonant(i) {
			afterVowel = true
		} else if afterVowel {
			m, afterVowel = m+1, false
		}
	}
	return m
}

func (p porter) hasVowel(n int) bool {
	for i := range n {
		if !p.consonant(i) {
			return true
		}
	}
	return false
}

func (p porter) hasSuffix(s string) bool {
	return len(p) >= len(s) && string(p[len(p)-len(s):]) == s
}

func (p porter) endsInDoubleConsonant() bool {
	n := len(p)
	return n >= 2 && p[n-1] == p[n-2] && p.consonant(n-1)
}

// endsShort reports whether the first n letters end consonant, vowel,
// consonant, the last of which is not w, x or y: hop, fil, but not snow.
func (p porter) endsShort(n int) bool {
	if n < 3 || !p.consonant(n-1) || p.consonant(n-2) || !p.consonant(n-3) {
		return false
	}
	last := p[n-1]
	return last != 'w' && last != 'x' && last != 'y'
}

func (p *porter) cut(n int) { *p = (*p)[:len(*p)-n] }

// plurals is step 1a.
func (p *porter) plurals() {
	switch {
	case p.hasSuffix("sses"), p.hasSuffix("ies"):
		p.cut(2)
	case p.hasSuffix("ss"):
	case p.hasSuffix("s"):
		p.cut(1)
	}
}

// pastAndGerund is step 1b.
func (p *porter) pastAndGerund() {
	switch {
	case p.hasSuffix("eed"):
		if p.measure(len(*p)-3) > 0 {
			p.cut(1)
		}
		return
	case p.hasSuffix("ed") && p.hasVowel(len(*p)-2):
		p.cut(2)
	case p.hasSuffix("ing") && p.hasVowel(len(*p)-3):
		p.cut(3)
	default:
		return
	}
	switch last := (*p)[len(*p)-1]; {
	case p.hasSuffix("at"), p.hasSuffix("bl"), p.hasSuffix("iz"):
		*p = append(*p, 'e')
	case p.endsInDoubleConsonant():
		if last != 'l' && last != 's' && last != 'z' {
			p.cut(1)
		}
	case p.measure(len(*p)) == 1 && p.endsShort(len(*p)):
		*p = append(*p, 'e')
	}
}

// terminalY is step 1c.
func (p porter) terminalY() {
	if n := len(p) - 1; p[n] == 'y' && p.hasVowel(n) {
		p[n] = 'i'
	}
}

// replaceLongest applies the rule of the longest suffix, if what stands
// before it has a measure above m.
func (p *porter) replaceLongest(rules []suffixRule, m int) {
	for _, r := range rules {
		if p.hasSuffix(r.from) {
			if n := len(*p) - len(r.from); p.measure(n) > m {
				*p = append((*p)[:n], r.to...)
			}
			return
		}
	}
}

// removeSuffix is step 4.
func (p *porter) removeSuffix() {
	for _, s := range bareSuffixes {
		if p.hasSuffix(s) {
			if p.measure(len(*p)-len(s)) > 1 {
				p.cut(len(s))
			}
			return
		}
	}
	if n := len(*p) - 3; p.hasSuffix("sion") || p.hasSuffix("tion") {
		if p.measure(n) > 1 {
			p.cut(3)
		}
	}
}

// tidy is step 5: a final e, and a double l.
func (p *porter) tidy() {
	if n := len(*p) - 1; (*p)[n] == 'e' {
		if m := p.measure(n); m > 1 || m == 1 && !p.endsShort(n) {
			p.cut(1)
		}
	}
	if p.hasSuffix("ll") && p.measure(len(*p)) > 1 {
		p.cut(1)
	}
}
