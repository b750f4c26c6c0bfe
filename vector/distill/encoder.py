"""Sentence encoders in numpy: enough of BERT and MPNet to run two public models.

Both take texts and return unit-length sentence vectors, the mean of the last
layer over all tokens, as the models were trained to be read.
"""

import json
import pathlib

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer


def _gelu(x):
    # Abramowitz and Stegun 7.1.26 for erf; its error, 1.5e-7, is below float32's.
    z = np.abs(x) * np.float32(0.7071067811865476)
    t = 1 / (1 + np.float32(0.3275911) * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = 1 - poly * np.exp(-z * z)
    return (0.5 * x * (1 + np.sign(x) * erf)).astype(np.float32)


def _norm(x, scale, shift, eps):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * scale + shift


def _softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


# Where each model keeps the parameters that both have.
_NAMES = {
    "bert": {
        "q": "attention.self.query",
        "k": "attention.self.key",
        "v": "attention.self.value",
        "o": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
    },
    "mpnet": {
        "q": "attention.attn.q",
        "k": "attention.attn.k",
        "v": "attention.attn.v",
        "o": "attention.attn.o",
        "norm1": "attention.LayerNorm",
    },
}
_COMMON = {"up": "intermediate.dense", "down": "output.dense", "norm2": "output.LayerNorm"}


class Encoder:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        config = json.loads((folder / "config.json").read_text())
        self.kind, self.eps = config["model_type"], config["layer_norm_eps"]
        self.heads, self.depth = config["num_attention_heads"], config["num_hidden_layers"]
        self.p = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(128)
        self.names = _NAMES[self.kind] | _COMMON

    def _linear(self, x, name):
        return x @ self.p[name + ".weight"].T + self.p[name + ".bias"]

    def _layernorm(self, x, name):
        return _norm(x, self.p[name + ".weight"], self.p[name + ".bias"], self.eps)

    def _embed(self, ids):
        x = self.p["embeddings.word_embeddings.weight"][ids]
        first = 0 if self.kind == "bert" else 2  # MPNet's positions start after its padding index
        x = x + self.p["embeddings.position_embeddings.weight"][first : first + ids.shape[1]]
        if self.kind == "bert":
            x = x + self.p["embeddings.token_type_embeddings.weight"][0]
        return self._layernorm(x, "embeddings.LayerNorm")

    def _bias(self, n):
        """MPNet's relative position bias, heads x n x n; nothing for BERT."""
        if self.kind == "bert":
            return np.float32(0)
        distance = np.arange(n)[None, :] - np.arange(n)[:, None]
        far = 8 + (np.log(np.maximum(np.abs(distance), 1) / 8) / np.log(128 / 8) * 8).astype(int)
        near = np.abs(distance)
        bucket = np.where(near < 8, near, np.minimum(far, 15)) + 16 * (distance > 0)
        return self.p["encoder.relative_attention_bias.weight"][bucket].transpose(2, 0, 1)

    def _layer(self, x, i, bias):
        name = {short: f"encoder.layer.{i}.{long}" for short, long in self.names.items()}
        b, n, d = x.shape
        split = lambda y: y.reshape(b, n, self.heads, d // self.heads).transpose(0, 2, 1, 3)
        q, k, v = (split(self._linear(x, name[s])) for s in "qkv")
        weights = _softmax(q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(d // self.heads)) + bias)
        mixed = (weights @ v).transpose(0, 2, 1, 3).reshape(b, n, d)
        x = self._layernorm(x + self._linear(mixed, name["o"]), name["norm1"])
        return self._layernorm(x + self._linear(_gelu(self._linear(x, name["up"])), name["down"]), name["norm2"])

    def _forward(self, ids):
        x, bias = self._embed(ids), self._bias(ids.shape[1])
        for i in range(self.depth):
            x = self._layer(x, i, bias)
        return x

    def encode(self, texts, tokens=2048):
        """Unit vectors of texts, in their order. Batches hold texts of one length, so none is padded."""
        rows = [e.ids for e in self.tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        out = np.zeros((len(rows), self.p["embeddings.word_embeddings.weight"].shape[1]), np.float32)
        start = 0
        while start < len(order):
            n = len(rows[order[start]])
            stop = start
            while stop < len(order) and len(rows[order[stop]]) == n and (stop - start) * n < tokens:
                stop += 1
            picked = order[start:stop]
            v = self._forward(np.array([rows[i] for i in picked])).mean(1)
            out[picked] = v / np.linalg.norm(v, axis=1, keepdims=True)
            start = stop
        return out
