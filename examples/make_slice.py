# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Write tests/data/smollm2_slice.npz, the real weights and activations that the tests use without any download.

    python examples/make_slice.py [OUTPUT]
"""

import sys
from pathlib import Path

import numpy as np

from subbyte.weights import activations, load_tensor
from subbyte.weights.smollm2 import fetch_model

ROOT = Path(__file__).resolve().parents[1]
TENSOR, NORM = "blk.0.ffn_up.weight", "blk.0.ffn_norm.weight"
OUTPUTS, TOKENS = 64, 8


def main(output: Path) -> None:
    model = fetch_model(ROOT / "build/model")
    np.savez_compressed(
        output,
        weight=load_tensor(model, TENSOR)[:OUTPUTS].astype(np.float16),  # what every quantizer here does first
        activations=activations(model, None, TOKENS, NORM),
        tensor=f"{TENSOR}[:{OUTPUTS}]",
        source=f"{model.name}, dequantized and rounded to float16; HuggingFaceTB/SmolLM2-135M-Instruct, Apache-2.0",
    )
    print(f"{output}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests/data/smollm2_slice.npz")
