package main

// people are whom the facts tell of.
var people = []string{
	"Priya", "Dana", "Okan", "Lucia", "Marek", "Ingrid", "Tariq", "Noor", "Hugo", "Saoirse", "Kenji", "Amara", "Pavel", "Yara",
	"Mateo", "Freya", "Idris", "Chiara", "Bashir", "Linnea", "Otis", "Renata", "Soren", "Thandi", "Viktor", "Wen", "Ximena", "Zofia",
}

// A trait is something to know of a person or thing x, and how memories say it.
type trait struct {
	name   string
	ask    []string // for it, in other words
	direct string   // for it, in words like those of the sayings
	pair   string   // for that of x and y
	say    []saying
}

type saying struct {
	text string
	who  string // asks of whom it is true, in other words
}

var roles = []string{
	"{x} heads platform engineering", "{x} is the paralegal on the third floor", "{x} looks after payroll", "{x} designs the packaging",
	"{x} is on the night desk of support", "{x} runs the apprenticeship scheme", "{x} keeps the lab calibrated", "{x} is our auditor for the northern branches",
	"{x} buys the steel", "{x} writes the release notes", "{x} is the receptionist at the river site", "{x} trains the forklift drivers",
	"{x} translates the manuals", "{x} leads field sales in the Baltics", "{x} is the youngest of the data scientists", "{x} mans the customs desk",
	"{x} is the works council's chair", "{x} plans the shifts", "{x} photographs the catalogue", "{x} handles insurance claims",
	"{x} is the patent attorney we retain", "{x} owns the mobile roadmap", "{x} keeps the bees on the roof and the books in the cellar", "{x} tests firmware",
	"{x} is head chef of the canteen", "{x} chairs the ethics board", "{x} drives the sample van", "{x} moderates the customer forum",
}

var traits = []trait{
	{"danger", []string{"Which food could put {x} in hospital?", "What must the caterer keep away from {x}?"}, "What is {x} allergic to?", "", []saying{
		{"{x} swells up after a trace of {peanut|sesame|shellfish|kiwi}", ""},
		{"{x} carries an adrenaline pen because of {hazelnuts|prawns|lupin}", "Whose bag holds an emergency injector?"},
		{"One bite of {mango|celery|walnut} sends {x} into shock", ""},
		{"{x} is badly allergic to {mustard|cashews|soy}", ""},
	}},
	{"drink", []string{"What hot beverage should I fetch for {x}?"}, "What does {x} drink, coffee or tea?", "Which hot beverages do {x} and {y} want?", []saying{
		{"{x} takes {oat flat whites|black espresso|decaf americano} and nothing else", ""},
		{"{x} gave up caffeine and sips {rooibos|peppermint tea|ginger tea}", "Who stays away from stimulants?"},
		{"Builder's tea with two sugars is what keeps {x} going", ""},
		{"{x} lives on {double ristretto|cortados} until lunch", ""},
	}},
	{"hours", []string{"Until what time can I catch {x} on a working day?"}, "When is {x} at the desk, and when gone?", "Whose working day ends earlier, {x}'s or {y}'s?", []saying{
		{"{x} is at the desk by six and gone by two", ""},
		{"{x} starts after the school run, around half past nine, and stays late", ""},
		{"{x} has Fridays off since the baby came", ""},
		{"{x} does nights this quarter and sleeps until noon", "Who is awake while the rest of us are in bed?"},
	}},
	{"commute", []string{"How does {x} get to the office?", "What does {x}'s way to work look like?"}, "Does {x} cycle, take the train or share a lift?", "Do {x} and {y} come to the office in the same manner?", []saying{
		{"{x} cycles in along the canal even when it snows", "Who rides a bike in any weather?"},
		{"{x} takes the 7:12 train and reads until the terminus", ""},
		{"{x} skates from the ferry landing", ""},
		{"{x} shares a lift with two others from the north side", "Who belongs to a car pool?"},
	}},
	{"flying", []string{"Is {x} comfortable with air travel?"}, "Would {x} board a plane, and in which seat?", "", []saying{
		{"{x} will not board a plane if there is a train", "Who would sooner go by rail than fly?"},
		{"{x} needs an aisle seat because of claustrophobia", ""},
		{"{x} hoards airline miles and loves long-haul", "Who is a frequent flyer?"},
	}},
	{"children", []string{"Is {x} a parent?", "What do we know of {x}'s kids?"}, "Does {x} have twins, a son or a toddler?", "", []saying{
		{"{x} has twin girls in kindergarten", ""},
		{"{x}'s son just started secondary school", "Who is the father or mother of a teenager?"},
		{"{x} is raising a toddler alone", ""},
		{"{x} is adopting a little boy from Vietnam", ""},
	}},
	{"music", []string{"What musical talent does {x} have?"}, "Does {x} sing in a choir, or play in a quartet or a band?", "Could {x} and {y} form an ensemble?", []saying{
		{"{x} is second cello in an amateur quartet", ""},
		{"{x} drums for a wedding band", "Who does percussion at other people's marriages?"},
		{"{x} practises the {accordion|oboe|banjo} during lunch", ""},
		{"{x} sings alto in the cathedral choir", ""},
	}},
	{"diet", []string{"What should be left off the menu for {x}?"}, "Does {x} eat meat, fish or gluten?", "What can one cook that suits both {x} and {y}?", []saying{
		{"{x} has not touched meat since university", "Who is vegetarian?"},
		{"{x} keeps kosher at home and on the road", ""},
		{"{x} went gluten-free after the diagnosis", "Who cannot have bread?"},
		{"{x} eats fish but no fowl", ""},
	}},
	{"feat", []string{"What is {x}'s proudest athletic achievement?"}, "Did {x} finish a marathon or climb a peak?", "Who is the fitter athlete, {x} or {y}?", []saying{
		{"{x} finished the Ghent marathon in under four hours", "Which colleague is a long-distance runner?"},
		{"{x} swam across the strait last summer", ""},
		{"{x} climbed an unnamed peak in Kyrgyzstan", "Who goes mountaineering?"},
		{"{x} once held the regional record in {javelin|pole vault|discus}", ""},
	}},
	{"books", []string{"What literature would make {x} a good present?"}, "Which novels, poetry or history does {x} read?", "", []saying{
		{"{x} devours Nordic crime novels", "Who likes detective stories?"},
		{"{x} reads nothing but naval history", ""},
		{"{x} has a shelf of Hungarian poetry", "Who enjoys verse?"},
		{"{x} is working through every Booker winner", ""},
	}},
	{"collects", []string{"What objects does {x} amass?"}, "What does {x} collect?", "", []saying{
		{"{x} collects {fountain pens|enamel badges|tram tickets|fossils}", ""},
		{"{x} owns forty {teapots|slide rules|snow globes} and wants more", ""},
	}},
	{"tongue", []string{"What is {x}'s native language?"}, "What did {x} grow up with at home, English or something else?", "", []saying{
		{"{x} grew up with {Basque|Frisian|Tamil|Welsh} at home", ""},
		{"{x} picked up English only at twelve; before that it was all {Georgian|Quechua|Maltese}", ""},
		{"{x}'s parents still answer in {Ladino|Sorbian|Romansh}", ""},
	}},
	{"ailment", []string{"What medical condition does {x} have?"}, "Is it a knee, a disc, migraines or the hearing that {x} has trouble with?", "", []saying{
		{"{x} tore a knee ligament skiing and wears a brace", "Who has a bad leg?"},
		{"{x} has a slipped disc and needs a standing desk", "Who suffers from back pain?"},
		{"{x} gets migraines under fluorescent tubes", "Whose head aches because of the lighting?"},
		{"{x} wears a hearing aid on the left side", "Who is partly deaf?"},
	}},
	{"home", []string{"Where is {x}'s apartment?", "What sort of place does {x} sleep in?"}, "Does {x} live in a loft, a farmhouse or on a houseboat?", "", []saying{
		{"{x} rents a loft above a bakery in {Ghent|Porto|Leeds}", ""},
		{"{x} lives on a houseboat near the {eastern locks|old harbour}", "Who dwells on the water?"},
		{"{x} bought a crumbling farmhouse outside {Brno|Siena|Trondheim}", ""},
		{"{x} house-sits for an aunt by the botanical garden", ""},
	}},
	{"meetings", []string{"How do I arrange a discussion with {x} that is not turned down?"}, "Does {x} want an agenda, a proposal or a walk for a meeting?", "", []saying{
		{"{x} declines invites without an agenda sent a day ahead", ""},
		{"{x} wants stand-ups kept under ten minutes", ""},
		{"{x} prefers a written proposal to any meeting", ""},
		{"{x} only takes calls while walking", ""},
	}},
	{"git", []string{"How does {x} want the version history to look?"}, "Does {x} squash or rebase before merging?", "", []saying{
		{"{x} squashes everything before merging", ""},
		{"{x} rejects branches that do not rebase cleanly", ""},
		{"{x} asks for a ticket number in each commit subject", ""},
	}},
	{"editor", []string{"Which IDE does {x} program in?"}, "Does {x} pay for GoLand, or is it Emacs or Vim?", "", []saying{
		{"{x} lives in Emacs and refuses anything else", ""},
		{"{x} does all coding over ssh in Vim", ""},
		{"{x} pays for {GoLand|PyCharm|Rider} out of pocket", ""},
	}},
	{"contact", []string{"What is the best way to reach {x}?", "I need {x} urgently; how do I get hold of them?"}, "Does {x} pick up the phone, or answer mail and messages?", "Through which channel can one reach {x}, and through which {y}?", []saying{
		{"{x} never picks up the phone; text first", ""},
		{"{x} answers mail within minutes and ignores chat", ""},
		{"{x} takes alarms by pager only", ""},
		{"Knock on {x}'s door; messages go astray", ""},
	}},
	{"pet", []string{"What animal does {x} own?"}, "Which greyhound, tomcat or snake does {x} have?", "Would the animals of {x} and {y} get along?", []saying{
		{"{x} adopted a three-legged greyhound called {Comet|Biscuit|Pirate}", "Who took in a dog?"},
		{"{x} breeds {axolotls|budgerigars|ferrets}", ""},
		{"{x} feeds a one-eyed tomcat named {Nelson|Tuppence}", "Who has a feline at home?"},
		{"{x}'s terrarium holds a corn snake", "Who has a reptile?"},
	}},
	{"family", []string{"What do {x}'s relatives do for a living?"}, "What are {x}'s mother, brother or grandparents known for?", "", []saying{
		{"{x}'s mother runs a vineyard near Alba", "Through whom could we order good wine?"},
		{"{x} comes from a line of lighthouse keepers", ""},
		{"{x}'s brother is a magistrate", "Who is related to a judge?"},
		{"{x}'s grandparents still herd reindeer", ""},
	}},
	{"hobby", []string{"How does {x} spend free time?"}, "What does {x} restore, brew or build on Saturdays?", "What pastimes do {x} and {y} have?", []saying{
		{"{x} restores a 1974 Vespa on Saturdays", "Who tinkers with an old scooter?"},
		{"{x} brews sour beer in the garage", "Who makes alcohol?"},
		{"{x} goes foraging for mushrooms every autumn", "Who gathers fungi?"},
		{"{x} builds model bridges out of matchsticks", ""},
	}},
	{"holiday", []string{"Where does {x} go on vacation?"}, "Where is {x} in August, and where in the winter break?", "", []saying{
		{"{x} is back on Madeira every August", ""},
		{"{x} spends the winter break in a cabin without electricity in Lapland", ""},
		{"{x} walks a stretch of the Camino every spring", "Who is a pilgrim?"},
	}},
	{"car", []string{"Does {x} have an automobile?"}, "What does {x} drive, or was it sold?", "", []saying{
		{"{x} sold the Volvo and joined a sharing club", ""},
		{"{x} drives a lime-green Fiat from the seventies", "Who has a vintage vehicle?"},
		{"{x} never got a licence", "Who is not allowed behind the wheel?"},
	}},
	{"study", []string{"What is {x}'s academic background?"}, "Where did {x} read law or philosophy, or hold a doctorate from?", "", []saying{
		{"{x} holds a doctorate in hydrology from Delft", "Who is an expert on rivers and groundwater?"},
		{"{x} dropped out of law school in {Lyon|Uppsala}", ""},
		{"{x} trained as a violin maker and picked up programming alone", "Who is a self-taught developer?"},
		{"{x} read philosophy at {Leuven|Bologna}", ""},
	}},
	{"charity", []string{"What good cause does {x} work for, unpaid?"}, "Does {x} hand out meals at the shelter, or tutor refugees?", "", []saying{
		{"{x} hands out meals at the shelter on Sundays", "Who helps the homeless?"},
		{"{x} is a volunteer firefighter", ""},
		{"{x} tutors refugees in maths", ""},
		{"{x} counts birds for the nature trust", "Which of us is an ornithologist in their spare time?"},
	}},
	{"feedback", []string{"How should I criticise {x}?"}, "Does {x} want review comments blunt or in private?", "", []saying{
		{"{x} wants hard truths in private and in writing", ""},
		{"{x} likes review comments blunt and short", ""},
		{"{x} takes remarks badly before lunch", ""},
	}},
	{"fear", []string{"What scares {x}?"}, "Does {x} panic near dogs or at heights?", "", []saying{
		{"{x} cannot stand heights and avoids the glass lift", "Who has vertigo?"},
		{"{x} panics near dogs of any size", ""},
		{"{x} freezes in front of more than ten listeners", "Who has stage fright?"},
	}},
	{"clothes", []string{"Which shirt should be ordered for {x}?"}, "Does {x} wear a medium or a double XL?", "", []saying{
		{"{x} wears a medium, tall cut", ""},
		{"{x} needs everything in double XL", ""},
		{"{x} takes a women's 38", ""},
	}},
	{"money", []string{"How much can {x} spend without asking anyone?"}, "Up to how many euros may {x} sign or approve?", "Which of {x} and {y} may spend more?", []saying{
		{"{x} may sign for up to {500|2,000|10,000} euros", ""},
		{"{x} has no purchasing authority at all", ""},
		{"{x} approves invoices below {1,500|4,000}", ""},
	}},
}
