# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Operands of a command: weights out of a model file, activations from where there are some; results to a file."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np

from .. import weights

__all__ = ["load_activations", "load_weight", "save_quantized"]

# The norm in front of each linear layer whose input is a normalised embedding, in Llama-like GGUF names.
_NORMS = {"attn_q": "attn_norm", "attn_k": "attn_norm", "attn_v": "attn_norm",
          "ffn_up": "ffn_norm", "ffn_gate": "ffn_norm"}


def load_weight(path, tensor, rows=None):
    """A tensor as float32 [N, K], or rows ``A:B`` of it."""
    weight = weights.load_tensor(path, tensor)
    if rows is None:
        return weight
    try:
        start, stop = (int(part) if part else None for part in rows.split(":"))
    except ValueError:
        raise ValueError(f"--rows must be A:B with integers, such as 0:64, not {rows!r}") from None
    if not 0 <= (start or 0) < (len(weight) if stop is None else stop) <= len(weight):
        raise ValueError(f"--rows must be A:B with 0 <= A < B <= {len(weight)}, not {rows!r}")
    return weight[start:stop]


def load_activations(path, tensor, given, tokens, k):
    """Activations for a tensor, and a word on where they are from.

    Parameters
    ----------
    path, tensor : str
        The weights' file and tensor: a GGUF file's own embeddings, or an array ``activations`` beside the weights,
        serve if nothing is given.
    given : str or None
        A .npy file, or an .npz file with one array or one named ``activations``.
    tokens : int
        Rows wanted; repeated if there are fewer.
    k : int
        Columns that there must be.

    Returns
    -------
    x : float ndarray [tokens, k]
    origin : str
    """
    norm = _norm(tensor)
    if given is not None:
        x, origin = _read_array(given), given
    elif Path(path).suffix == ".npz" and (found := _shape(path, "activations")):
        x, origin = weights.load_tensor(path, "activations"), f"{Path(path).name}, {found[0]} tokens"
    elif norm is not None and _shape(path, "token_embd.weight") and _shape(path, norm) == (k,):
        x, origin = weights.activations(path, None, tokens, norm), "normalised embeddings of real tokens"
    else:
        # Log-normal magnitudes: like a layer's real inputs, a few are far larger than the rest.
        normal = np.random.default_rng(1).standard_normal((2, tokens, k))
        x, origin = normal[0] * np.exp(normal[1]), "synthetic (the file has none; see --activations)"
    if x.ndim != 2 or x.shape[1] != k or not len(x):
        raise ValueError(f"activations must have the shape [M, {k}] for tensor {tensor!r}, not {list(x.shape)}")
    return np.resize(x, (tokens, k)), origin


def save_quantized(path, qweight):
    """Write the codes and every field of a quantized weight that is an array or a number into an .npz file."""
    if path.suffix != ".npz":
        raise ValueError(f"-o must name an .npz file, not {str(path)!r}")
    fields = {field.name: getattr(qweight, field.name) for field in dataclasses.fields(qweight)}
    plain = {name: np.asarray(value) for name, value in fields.items()
             if value is not None and not isinstance(value, dict)}
    plain["codes"] = qweight.codes
    for fmt, values in fields.get("special_values", {}).items():
        plain[f"special_{fmt.name.lower()}"] = np.asarray(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **plain)


def _norm(tensor):
    """Name of the norm in front of a tensor such as ``blk.0.ffn_up.weight``; None where there is none."""
    block, _, layer = tensor.removesuffix(".weight").rpartition(".")
    return f"{block}.{_NORMS[layer]}.weight" if layer in _NORMS else None


def _shape(path, tensor):
    return weights.list_tensors(path).get(tensor)


def _read_array(path):
    if not Path(path).is_file():
        raise ValueError(f"--activations: no such file: {path}")
    try:
        loaded = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile):
        raise ValueError(f"--activations: {path} is not a whole .npy or .npz file of numbers") from None
    if not isinstance(loaded, np.ndarray):
        name = loaded.files[0] if len(loaded.files) == 1 else "activations"
        if name not in loaded.files:
            raise ValueError(f"--activations: {path} must hold one array, or one named 'activations', "
                             f"not {loaded.files}")
        loaded = loaded[name]
    if not np.issubdtype(loaded.dtype, np.floating) and not np.issubdtype(loaded.dtype, np.integer):
        raise ValueError(f"--activations: {path} must hold numbers, not {loaded.dtype}")
    return loaded
