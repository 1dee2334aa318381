# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What a scatter array, which can skip zero activations, would find in a ternary language model that writes text.

The model, `shakespeare_ternary.npz` beside this file, is a character-level GPT in the manner of BitNet b1.58: 11.6 million
parameters, ternary weights, INT8 activations, trained on Tiny Shakespeare. `subbyte generate rsr` lets it write by the RTL;
here each of its 42 ternary products a character is computed by the exact model, and looked at.
"""

from collections import defaultdict
from pathlib import Path

import click
import numpy as np

from subbyte import models, weights
from subbyte.golden import rsr

MODEL = Path(__file__).with_name("shakespeare_ternary.npz")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--prompt", default="ROMEO:\n", help="What the text begins with.")
@click.option("--characters", type=click.IntRange(1, 200), default=32, help="How many to write.")
def main(prompt, characters):
    """Write text with a ternary language model, and count the zeros among the activations of its products."""
    zeros, macs, model = defaultdict(list), defaultdict(int), models.open_model(MODEL)

    def layer(site, weight):
        tensor = weights.load_quantized(MODEL, model.stored(site.tensor))
        qweight = rsr.from_ternary(tensor.values, tensor.mean_scale(None))

        def product(x):
            x = rsr.quantize_activations(x)
            zeros[site.name].append(np.mean(x.values == 0))
            macs[site.name] += weight.size
            return rsr.matmul(x, qweight, rsr.RsrConfig())

        return product

    writer = models.Writer(model, layer)
    try:
        tokens = writer.encode(prompt)
    except ValueError as error:
        raise click.BadParameter(f"--prompt: {error}") from None
    if not 1 <= len(tokens) <= writer.context - characters:
        raise click.BadParameter(f"--prompt must be 1 to {writer.context - characters} characters, not {len(tokens)}")
    click.echo(prompt, nl=False)
    for _ in range(characters):
        for token in tokens:
            logits = writer.step(token)
        tokens = [int(logits.argmax())]
        click.echo(writer.decode(tokens), nl=False)
    shares = {name: np.mean(values) for name, values in zeros.items()}
    needed = sum(macs[name] * (1 - share) for name, share in shares.items()) / sum(macs.values())
    click.echo("\n\nzero activations   " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))
    click.echo(f"skipping them      a scatter array would work {needed:.1%} of its cycles")


if __name__ == "__main__":
    main()
