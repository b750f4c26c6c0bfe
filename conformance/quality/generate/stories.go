package main

// A story is what A tells B in one or more talks. Each chapter is of another
// talk, the next one of a later one. A line starts with who speaks; a name in
// brackets is what questions call it.
type story struct {
	chapters [][]string
	asks     []asking
}

// An asking is a question of a type, with the names of the lines that answer it.
type asking struct{ kind, text, gold string }

var stories = []story{
	// One chapter each.
	{[][]string{{
		"A: Somebody new is sleeping on my sofa.",
		"B: Your cousin again?",
		"A[breed]: Ha, no. A {whippet|beagle|spitz} from the shelter, nine weeks old, picked up {yesterday|last Friday}.",
		"B: Oh my heart. What do you call it?",
		"A[name]: {Waffle|Pixel|Juno}. My niece insisted.",
		"B: Pictures, now.",
	}}, []asking{{entity, "What is the name of {A}'s puppy?", "name"}, {paraphrase, "Which animal did {A} adopt?", "breed"}, {temporal, "When did {A} bring the dog home?", "breed"}}},
	{[][]string{{
		"B: You look like you have not slept.",
		"A[leak]: The pipe behind the washing machine burst at three in the morning.",
		"B: Nightmare. Is the floor ruined?",
		"A[cost]: The parquet is gone. The man from the insurance says {four|six|nine} thousand, and they cover half.",
		"B: At least that.",
	}}, []asking{{paraphrase, "What water damage did {A} have?", "leak cost"}, {entity, "How much of the repair does the insurance pay for {A}?", "cost"}}},
	{[][]string{{
		"A: Guess who stood on a stage {last Saturday|on Thursday night}.",
		"B: Not you? You hide behind the curtain at your own birthday.",
		"A[standup]: Me! Five minutes of stand-up at the {Blue Parrot|Cellar Door|Tin Cup}.",
		"B: And did they laugh?",
		"A: Twice. One of them was my dentist.",
	}}, []asking{{paraphrase, "Did {A} ever perform comedy?", "standup"}, {temporal, "When did {A} do stand-up?", "standup"}}},
	{[][]string{{
		"B: How did it go with the driving test?",
		"A[fail]: I stalled on the roundabout, twice, and that was that.",
		"B: Everybody fails the first time.",
		"A[again]: I have another go on the {ninth|twentieth} with a different examiner.",
	}}, []asking{{paraphrase, "Does {A} have a licence yet?", "fail"}, {temporal, "When does {A} try the exam again?", "again"}}},
	{[][]string{{
		"A[ring]: I lost grandma's ring at the beach {on Sunday|two days ago}.",
		"B: No! The one with the {garnet|opal|sapphire}?",
		"A: That one. I have been back with a rake.",
		"B[detector]: My uncle has a metal detector, I will bring it along.",
		"A: You are an angel.",
	}}, []asking{{paraphrase, "Which heirloom went missing on {A}?", "ring"}, {entity, "Whose metal detector could help {A}?", "detector"}, {temporal, "When did {A} lose the ring?", "ring"}}},
	{[][]string{{
		"B: Is that a cast?",
		"A[wrist]: Broke my wrist falling off a {stepladder|hay wagon|pony}, {last week|ten days ago}.",
		"B: How long do you have to keep it?",
		"A[weeks]: {Five|Six|Eight} weeks, and no lifting after that.",
		"B: I will do your shopping.",
	}}, []asking{{paraphrase, "What injury does {A} have?", "wrist"}, {temporal, "When did {A} get hurt?", "wrist"}, {entity, "How long must {A} wear the cast?", "weeks"}}},
	{[][]string{{
		"A: I cooked for eleven people yesterday and nobody died.",
		"B: What did you serve?",
		"A[dish]: {Lamb tagine with apricots|Aubergine lasagne|Prawn laksa}, after the recipe of my {godmother|flatmate|old landlord}.",
		"B: You have to write that down for me.",
		"A: The secret is patience, and far too much butter.",
	}}, []asking{{paraphrase, "What meal did {A} make for a crowd of guests?", "dish"}, {entity, "Whose recipe did {A} use?", "dish"}}},
	{[][]string{{
		"B: Did you hear back from the landlord?",
		"A[rent]: He wants {ninety|a hundred and ten|two hundred} more a month from summer on.",
		"B: Can he do that?",
		"A[union]: The tenants' association says no. I have a letter from them already.",
	}}, []asking{{paraphrase, "How much dearer is {A}'s flat to become?", "rent"}, {entity, "Who supports {A} against the landlord?", "union"}}},
	{[][]string{{
		"A: I finished it! All eight hundred pages.",
		"B: The Russian one?",
		"A[book]: {Life and Fate|Petersburg|The Devils}. The last part made me miss my stop.",
		"B: I gave up after the third patronymic.",
		"A: You have to draw a family tree.",
	}}, []asking{{paraphrase, "Which novel has {A} read to the end?", "book"}, {entity, "What is the title of {A}'s Russian book?", "book"}}},
	{[][]string{{
		"B: What is that smell?",
		"A[soap]: I make soap now. {Cedar and orange|Lavender and salt|Coffee and clove}, in the bathtub.",
		"B: Is that legal?",
		"A[stall]: I have a stall at the Advent market, so I hope so.",
	}}, []asking{{paraphrase, "What handicraft has {A} taken up?", "soap"}, {paraphrase, "Where does {A} sell the homemade goods?", "stall"}}},
	{[][]string{{
		"A: Somebody took my bicycle. In broad daylight!",
		"B: Where had you left it?",
		"A[theft]: Locked to the railing of the {library|opera|town hall}, {yesterday at noon|on Monday}.",
		"B: Have you been to the police?",
		"A[number]: They wrote down the frame number and looked sorry.",
	}}, []asking{{paraphrase, "What was stolen from {A}?", "theft"}, {temporal, "When was {A}'s bike taken?", "theft"}}},
	{[][]string{{
		"B: You were in the paper!",
		"A[rescue]: All I did was pull a {swan|kid|drunk} out of the canal.",
		"B: In November, in your office clothes.",
		"A[suit]: The mayor gave me a voucher for dry cleaning.",
	}}, []asking{{paraphrase, "What heroic deed made {A} known?", "rescue"}, {paraphrase, "What reward did {A} get?", "suit"}}},
	{[][]string{{
		"A: Do you know anything about wasps?",
		"B: They sting. Why?",
		"A[nest]: There is a nest the size of a football in my {letterbox|shutters|shed}.",
		"B[who]: Call {Rosalind|Mr Abara|the Petersens}, they move them for free.",
	}}, []asking{{paraphrase, "What pest troubles {A}?", "nest"}, {entity, "Who moves wasps for free?", "who"}}},
	{[][]string{{
		"B: How was the reunion?",
		"A[reunion]: Strange. Twenty years, and {Gwen|Malte|Inez} still tells the story with the fire extinguisher.",
		"B: Did you see your first love?",
		"A[love]: Runs a garden centre and has five kids.",
		"B: So you dodged something.",
	}}, []asking{{paraphrase, "What became of the person {A} had a crush on at school?", "love"}, {paraphrase, "At which gathering did {A} meet former classmates?", "reunion"}}},
	{[][]string{{
		"A[telescope]: I bought a telescope, second-hand, from a retired {captain|nun|bus driver}.",
		"B: What can you see?",
		"A[saturn]: The rings! On a clear night from the roof.",
		"B: Take me up there.",
		"A: Bring a blanket and something hot.",
	}}, []asking{{paraphrase, "Which optical instrument did {A} acquire?", "telescope"}, {entity, "From whom did {A} buy the telescope?", "telescope"}, {paraphrase, "Which planet has {A} looked at?", "saturn"}}},
	{[][]string{{
		"B: So what did the doctor say?",
		"A[iron]: My {iron|vitamin D|B12} is far too low. That is why I am tired all day.",
		"B: Can one do something?",
		"A[pills]: Pills for three months, then another blood test.",
		"B: Eat lentils.",
	}}, []asking{{paraphrase, "What medical reason is there for {A}'s exhaustion?", "iron"}, {entity, "How long does {A} take pills?", "pills"}}},
	{[][]string{{
		"A: We had a power cut for {nine|fourteen} hours {on Tuesday|yesterday}.",
		"B: What did you do?",
		"A[candles]: Candles, cards with the neighbours, and we ate everything in the freezer.",
		"B: That sounds better than the internet.",
	}}, []asking{{paraphrase, "How did {A} pass the time without electricity?", "candles"}, {temporal, "When was the power cut at {A}'s?", "0"}}},
	{[][]string{{
		"B: Your hair!",
		"A[hair]: I shaved it off for charity, {last Sunday|three days ago}.",
		"B: How much did you raise?",
		"A[sum]: {1,240|870|2,015} for the {hospice|lifeboat crew|animal hospital}.",
		"B: It suits you, honestly.",
	}}, []asking{{paraphrase, "Why is {A} bald?", "hair"}, {entity, "For whom did {A} raise money?", "sum"}, {temporal, "When did {A} shave?", "hair"}}},
	{[][]string{{
		"A: I have a confession. I am addicted to {crosswords|sudoku|jigsaws}.",
		"B: There are worse things.",
		"A[breakfast]: I do one before breakfast, and my tea goes cold.",
		"B[club]: There is a club for that in {Harbour Street|the old mill}. They have a trophy.",
	}}, []asking{{paraphrase, "What puzzles is {A} hooked on?", "0"}, {entity, "Where does the club meet that {B} told {A} of?", "club"}}},
	{[][]string{{
		"B: Are you still cross with your brother?",
		"A[quarrel]: He sold father's {tractor|boat|violin} without a word to me.",
		"B: That is low.",
		"A[peace]: He wants to talk at Easter. I said I would think about it.",
	}}, []asking{{paraphrase, "What did {A}'s sibling do wrong?", "quarrel"}, {temporal, "When may {A} and the brother make up?", "peace"}}},
	{[][]string{{
		"A: My phone fell into the {soup|fountain|paint}.",
		"B: Rice?",
		"A[repair]: Rice did nothing. The man at the kiosk wants {sixty|ninety} for a new screen.",
		"B[spare]: I have an old one in a drawer. Have it.",
	}}, []asking{{paraphrase, "What would it cost to mend {A}'s mobile?", "repair"}, {entity, "Who has a spare phone for {A}?", "spare"}}},
	{[][]string{{
		"B: What are you reading there?",
		"A[will]: My will. The notary says everyone over forty should have one.",
		"B: How cheerful.",
		"A[cactus]: You get the cactus and the {records|ladder|fondue set}.",
		"B: I am touched. I think.",
	}}, []asking{{paraphrase, "What would {B} inherit from {A}?", "cactus"}, {paraphrase, "Which legal document is {A} preparing?", "will"}}},
	{[][]string{{
		"A: I saw the northern lights!",
		"B: Where?",
		"A[aurora]: From a ferry off {Bodo|Kirkwall|Torshavn}, {last Tuesday|four nights ago}, with soup in my hand.",
		"B: I have wanted that all my life.",
		"A: Go in March. It is cheaper and just as dark.",
	}}, []asking{{paraphrase, "What natural spectacle did {A} witness at sea?", "aurora"}, {temporal, "When did {A} see the northern lights?", "aurora"}}},
	{[][]string{{
		"B: How is the allotment?",
		"A[slugs]: The slugs ate every single {lettuce|dahlia|bean}.",
		"B: Beer traps?",
		"A[ducks]: I am borrowing two ducks from {the vicar|old Hannes|Mrs Oyelaran}.",
	}}, []asking{{paraphrase, "What ruined {A}'s harvest?", "slugs"}, {entity, "Who lends {A} the ducks?", "ducks"}}},
	{[][]string{{
		"A[quit]: I have not smoked for {six|ten|twelve} weeks.",
		"B: I noticed, you eat carrots all day.",
		"A[jar]: The money goes into a jar. There is enough for a weekend away by now.",
		"B: Where to?",
		"A: Somewhere with fresh air, obviously.",
	}}, []asking{{paraphrase, "Which vice has {A} given up?", "quit"}, {paraphrase, "What will {A} do with what is saved on cigarettes?", "jar"}}},
	{[][]string{{
		"B: You are wearing a tie. Who died?",
		"A[jury]: I have jury duty, all week. {Fraud|A hit and run|Arson at a bakery}.",
		"B: Are you allowed to tell me?",
		"A: Not a word more.",
	}}, []asking{{paraphrase, "Which civic obligation did {A} have at court?", "jury"}}},
	{[][]string{{
		"A: The kids' play is done, and I can feel my legs again.",
		"B: You built the whole set?",
		"A[whale]: A {whale|dragon|lighthouse} of cardboard, four metres long. It lost an eye in act two.",
		"B: They will remember it for ever.",
	}}, []asking{{paraphrase, "What scenery did {A} construct for the school theatre?", "whale"}}},
	{[][]string{{
		"B: What happened to the deal with the bank?",
		"A[loan]: They turned us down. Too little equity, they say.",
		"B: And now?",
		"A[crowd]: We ask the customers. {Two hundred|Three hundred} shares of fifty each.",
		"B: Put me down for two.",
	}}, []asking{{paraphrase, "Why was {A} refused credit?", "loan"}, {paraphrase, "How will {A} finance the business instead?", "crowd"}}},
	{[][]string{{
		"A: Never trust a recipe from the internet.",
		"B: What exploded?",
		"A[kombucha]: {Three|Four} bottles of kombucha, at night. The ceiling is sticky.",
		"B: I told you to open them once a day.",
	}}, []asking{{paraphrase, "Which fermented drink made a mess at {A}'s?", "kombucha"}}},
	{[][]string{{
		"B: Who is that in the photo?",
		"A[mentor]: {Professor Lindqvist|Ms Achterberg|Father Colm}, the one who taught me to {weld|draw maps|keep accounts}.",
		"B: You never told me.",
		"A[letter]: We still write letters, on paper, twice a year.",
	}}, []asking{{entity, "Who was {A}'s teacher?", "mentor"}, {paraphrase, "How does {A} stay in touch with the old mentor?", "letter"}}},
	{[][]string{{
		"A: I am officially a godparent.",
		"B: Congratulations! Whose baby is it?",
		"A[baby]: {Nadia's|Colin's|Birgit's} little one, {Alma|Felix|Ottilie}. The christening was {last Sunday|on the first}.",
		"B: Did it cry?",
		"A: No, but I did.",
	}}, []asking{{entity, "What is {A}'s godchild called?", "baby"}, {temporal, "When was the christening that {A} went to?", "baby"}}},
	{[][]string{{
		"B: Still afraid of the deep end?",
		"A[swim]: I signed up for adult swimming lessons at the {Neptune|city} pool.",
		"B: At last!",
		"A[float]: I can float. The coach says I look like a plank with eyes.",
	}}, []asking{{paraphrase, "What is {A} being taught in the water?", "swim float"}}},
	{[][]string{{
		"A: The choir picked me for the solo.",
		"B: In the big concert?",
		"A[solo]: In the {Faure|Rutter|Brahms}, in front of the whole cathedral, {in three weeks|at the end of the month}.",
		"B: I will be in the first row with a banner.",
		"A: Please do not.",
	}}, []asking{{entity, "Which composer does {A} sing?", "solo"}, {temporal, "When is {A}'s solo?", "solo"}}},
	{[][]string{{
		"B: Whose van is that in your drive?",
		"A[van]: Mine. I am turning it into a {mobile library|coffee cart|camper}.",
		"B: Since when do you do carpentry?",
		"A[videos]: Since a fortnight. I watch videos at double speed.",
	}}, []asking{{paraphrase, "What vehicle conversion is {A} busy with?", "van"}, {paraphrase, "How did {A} learn woodworking?", "videos"}}},
	{[][]string{{
		"A: I had an argument with a {parking meter|ticket machine|hotel kettle} and lost.",
		"B: Tell me.",
		"A[fine]: Forty in fines because my coin was foreign.",
		"B[appeal]: You can appeal on the council's page, I did it twice.",
	}}, []asking{{paraphrase, "What penalty did {A} have to pay?", "fine"}, {entity, "How can {A} appeal?", "appeal"}}},

	{[][]string{{
		"B: Why are you whispering?",
		"A[bat]: There is a bat in my {wardrobe|bathroom|lampshade}, asleep.",
		"B: Leave the window open and the light off.",
		"A[name]: I have already called it {Gerald|Duchess|Professor}.",
	}}, []asking{{paraphrase, "Which nocturnal creature got into {A}'s house?", "bat"}, {entity, "What did {A} call the bat?", "name"}}},
	{[][]string{{
		"A: They want me to speak at the conference in {Ljubljana|Tampere|Girona}.",
		"B: About what?",
		"A[topic]: {Moss roofs|Slow trains|Night schools}. Forty minutes, {in May|on the second of June}.",
		"B: You could talk about that for forty hours.",
	}}, []asking{{entity, "What is {A} going to speak about?", "topic"}, {temporal, "When does {A} speak at the conference?", "topic"}}},
	{[][]string{{
		"B: Is the baby asleep?",
		"A[teeth]: She is getting her first tooth. Nobody in this street has slept since {Wednesday|the weekend}.",
		"B[remedy]: My grandmother swore by a {cold spoon|crust of rye}.",
		"A: I will try anything.",
	}}, []asking{{paraphrase, "Why does {A}'s infant cry all night?", "teeth"}, {entity, "What remedy did {B}'s grandmother swear by?", "remedy"}}},
	{[][]string{{
		"A[marathon]: I ran the half marathon {on Sunday|last weekend}! {Two hours four|One fifty-eight|Two hours eleven}.",
		"B: With that knee?",
		"A: With that knee, and a banana at every corner.",
		"B: I was out of breath reading your message.",
	}}, []asking{{entity, "What was {A}'s time in the half marathon?", "marathon"}, {temporal, "When did {A} run the half marathon?", "marathon"}}},
	{[][]string{{
		"B: Did they find out who did the painting?",
		"A[painting]: The one from the flea market? A pupil of {Munter|Sorolla|Hammershoi}, says the museum.",
		"B: So you are rich.",
		"A[auction]: It goes to auction {in autumn|next month}. I only want a new roof out of it.",
	}}, []asking{{paraphrase, "Which artwork that {A} bought cheaply turned out to be precious?", "painting"}, {temporal, "When does {A}'s painting go to auction?", "auction"}}},
	{[][]string{{
		"A: Grandpa has moved in with us.",
		"B: How is that?",
		"A[radio]: Loud. He listens to the {shipping forecast|cricket|opera} at six, at full volume.",
		"B: Headphones?",
		"A[aid]: He says his hearing aid is on strike.",
	}}, []asking{{paraphrase, "What wakes {A} early since the old man came?", "radio"}}},
	{[][]string{{
		"B: I heard sirens in your street.",
		"A[chimney]: The chimney of the {dairy|pub|rectory} caught fire {last night|on Wednesday}. We stood outside in slippers.",
		"B: Anyone hurt?",
		"A[rex]: Only the weathercock. It fell on the mayor's car.",
	}}, []asking{{paraphrase, "What was burning near {A}'s place?", "chimney"}, {temporal, "When was the fire in {A}'s street?", "chimney"}}},
	{[][]string{{
		"A[visa]: My visa was refused. Wrong kind of photo, they say.",
		"B: You are joking.",
		"A[second]: I get a second appointment on the {third|twelfth|nineteenth}, with ears visible.",
		"B: Show them mine, they are visible from anywhere.",
	}}, []asking{{paraphrase, "Why may {A} not enter the country?", "visa"}, {temporal, "When is {A}'s second appointment for the visa?", "second"}}},
	{[][]string{{
		"B: You have paint in your ear.",
		"A[mural]: We are doing a mural on the {underpass|gasworks|swimming hall}, thirty metres of {cranes|poppies|whales}.",
		"B: Who is we?",
		"A[crew]: The youth club and I. They do the heights.",
	}}, []asking{{paraphrase, "What public art is {A} creating?", "mural"}, {entity, "With whom does {A} do the mural?", "crew"}}},
	{[][]string{{
		"A[snow]: We were snowed in for {three|four} days, {in the cabin|at the pass}, with one loaf of bread.",
		"B: Did you fight?",
		"A[read]: We read the telephone book aloud. It has a strong middle.",
	}}, []asking{{paraphrase, "Which winter weather trapped {A}?", "snow"}, {paraphrase, "How did {A} entertain the others in the storm?", "read"}}},
	{[][]string{{
		"B: What did the judges say to your roses?",
		"A[rose]: Second place, for the {yellow climber|white rambler}. First went to {Mrs Pettigrew|the station master}, as every year.",
		"B: Bribery.",
		"A: With gin, I am told.",
	}}, []asking{{entity, "Who came first at the rose show, before {A}?", "rose"}, {paraphrase, "How well did {A}'s flowers do in the competition?", "rose"}}},
	{[][]string{{
		"A[tattoo]: I got a tattoo. Do not laugh.",
		"B: Where, and of what?",
		"A[motif]: A {kettle|snail|comma}, on the {ankle|shoulder}. It was a bet.",
		"B: I am not laughing. I am coughing.",
	}}, []asking{{entity, "What is {A}'s tattoo of?", "motif"}, {paraphrase, "What did {A} have done to the skin?", "tattoo motif"}}},
	{[][]string{{
		"B: And the translation?",
		"A[translation]: Delivered, {this morning|last night}. Four hundred pages of {Finnish|Catalan|Bengali} {whaling|beekeeping|chess}.",
		"B: What do you do now?",
		"A: Sleep, and then speak to people again.",
	}}, []asking{{entity, "From which language did {A} translate?", "translation"}, {temporal, "When did {A} deliver the translation?", "translation"}}},
	{[][]string{{
		"A: Remember the {attic|cellar} I was afraid of?",
		"B: Spiders?",
		"A[uniform]: Behind the suitcases was a {naval|postman's|stage} uniform, with love letters in the pocket.",
		"B: To whom?",
		"A[to]: To a {Josephine|Leopold|Wilhelmina}. We have no such person in the family.",
	}}, []asking{{entity, "To whom were the love letters that {A} found?", "to"}, {paraphrase, "What old garment did {A} discover?", "uniform"}}},

	// What changes from talk to talk.
	{[][]string{{
		"B: How is work at {old=the aquarium|the tax office|the brewery}?",
		"A[before]: Same as ever. I have been at {old} for six years and I know every chair.",
		"B: You could do that job asleep.",
	}, {
		"A[after]: I handed in my notice. From next month on I work for {new=the railway|a start-up for hearing aids|the city archive}.",
		"B: Out of nowhere!",
		"A: I wanted to be bad at something again.",
	}}, []asking{{update, "Where does {A} work now?", "after"}, {multiHop, "When did {A} leave {old}, and for whom?", "before after"}}},
	{[][]string{{
		"A[before]: The wedding is going to be in {v1=a vineyard|the botanical garden|a barn}, all outdoors.",
		"B: And if it rains?",
		"A: It would not dare.",
	}, {
		"B: I saw the forecast for your wedding.",
		"A[after]: We gave in and rented {v2=the old cinema|the rowing club|a museum of clocks} for the wedding.",
		"B: With a roof. Wise.",
	}}, []asking{{update, "Where is {A}'s wedding going to be?", "after"}, {multiHop, "Which places were considered for {A}'s wedding?", "before after"}}},
	{[][]string{{
		"B: Where shall I send the parcel?",
		"A[before]: {v1=Canal Street 14|Rue des Lilas 3|Mill Lane 77}, second floor, the bell does not work.",
		"B: Noted.",
	}, {
		"A: Boxes everywhere. I cannot find a single spoon.",
		"B: So you did move?",
		"A[after]: Since {Saturday|the fifteenth}. {v2=Station Road 9|Plaza Mayor 21|Birch Alley 2}, ground floor, with a yard.",
		"B: I will bring bread and salt.",
	}}, []asking{{update, "What is {A}'s address?", "after"}, {temporal, "When did {A} change flats?", "after"}}},
	{[][]string{{
		"A[before]: I eat everything now except {mushrooms|liver}, even snails.",
		"B: Remember that when you visit.",
	}, {
		"B: I am making a roast for Saturday.",
		"A[after]: I should have said: I have been vegan for a month. Doctor's idea, then mine.",
		"B: Then it is a roast pumpkin.",
	}}, []asking{{update, "What does {A} eat these days?", "after"}}},
	{[][]string{{
		"B: When are you due to hand in the thesis?",
		"A[before]: In {v1=April|May}, if the {beetles|voters|batteries} behave.",
		"B: You can do it.",
	}, {
		"A[after]: My professor moved the deadline of the thesis to {v2=October|November}. The data were mislabelled.",
		"B: Take the summer off then.",
		"A: I will take a weekend.",
	}}, []asking{{update, "What is the deadline for {A}'s thesis?", "after"}, {paraphrase, "Why did {A} need more time at university?", "after"}}},
	{[][]string{{
		"A[before]: {name=Ferdinand|Yvonne|Kasimir} and I are flying to {v1=Lisbon|Cairo|Tbilisi} for the anniversary.",
		"B: How romantic.",
	}, {
		"B: All packed for {v1}?",
		"A[after]: The airline went bust. For the anniversary it is the night train to {v2=Venice|Vienna|Krakow} now.",
		"B: Trains are better anyway. You can take cheese.",
	}}, []asking{{update, "Where is {A} going for the anniversary?", "after"}, {entity, "With whom does {A} travel for the anniversary?", "before"}}},
	{[][]string{{
		"A[before]: I am the {goalkeeper|treasurer|umpire} of our {hockey|cricket|handball} club this season.",
		"B: They must be desperate.",
	}, {
		"B: How is the club?",
		"A[after]: The club made me president. Nobody else had a printer.",
		"B: Long live the president.",
	}}, []asking{{update, "What position does {A} hold in the club?", "after"}}},
	{[][]string{{
		"B: How many hens do you have?",
		"A[before]: {Four|Five}, and one of them thinks she is a cat.",
	}, {
		"A: The fox came.",
		"B: Oh no.",
		"A[after]: Only {two|three} hens left, and they refuse to go out.",
	}}, []asking{{update, "How many hens does {A} have left?", "after"}}},
	{[][]string{{
		"A[before]: I drive the kids to {judo|ballet|chess} on Wednesdays, so Wednesdays are out for me.",
		"B: Thursdays then.",
	}, {
		"B: Could you do Thursday?",
		"A[after]: They moved the kids' class to Thursday, would you believe it. Wednesdays I am free again.",
		"B: I will rub out my whole calendar.",
	}}, []asking{{update, "On which day is the class of {A}'s kids?", "after"}}},
	{[][]string{{
		"A[before]: I practise the {v1=ukulele|harp|trombone} every evening, to the neighbours' sorrow.",
		"B: I can hear them cry from here.",
	}, {
		"B: No music today?",
		"A[mid]: I traded the {v1} for a {v2=theremin|lute|set of bagpipes}.",
		"B: God help them.",
	}, {
		"A[after]: I gave the {v2} away. It is only the piano from now on, with headphones.",
		"B: The neighbours will send flowers.",
	}}, []asking{{update, "Which instrument does {A} have now, the {v1}, the {v2} or the piano?", "after"}, {multiHop, "Did {A} practise the {v1} before or after the {v2}?", "before mid"}}},

	// What only several talks tell together.
	{[][]string{{
		"A[who]: My sister {sis=Lena|Marguerite|Oona} visited for a week.",
		"B: The one with the laugh?",
		"A: The very one.",
	}, {
		"B: How is {sis}?",
		"A[job]: Exhausted. She works nights as a {paramedic|baker|radar operator} now.",
		"B: I could not do that.",
	}}, []asking{{multiHop, "What does {A}'s sister {sis} do for a living?", "who job"}, {entity, "What is the name of {A}'s sister?", "who"}}},
	{[][]string{{
		"A[one]: Day one of climbing. My forearms are made of jelly.",
		"B: Indoors, I hope.",
		"A: With three ropes.",
	}, {
		"B: Still climbing?",
		"A[two]: I am fencing now! You get to wear white and shout.",
		"B: Of course that is what you like.",
	}, {
		"A[three]: I went rowing at six in the morning. Voluntarily.",
		"B: Who are you?",
	}}, []asking{{multiHop, "Which sports has {A} tried besides climbing?", "one two three"}}},
	{[][]string{{
		"B: You are brown!",
		"A[one]: Two weeks of holiday in {Crete|Oman|Cape Verde}. I snorkelled until my fingers wrinkled.",
		"B: I hate you.",
	}, {
		"A[two]: Greetings from {Quebec|Patagonia|Hokkaido}. I have never been so cold, nor eaten so well.",
		"B: Bring me a hat.",
	}}, []asking{{multiHop, "Where did {A} snorkel on holiday, and where was it cold?", "one two"}}},
	{[][]string{{
		"A[one]: Somebody gave me tickets for {Fidelio|Swan Lake|Hamlet}. I cried into my programme.",
		"B: You cry at advertisements.",
	}, {
		"B: Anything good lately?",
		"A[two]: A {fado|brass band|death metal} concert in a car park, {last night|on Friday}. My ears still ring.",
		"B: From the sublime to the car park.",
	}}, []asking{{multiHop, "For what did {A} have tickets, and what kind of concert was in the car park?", "one two"}, {temporal, "When was {A} at the concert in the car park?", "two"}}},
	{[][]string{{
		"A[friend]: {pal=Bruno|Ilse|Kwame} from the {allotment|ceramics course|night shift} is moving in next door to me.",
		"B: Is that good?",
		"A: The best. I get a key and a chess partner.",
	}, {
		"B: And {pal}, does it work out?",
		"A[allergy]: Wonderful, only I cannot bake anything any more: {pal} is allergic to {almonds|wheat|eggs}.",
		"B: More for us.",
	}}, []asking{{multiHop, "What is {A}'s friend {pal} allergic to?", "friend allergy"}, {entity, "Where does {A} know {pal} from?", "friend"}}},
	{[][]string{{
		"A[one]: I am taking Portuguese at the evening school.",
		"B: Say something.",
		"A: I can order soup and apologise.",
	}, {
		"A[two]: The next course is bookkeeping. I want to understand my own tax.",
		"B: Nobody does.",
	}, {
		"B: What are you studying this term?",
		"A[three]: First aid for mountain guides. I put Mum in a splint.",
		"B: Poor Mum.",
	}}, []asking{{multiHop, "What courses has {A} taken at the evening school?", "one two three"}}},
	{[][]string{{
		"A[boss]: The new boss is called {boss=Ms Fairweather|Mr Oduya|Dr Stenberg}. Shakes hands like a nutcracker.",
		"B: Ouch.",
	}, {
		"B: How do you get on with {boss}?",
		"A[plan]: Badly. {boss} wants to close the {Leipzig|Turku|Bilbao} branch, and mine is the next.",
		"B: Would you go somewhere else?",
		"A: I have started to look.",
	}}, []asking{{multiHop, "Which branch does {A}'s new boss want to close?", "boss plan"}, {entity, "Who is {A}'s superior?", "boss"}}},
	{[][]string{{
		"A[one]: First prize for my {marmalade|pumpkin|quilt} at the county show!",
		"B: They gave you a rosette?",
		"A: As big as a plate.",
	}, {
		"A[two]: You are speaking to the winner of the pub quiz.",
		"B: All by yourself?",
		"A: Well, with four others and a lot of luck.",
	}}, []asking{{multiHop, "What prize did {A} win at the county show, and what at the pub?", "one two"}}},
	{[][]string{{
		"B: What are you doing on Saturday?",
		"A[one]: Sorting clothes at the refugee centre, all morning.",
		"B: Need a hand?",
	}, {
		"A[two]: I read to the old people in {St Anne's|the Linden home} on Mondays. They correct my pronunciation.",
		"B: I bet they adore you.",
	}}, []asking{{multiHop, "Where does {A} sort clothes and read to old people?", "one two"}}},
	{[][]string{{
		"A[car]: The {car=Renault|Skoda|Mazda} is making that noise again.",
		"B: The cough?",
		"A: More of a sob.",
	}, {
		"B: Did the garage find anything?",
		"A[gear]: The gearbox. Repairing it costs more than the {car} is worth.",
		"B: Then let it go in peace.",
	}}, []asking{{multiHop, "Why does {A}'s {car} make that noise?", "car gear"}, {paraphrase, "Which part of {A}'s vehicle is defective?", "gear"}}},
	{[][]string{{
		"A[date]: I have a date tonight. {love=Emil|Salome|Ruben}, from the {bookshop|tram|dog park}.",
		"B: Details!",
		"A: Tomorrow.",
	}, {
		"B: How is it going with {love}?",
		"A[parents]: I am to meet the parents, {next Sunday|at Whitsun}. They keep {ostriches|alpacas|a funeral parlour}.",
		"B: I want to be a fly on that wall.",
	}}, []asking{{multiHop, "What do the parents of {love} keep, whom {A} has a date with?", "date parents"}, {entity, "Where did {A} get to know {love}?", "date"}, {temporal, "When does {A} meet the parents?", "parents"}}},
	{[][]string{{
		"A[film]: I am in a film! As an extra, a dead {monk|sailor|butcher}.",
		"B: You were born for it.",
	}, {
		"B: When is your film in the cinemas?",
		"A[title]: In spring. It is called {The Salt Road|Nine Winters|Small Bells}, and they cut me to two seconds.",
		"B: Two seconds of genius.",
	}}, []asking{{multiHop, "In which film is {A} an extra?", "film title"}, {entity, "What is the title of {A}'s film?", "title"}}},
}

// chatter is what people say beside their stories.
var chatter = [][]string{
	{"A: How was your week?", "B: Long. And yours?", "A: Same here, but it is over."},
	{"A: Did you sleep well?", "B: Like a stone, until the bin lorry came."},
	{"A: It has been raining for days.", "B: My umbrella has given up.", "A: Mine is at your place, by the way."},
	{"A: Coffee or tea?", "B: You know me.", "A: Coffee then."},
	{"A: Are you following the election?", "B: I try not to.", "A: Wise."},
	{"A: I still owe you for the tickets.", "B: Buy me lunch and we are even."},
	{"A: Have you seen that series everyone talks about?", "B: Two episodes. I fell asleep in both."},
	{"A: My train was late again.", "B: When was it ever on time?"},
	{"A: What is for dinner at yours?", "B: Leftovers, with an egg on top.", "A: The best kind."},
	{"A: I love that song.", "B: You say that of every song."},
	{"A: Do you remember the old playground?", "B: With the rusty slide? It is a car park now.", "A: Everything is a car park now."},
	{"A: The new neighbours are loud.", "B: Bring them a cake, then they feel bad."},
	{"A: I cannot find my glasses.", "B: They are on your head.", "A: Do not tell anyone."},
	{"A: Happy name day!", "B: You are the only one who ever remembers."},
	{"A: How are the kids?", "B: Growing. Eating. Growing."},
	{"A: I am so behind with my mail.", "B: Delete it all. What matters comes twice."},
	{"A: Shall we go to the market on Saturday?", "B: If you carry the potatoes.", "A: Deal."},
	{"A: The heating is off at work.", "B: I saw someone with a hot-water bottle in a meeting."},
	{"A: Is your mother better?", "B: She is giving orders again, so yes."},
	{"A: I dreamt that we missed a flight.", "B: That was not a dream, that was Malaga."},
	{"A: You sound tired.", "B: I am always tired in spring."},
	{"A: I tried the new bakery.", "B: And?", "A: Pretty, but no crust."},
	{"A: What a sunset.", "B: Somebody is showing off."},
	{"A: My back is killing me.", "B: You sit like a shrimp."},
	{"A: Do you need anything from the shop?", "B: Milk, and a reason to get up."},
	{"A: The cat next door hates me.", "B: It hates everyone. That is its job."},
	{"A: Long time no see!", "B: It has been a whole nine days."},
	{"A: I should exercise more.", "B: We all should.", "A: Tomorrow."},
	{"A: Your plant is dying.", "B: It is resting."},
	{"A: I forgot your birthday, did I not?", "B: It is in a month.", "A: Then I am early."},
}

var goodbyes = [][]string{
	{"A: I have to run. Speak soon!", "B: Take care."},
	{"A: My battery is at two percent.", "B: Bye then!"},
	{"A: Somebody is at the door. Until next time.", "B: Until then."},
	{"A: Good to hear you.", "B: You too. Sleep well."},
	{"A: Let us do this more often.", "B: We say that every time."},
}
