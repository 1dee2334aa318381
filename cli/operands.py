# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Operands of a command: weights out of a model file, taken as they are or quantized; activations from where there are some."""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import models, weights
from ..explore import load_mixed
from ..schemes import Stored, load, stored_tensors
from ..sim.engine_run import rms
from ..tools.outputs import whole_file
from ..tools.settings import make_config

__all__ = ["Operand", "Request", "load_activations", "of_mixed", "operand", "product_of", "save_arrays"]

# The norm in front of each linear layer whose input is a normalised embedding, in Llama-like names of GGUF and Hugging Face.
_NORMS = {
    "attn_q": "attn_norm",
    "attn_k": "attn_norm",
    "attn_v": "attn_norm",
    "ffn_up": "ffn_norm",
    "ffn_gate": "ffn_norm",
    "self_attn.q_proj": "input_layernorm",
    "self_attn.k_proj": "input_layernorm",
    "self_attn.v_proj": "input_layernorm",
    "mlp.up_proj": "post_attention_layernorm",
    "mlp.gate_proj": "post_attention_layernorm",
}


@dataclass(frozen=True)
class Request:
    """What a user asks of a tensor: rows ``A:B``, a matrix of several experts, a format, parameters, no loss, a prescale."""

    path: str
    tensor: str | None = None
    rows: str | None = None
    expert: int | None = None
    fmt: str | None = None
    settings: tuple[str, ...] = ()
    exact: bool = False
    prescale: bool = False

    @property
    def keys(self) -> frozenset[str]:
        """Parameters that the user gave."""
        return frozenset(setting.partition("=")[0] for setting in self.settings)


@dataclass(frozen=True, eq=False)
class Operand:
    """A quantized weight, and what there is to say of it.

    Attributes
    ----------
    qweight, config, fmt
        The scheme's weight, a config that takes it, the name of its format.
    weight : float32 [N, K]
        What the file means, columns as in qweight.
    tensor : str
    taken : str
        What was done with what the file holds, for people.
    error : float
        Rms of the difference of both.
    settings : tuple of str
        Parameters of the config beside the defaults.
    warnings : list of str
    source : mapping
    order : int64 [K] or None
        See :class:`subbyte.weights.QuantizedTensor`.
    """

    qweight: Any
    config: Any
    fmt: str
    weight: np.ndarray = field(repr=False)
    tensor: str
    taken: str
    settings: tuple[str, ...]
    warnings: list[str]
    source: Mapping[str, Any]
    order: np.ndarray | None = None

    def stored(self, scheme) -> Stored:
        """As it goes into a file."""
        source = {**self.source, "taken": self.taken, "error_rms": rms(self.error), "weight_rms": rms(self.weight)}
        return Stored(scheme.name, self.tensor, self.fmt, self.qweight, self.settings, source, self.order)

    @property
    def error(self) -> np.ndarray:
        """Of each weight."""
        return self.qweight.dequantize() - self.weight


def operand(scheme, request: Request) -> Operand:
    """The tensor as an engine of a scheme takes it: with its codes as they are, if it holds such; else quantized.

    Raises
    ------
    ValueError
        If it cannot be read, or the request cannot be met.
    """
    config = make_config(scheme.Config, request.settings)
    entries = stored_tensors(request.path)
    if entries:
        return _stored(scheme, request)
    reader = weights.open_file(request.path)
    if request.tensor is None:
        raise ValueError(f"{request.path}: --tensor must name one of its tensors; `subbyte inspect {request.path}` lists them")
    rows = _rows(request.rows, reader, request.tensor)
    kind = reader.type_of(reader.known(request.tensor))
    tensor = weights.load_quantized(request.path, request.tensor, rows, request.expert)
    if tensor is None:
        weight = weights.load_tensor(request.path, request.tensor, rows=rows, expert=request.expert)
        tensor = weights.as_ternary(weight, kind)
    else:
        weight = tensor.dequantize()
    source = {
        "file": str(Path(request.path).absolute()),
        "type": kind,
        "rows": request.rows,
        "expert": request.expert,
        "sha256": hashlib.sha256(weight.tobytes()).hexdigest(),
    }
    reason = ""
    if tensor is not None:
        taken, reason = _take(scheme, tensor, request, config)
        if taken is not None:
            qweight, fmt, config, settings = taken
            loss = rms(qweight.dequantize() - weight)
            how = f"as it is, from {kind}, exactly"
            if loss:
                share = loss / (rms(weight) or 1)
                how = f"codes as they are, from {kind}; scales rounded, {loss:.3e} rms ({share:.2%} of the weights')"
            if loss and request.exact:
                raise ValueError(
                    f"{request.path}: tensor {request.tensor!r} of type {kind} cannot be taken exactly: scales would be "
                    f"rounded, {loss:.3e} rms; without --exact they are"
                )
            return Operand(qweight, config, fmt, weight, request.tensor, how, settings, [], source, tensor.order)
    fmt = scheme.format_for(request.fmt, config)
    if request.exact:
        why = reason or f"{kind} holds numbers, not codes"
        raise ValueError(
            f"{request.path}: tensor {request.tensor!r} cannot be taken exactly: {why}; without --exact it is quantized"
        )
    options = {}
    if request.prescale:
        options = {"prescale": scheme.prescale(weight)}
        if options["prescale"] is None:
            raise ValueError(f"--prescale is for schemes that compute scales in binary16, not {scheme.name}")
    try:
        qweight = scheme.quantize(weight, fmt, config, **options)
    except ValueError as error:
        hint = "" if options or scheme.prescale(weight) is None else "; --prescale brings any tensor into range"
        raise ValueError(f"{request.path}: tensor {request.tensor!r}: {error}{hint}") from None
    how = (
        f"anew, from {kind}"
        + (f": {reason}" if reason else "")
        + (f"; after a product with 2**{options['prescale']}" if options else "")
    )
    return Operand(
        qweight,
        config,
        fmt,
        weight,
        request.tensor,
        how,
        request.settings,
        scheme.losses(weight, qweight),
        source,
        None if tensor is None else tensor.order,
    )


def _take(scheme, tensor, request, config):
    """What :func:`operand` needs of a tensor whose codes can be taken, or None; and why not."""
    suited = {name: value for name, value in scheme.suited(tensor).items() if name not in request.keys}
    more = tuple(f"{name}={value}" for name, value in suited.items() if getattr(config, name) != value)
    reason = ""
    for settings in dict.fromkeys([request.settings + more, request.settings]):
        try:
            candidate = make_config(scheme.Config, settings)
            fmt = request.fmt and scheme.format_for(request.fmt, candidate)
            return (*scheme.take(tensor, fmt, candidate), candidate, settings), ""
        except ValueError as error:
            reason = reason or str(error)
    return None, reason


def _stored(scheme, request):
    """A tensor that `subbyte quantize` wrote."""
    stored = load(request.path, request.tensor)
    if stored.scheme != scheme.name:
        raise ValueError(f"{request.path}: tensor {stored.tensor!r} is quantized for {stored.scheme}, not for {scheme.name}")
    for option, value in (
        ("--rows", request.rows),
        ("--expert", request.expert),
        ("--prescale", request.prescale or None),
        ("--format", request.fmt if request.fmt != stored.fmt else None),
    ):
        if value is not None:
            raise ValueError(
                f"{request.path}: tensor {stored.tensor!r} is quantized as {stored.fmt} already: {option} is for "
                "`subbyte quantize`"
            )
    settings = (*stored.settings, *request.settings)
    source = {**stored.source, "file": str(stored.source.get("file", request.path))}
    return Operand(
        stored.qweight,
        make_config(scheme.Config, settings),
        stored.fmt,
        stored.qweight.dequantize(),
        stored.tensor,
        f"as it is, quantized by subbyte {stored.version} from {source.get('type', 'a tensor')}",
        settings,
        [],
        source,
        stored.order,
    )


def _rows(text, reader, tensor):
    """``A:B`` as rows of a tensor that has them."""
    count = reader.shape(tensor)[-2] if len(reader.shape(tensor)) > 1 else 0
    rows = _slice(text)
    if text is not None and not 0 <= (rows.start or 0) < (count if rows.stop is None else rows.stop) <= count:
        raise ValueError(f"--rows must be A:B with 0 <= A < B <= {count}, not {text!r}")
    return rows


def _slice(text):
    """``A:B`` or None as a slice."""
    if text is None:
        return slice(None)
    try:
        start, stop = (int(part) if part else None for part in text.split(":"))
    except ValueError:
        raise ValueError(f"--rows must be A:B with integers, such as 0:64, not {text!r}") from None
    return slice(start or 0, stop)


def of_mixed(scheme, request: Request, path) -> Request:
    """The request with the format and the parameters that a file of formats has for its tensor."""
    mixed = load_mixed(path).check(scheme)
    if request.fmt is not None:
        raise ValueError(f"--format must not be given with --mixed, which has the tensor's, not {request.fmt!r}")
    if request.tensor is None:
        raise ValueError("--tensor must name a layer of --mixed")
    fmt = mixed.format_of(request.tensor)
    given = {**mixed.settings, **scheme.format_settings.get(fmt, {})}
    settings = tuple(f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}" for key, value in given.items())
    return replace(request, fmt=fmt, settings=(*settings, *request.settings))


def product_of(scheme, taken: Operand, activations=None, tokens=None, bias=None):
    """The product of a weight with activations, before anything is built.

    Parameters
    ----------
    scheme : Scheme
    taken : Operand
    activations, tokens
        As of :func:`load_activations`.
    bias : str or None
        Name of a vector [N] in the weight's file that is added.

    Returns
    -------
    exact : float64 [M, N]
        What the layer gives without quantization; activations that are not finite count as zero, as in the engine.
    product : Product
    origin : str
        Of the activations.
    derived : str
        What else was derived from them, if anything.
    """
    file, k = taken.source["file"], taken.weight.shape[1]
    x, origin = load_activations(file, taken.tensor, activations, tokens, k)
    x = x if taken.order is None else x[:, taken.order]
    added = None
    if bias is not None:
        added = weights.load_tensor(file, bias, ndim=1)[_slice(taken.source.get("rows"))]
        if len(added) != len(taken.weight):
            raise ValueError(
                f"{file}: bias {bias!r} must have an element for each of {len(taken.weight)} rows, not {len(added)}"
            )
    try:
        if _is_reading(activations):  # the layer's place in the model is known, and decides
            normalised = _norm(taken.tensor) is not None
            operand, terms = scheme.site(x, taken.weight, taken.qweight.dequantize(), taken.config, normalised)
        else:
            operand, terms = scheme.activations(x, taken.config), {}
    except ValueError as error:
        raise ValueError(f"activations of {origin}: {error}") from None
    terms, derived = scheme.derived(operand, taken.qweight, taken.config, added, **terms)
    exact = np.where(np.isfinite(x), x, 0).astype(np.float64) @ taken.weight.astype(np.float64).T
    return (
        exact + (0 if added is None else added),
        scheme.product(operand, taken.qweight, taken.config, **terms),
        origin,
        derived,
    )


def load_activations(path, tensor, given, tokens, k):
    """Activations for a tensor, and a word on where they are from.

    Parameters
    ----------
    path, tensor : str
        The weights' file and tensor: a model's own embeddings, or an array ``activations`` beside the weights, serve if
        nothing is given.
    given : str or None
        A .npy file, or an .npz file with one array or one named ``activations``; or a text that the model is to read, as
        :meth:`subbyte.models.Reading.parse` has it.
    tokens : int or None
        Rows wanted; repeated if there are fewer. None: all that are given, else one.
    k : int
        Columns that there must be.

    Returns
    -------
    x : float ndarray [tokens, k]
    origin : str
    """
    wanted = tokens or 1
    if _is_reading(given):
        x = models.activations(path, tensor, given, tokens)
        origin, wanted = f"{given}, read by the model", tokens
    elif given is not None:
        x, origin, wanted = _read_array(given), given, tokens
    elif Path(path).suffix == ".npz" and Path(path).exists() and (found := _shape(path, "activations")):
        x, origin = weights.load_tensor(path, "activations"), f"{Path(path).name}, {found[0]} tokens"
    else:
        x, origin = _of_model(path, tensor, wanted, k)
    if x.ndim != 2 or x.shape[1] != k or not len(x):
        raise ValueError(f"activations must have the shape [M, {k}] for tensor {tensor!r}, not {list(x.shape)}")
    wanted = len(x) if wanted is None else wanted
    if wanted < len(x):
        origin += f", the first {wanted} of {len(x)} rows"
    elif wanted > len(x):
        origin += f", its {len(x)} rows repeated"
    return _within_binary16(np.resize(x, (wanted, k)), origin), origin


def _is_reading(given):
    return given is not None and given.startswith(models.PREFIX)


def _of_model(path, tensor, tokens, k):
    """Normalised embeddings, if the model's file has what they take, else synthetic activations."""
    norm, why = _norm(tensor), "the file has none; see --activations"
    if norm is not None and Path(path).exists() and _shape(path, norm) == (k,):
        try:
            return weights.model_activations(path, tokens, norm)
        except weights.WeightFileError as error:
            why = f"the model's cannot be had: {error}"
    # Log-normal magnitudes: like a layer's real inputs, a few are far larger than the rest.
    normal = np.random.default_rng(1).standard_normal((2, tokens, k))
    return normal[0] * np.exp(normal[1]), f"synthetic ({why})"


def _within_binary16(x, origin):
    """Activations, if what is finite stays so in binary16: an infinity would count as zero, or give no result."""
    with np.errstate(over="ignore"):
        lost = np.isfinite(x) & np.isinf(x.astype(np.float16))
    if lost.any():
        where = tuple(np.argwhere(lost)[0].tolist())
        raise ValueError(f"activations must be within binary16, +-65504, not {x[where]:g} at {where} of {origin}")
    return x


def save_arrays(path, scheme, qweight):
    """Arrays of a quantized weight, by the names of its fields, as an .npz file for NumPy."""
    fields = {**vars(qweight), **scheme.to_fields(qweight)}
    plain = {name: np.asarray(value) for name, value in fields.items() if value is not None and not isinstance(value, dict)}
    plain["codes"] = qweight.codes
    for fmt, values in fields.get("special_values", {}).items():
        plain[f"special_{fmt.lower()}"] = np.asarray(values)
    with whole_file(path) as unfinished:
        np.savez_compressed(unfinished, allow_pickle=False, **plain)


def _norm(tensor):
    """Name of the norm in front of a tensor such as ``blk.0.ffn_up.weight``; None where there is none."""
    stem = tensor.removesuffix(".weight")
    layer = next((layer for layer in _NORMS if stem.endswith(f".{layer}")), None)
    return layer and f"{stem.removesuffix(layer)}{_NORMS[layer]}.weight"


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
            raise ValueError(f"--activations: {path} must hold one array, or one named 'activations', not {loaded.files}")
        loaded = loaded[name]
    if not np.issubdtype(loaded.dtype, np.floating) and not np.issubdtype(loaded.dtype, np.integer):
        raise ValueError(f"--activations: {path} must hold numbers, not {loaded.dtype}")
    return loaded
