# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Write tests/data/smollm2_{slice,spike}.npz, the real weights and activations that the tests use without any download.

    python examples/make_slice.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np

from subbyte import models
from subbyte.weights import activations, load_tensor
from subbyte.weights.activations import TEXT
from subbyte.weights.smollm2 import fetch_model

ROOT = Path(__file__).resolve().parents[1]


def save(output: Path, model: Path, tensor: str, outputs: slice, x: np.ndarray) -> None:
    """Some outputs of a tensor, and activations."""
    np.savez_compressed(
        output,
        weight=load_tensor(model, tensor)[outputs].astype(np.float16),  # what every quantizer here does first
        activations=x.astype(np.float16),
        tensor=f"{tensor}[{outputs.start or ''}:{outputs.stop}]",
        source=f"{model.name}, dequantized and rounded to float16; HuggingFaceTB/SmolLM2-135M-Instruct, Apache-2.0",
    )
    print(f"{output}: {output.stat().st_size} bytes")


def spike(model: Path) -> np.ndarray:
    """What comes to blk.11.ffn_down with the massive activation of a first token, which is a line of a space here."""
    tokens = models.open_tokenizer(model).encode(f" \n {TEXT}").ids[:8]
    site = models.Site(11, "ffn_down")
    return models.inputs_of(models.open_model(model), np.array(tokens), [site])[site]


def main(folder: Path) -> None:
    model = fetch_model(ROOT / "build/model")
    save(folder / "smollm2_slice.npz", model, "blk.0.ffn_up.weight", slice(64),
         activations(model, None, 8, "blk.0.ffn_norm.weight"))
    save(folder / "smollm2_spike.npz", model, "blk.11.ffn_down.weight", slice(476, 508), spike(model))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests/data")
