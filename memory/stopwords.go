package memory

import "strings"

// stopWords are the English words that say how a sentence is built and not
// what it is about. They are indexed, so that a query of nothing else still
// finds its text, but score nothing beside other words.
var stopWords = wordSet(`
	a an the this that these those
	i me my mine myself we us our ours ourselves you your yours yourself yourselves
	he him his himself she her hers herself it its itself they them their theirs themselves
	who whom whose which what where why how
	am is are was were be been being have has had having do does did doing done
	will would shall should can could may might must ought
	not no nor dont doesnt didnt isnt arent wasnt werent hasnt havent hadnt wont wouldnt shant shouldnt cant cannot couldnt mustnt aint
	and or but if then else than so as because while until though although
	of at by for with about against between into through during before after above below to from up down in out on off over under
	again further once here there all each few more most such only own same too very just
	also ever get got let oh
`)

// questionWords add nothing to a query though they do to a text: they ask for
// a time, a number or an opinion, and the answer does not repeat them.
var questionWords = wordSet(`
	when many long often kind kinds type types likely according based much name both some any other
`)

// monthLead are the words after which "may" is a month.
var monthLead = wordSet(`in of since last next this until by before after during from early mid late`)

func wordSet(list string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(list) {
		set[w] = true
	}
	return set
}
