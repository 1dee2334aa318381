# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Write text with a ternary language model, its matrix products computed by the RSR engine's RTL.

The model, `shakespeare_ternary.npz` beside this file, is a character-level GPT in the manner of BitNet b1.58: 11.6 million
parameters, ternary weights, INT8 activations, trained on Tiny Shakespeare. Each of its 42 ternary products per character
goes through the Verilated engine and is compared with the exact model, bit for bit; the rest (normalisation, attention,
the choice of a character) is NumPy.
"""

import time
from collections import defaultdict
from pathlib import Path

import click
import numpy as np

from subbyte.golden import rsr
from subbyte.schemes import scheme
from subbyte.sim.engine_run import EngineModel

MODEL = Path(__file__).with_name("shakespeare_ternary.npz")
_HEAD = 64


class Products:
    """Ternary products ``x @ W.T`` of INT8-quantized activations, and what there is to tell about them.

    Parameters
    ----------
    config : RsrConfig
    on_engine : bool
        Compute them by RTL, compared with golden; else by golden alone.
    """

    def __init__(self, config, on_engine):
        self.config = config
        self.engine = EngineModel(scheme("rsr"), config) if on_engine else None
        self.cycles = self.busy = self.count = 0
        self.zeros, self.macs = defaultdict(list), defaultdict(int)

    def __call__(self, name, x, qweight):
        """The product, float32 [M, N]; `name` is the layer's."""
        x = rsr.quantize_activations(x)
        self.zeros[name].append(np.mean(x.values == 0))
        self.macs[name] += len(x) * qweight.values.size
        if self.engine is None:
            return rsr.matmul(x, qweight, self.config)
        result = self.engine.run(self.engine.scheme.product(x, qweight, self.engine.config))
        if result.problems:
            raise click.ClickException(f"{name}: {'; '.join(result.problems)}")
        self.cycles += result.run.cycles
        self.busy += result.timeline.busy
        self.count += 1
        return result.y


class Transformer:
    """The model; it remembers the keys and values of the characters it has seen.

    Parameters
    ----------
    path : path
    product : callable
        ``(name, x, qweight) -> y``, such as `Products`.
    """

    def __init__(self, path, product):
        with np.load(path) as arrays:
            self._arrays = dict(arrays)
        self.layers, self.heads, self.context = (int(self._arrays["dims"][i]) for i in (1, 2, 3))
        self._weights = {name: rsr.from_ternary(array, self._arrays[f"{name}_scale"])
                         for name, array in self._arrays.items() if array.dtype == np.int8}
        self._product = product
        self._seen = [(np.zeros((0, self.heads, _HEAD), np.float32),) * 2 for _ in range(self.layers)]

    @property
    def alphabet(self):
        """The characters it knows, in the order of their tokens."""
        return [chr(code) for code in self._arrays["vocab"]]

    def logits(self, tokens):
        """Logits [M, V] that follow each of some more tokens."""
        x = self._arrays["emb.weight"][tokens]
        for layer in range(self.layers):
            x = x + self._attention(layer, x)
            gate, up = (self._linear(layer, name, x) for name in ("gate", "up"))
            x = x + self._linear(layer, "down", np.square(np.maximum(gate, 0)) * up)
        return _normalised(x) * self._arrays["gf"] @ self._arrays["head.weight"].T

    def _attention(self, layer, x):
        q, k, v = (self._linear(layer, name, x).reshape(len(x), self.heads, _HEAD) for name in "qkv")
        start = len(self._seen[layer][0])
        q, k = (_rotated(part, start) for part in (q, k))
        keys, values = (np.concatenate(pair) for pair in zip(self._seen[layer], (k, v), strict=True))
        self._seen[layer] = keys, values
        scores = np.einsum("mhd,nhd->hmn", q, keys) / np.float32(np.sqrt(_HEAD))
        later = np.arange(len(keys)) > start + np.arange(len(x))[:, None]
        weights = np.exp(np.where(later, -np.inf, scores - scores.max(axis=2, keepdims=True)))
        weights /= weights.sum(axis=2, keepdims=True)
        mixed = np.einsum("hmn,nhd->mhd", weights, values).reshape(len(x), -1)
        return self._linear(layer, "o", mixed)

    def _linear(self, layer, name, x):
        key = f"blocks.{layer}.{name}"
        return self._product(name, _normalised(x) * self._arrays[f"{key}.g"], self._weights[f"{key}.weight"])

def _normalised(x):
    return x / np.sqrt(np.square(x).mean(axis=1, keepdims=True) + np.float32(1e-5))


def _rotated(x, start):
    """Each pair of neighbours rotated by an angle that grows with the position."""
    angles = np.arange(start, start + len(x))[:, None] / 10000 ** (np.arange(0, _HEAD, 2) / _HEAD)
    cos, sin = (f(angles).astype(np.float32)[:, None] for f in (np.cos, np.sin))
    even, odd = x[..., ::2], x[..., 1::2]
    return np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)


def _choose(logits, temperature, rng):
    if not temperature:
        return int(logits.argmax())
    scaled = np.exp((logits - logits.max()).astype(np.float64) / temperature)
    return int(rng.choice(len(logits), p=scaled / scaled.sum()))


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--prompt", default="ROMEO:\n", help="What the text begins with.")
@click.option("--characters", type=click.IntRange(1, 200), default=32, help="How many to write.")
@click.option("--temperature", type=click.FloatRange(0), default=0.7, help="0 takes the likeliest character each time.")
@click.option("--seed", type=int, default=1, help="Seeds the choice of characters.")
@click.option("--golden", is_flag=True, help="Use the exact NumPy model alone: the same text, without RTL.")
def main(prompt, characters, temperature, seed, golden):
    """Write text with a ternary language model whose matrix products the RSR engine's RTL computes.

    The first time the RTL is generated and compiled (a minute or two), then it is cached.
    """
    click.echo("exact NumPy model alone" if golden else "RSR engine: generating and compiling the RTL", err=True)
    product = Products(rsr.RsrConfig(), not golden)
    model, rng = Transformer(MODEL, product), np.random.default_rng(seed)
    alphabet = model.alphabet
    unknown = sorted(set(prompt) - set(alphabet))
    if unknown or not 1 <= len(prompt) <= model.context - characters:
        raise click.BadParameter(f"--prompt must be 1 to {model.context - characters} characters that the model knows"
                                 + f", not {''.join(unknown)!r}" * bool(unknown))
    click.echo(prompt, nl=False)
    started, tokens = time.perf_counter(), [alphabet.index(character) for character in prompt]
    for _ in range(characters):
        tokens = [_choose(model.logits(tokens)[-1], temperature, rng)]
        click.echo(alphabet[tokens[0]], nl=False)
    _report(product, len(prompt) + characters - 1, time.perf_counter() - started)


def _report(product, tokens, seconds):
    lines = [("seconds per token", f"{seconds / tokens:.2f} ({tokens} tokens, the prompt's included)")]
    if product.count:
        lines += [
            ("products", f"{product.count}, every output bit-identical to the exact model, every cycle as predicted"),
            ("cycles per token", f"{product.cycles / tokens:.0f}"),
            ("utilization", f"{product.busy / product.cycles:.1%} of the cycles multiply"),
        ]
    shares = {name: np.mean(values) for name, values in product.zeros.items()}
    needed = sum(product.macs[name] * (1 - share) for name, share in shares.items()) / sum(product.macs.values())
    lines += [
        ("zero activations", ", ".join(f"{name} {share:.1%}" for name, share in shares.items())),
        ("skipping them", f"a scatter array, which can, would work {needed:.1%} of its cycles"),
    ]
    click.echo("\n\n" + "\n".join(f"{name:<19}{value}" for name, value in lines))


if __name__ == "__main__":
    main()
