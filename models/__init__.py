# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole language models in NumPy, so that formats and engines meet the activations and the text of a real one."""

from .capture import activations
from .decoder import LINEARS, Site, forward, hidden, logits, plain
from .files import Config, Model, open_model
from .perplexity import TEXT, Perplexity, perplexity, windows
from .tokenizer import open_tokenizer

__all__ = [
    "LINEARS", "TEXT", "Config", "Model", "Perplexity", "Site", "activations", "forward", "hidden", "logits", "open_model",
    "open_tokenizer", "perplexity", "plain", "windows",
]
