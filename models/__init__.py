# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole language models in NumPy, so that formats and engines meet the activations and the text of a real one."""

from .blocks import LINEARS, Site
from .capture import PREFIX, Reading, activations, inputs_of, mean_products, mean_squares, read_tokens, watch
from .decoder import forward, hidden, logits, plain
from .files import Config, HeldModel, Model
from .opening import open_model
from .perplexity import TEXT, WINDOW, Perplexity, divergence, log_shares, perplexity, windows
from .tokenizer import open_tokenizer
from .uniform import Uniform
from .writer import Writer

__all__ = [
    "LINEARS", "PREFIX", "TEXT", "WINDOW", "Config", "HeldModel", "Model", "Perplexity", "Reading", "Site", "Uniform",
    "Writer", "activations", "divergence", "forward", "hidden", "inputs_of", "log_shares", "logits", "mean_products",
    "mean_squares", "open_model", "open_tokenizer", "perplexity", "plain", "read_tokens", "watch", "windows",
]
