"""Moves word rows so that texts which mean the same get nearer: contrastive training on WordNet.

A text is the weighted sum of its words' rows, as in the product. Of two lists of
texts that belong together pair by pair, each is taught to prefer its partner to
all other partners of the batch. What the tests measure with is held out: every
sense that lent a word or a definition to a pair, and every distractor.
"""

import re

import numpy as np

import pairs

TOKEN = re.compile(r"[a-z]+|[0-9]+")


def tokens(text):
    return TOKEN.findall(text.lower().replace("'s", "").replace("'", ""))


def _gloss(sense):
    """A sense's whole definition, without examples and notes in brackets."""
    text = re.sub(r"\([^)]*\)", "", re.sub(r'"[^"]*"', "", sense.gloss))
    return " ".join(text.replace(";", " ").split())


def _names(sense):
    return ", ".join(lemma.replace("_", " ") for lemma in sense.lemmas)


def held_out(lexicon):
    """The senses and texts that tests are made of."""
    senses, texts = set(), set()
    for rows, distractors in pairs.select(lexicon).values():
        texts.update(distractors)
        for _, query, target, keys in rows:
            senses |= keys
            texts |= {query, target}
    senses |= {key for key, sense in lexicon.senses.items() if sense.definition in texts}
    return senses


def lessons(lexicon):
    """Pairs of texts: a sense's words and its definition, two of its words, and the words of related senses."""
    held = held_out(lexicon)
    for key, sense in lexicon.senses.items():
        if key in held:
            continue
        yield _names(sense), _gloss(sense)
        for other in sense.lemmas[1:4]:
            yield sense.lemmas[0].replace("_", " "), other.replace("_", " ")
        for other in sorted(set(sense.akin)):
            if other not in held and key < other:
                yield _names(sense), _names(lexicon.senses[other])


class Trainer:
    """Rows under training; their lengths stay the words' weights, so only directions change."""

    def __init__(self, words, directions, weights, common, temperature, rate, seed):
        self.index = {w: i for i, w in enumerate(words)}
        self.weights, self.common = weights.astype(np.float32), common
        self.rows = (directions * self.weights[:, None]).astype(np.float32)
        self.temperature, self.rate = temperature, rate
        self.rng = np.random.default_rng(seed)
        self.momentum = np.zeros_like(self.rows)
        self.square = np.full(len(self.rows), 1e-12, np.float32)

    def directions(self):
        return self.rows / np.linalg.norm(self.rows, axis=1, keepdims=True)

    def read(self, texts):
        """Pairs of texts as pairs of lists of rows; pairs with a side of unknown words only are left out."""
        look = lambda text: [self.index[t] for t in tokens(text) if t in self.index]
        found = ((look(a), look(b)) for a, b in texts)
        return [(a, b) for a, b in found if a and b]

    def epoch(self, lessons, size):
        order = self.rng.permutation(len(lessons))
        starts = range(0, len(order) - size + 1, size)
        loss = [self._step([lessons[j] for j in order[i : i + size]]) for i in starts]
        self.rows = self.directions() * self.weights[:, None]
        return float(np.mean(loss))

    def _embed(self, lists):
        """Unit vectors of texts, the common dimension last, with what is needed to go back."""
        ids, counts = np.concatenate(lists), np.array([len(x) for x in lists])
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        total = np.add.reduceat(self.rows[ids], starts, axis=0)
        share = self.common * np.add.reduceat(self.weights[ids], starts)
        vectors = np.hstack([total, share[:, None]])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return ids, counts, vectors / lengths, lengths

    def _step(self, batch):
        sides = [self._embed([pair[i] for pair in batch]) for i in (0, 1)]
        a, b = sides[0][2], sides[1][2]
        scores, hit = a @ b.T / self.temperature, np.arange(len(batch))
        forth, back = _softmax(scores), _softmax(scores.T)
        slope = (forth + back.T) / 2
        slope[hit, hit] -= 1
        slope /= self.temperature * len(batch)
        self._descend(sides, (slope @ b, slope.T @ a))
        return -np.log(forth[hit, hit] * back[hit, hit] + 1e-18).mean() / 2

    def _descend(self, sides, slopes):
        """One step of Adam, with one second moment a row, on the rows that the batch touched."""
        ids, slope = [], []
        for (rows, counts, vectors, lengths), g in zip(sides, slopes):
            g = (g - (g * vectors).sum(1, keepdims=True) * vectors) / lengths
            ids.append(rows)
            slope.append(np.repeat(g[:, :-1], counts, axis=0))
        ids, slope = np.concatenate(ids), np.concatenate(slope)
        order = np.argsort(ids, kind="stable")
        touched, starts = np.unique(ids[order], return_index=True)
        slope = np.add.reduceat(slope[order], starts, axis=0)
        self.square[touched] = 0.99 * self.square[touched] + 0.01 * (slope * slope).mean(1)
        self.momentum[touched] = 0.9 * self.momentum[touched] + 0.1 * slope
        self.rows[touched] -= self.rate * self.momentum[touched] / (np.sqrt(self.square[touched])[:, None] + 1e-7)


def _softmax(x):
    x = np.exp(x - x.max(1, keepdims=True))
    return x / x.sum(1, keepdims=True)
