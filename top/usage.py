# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""How an engine is driven, for its manifest: all that is needed beside ports and layouts, and nothing of our code.

Formulas are of M, N, K, the shape of ``X[M, K] @ W[N, K].T``, and of the numbers that the manifest states.
"""

from collections.abc import Mapping

from ..golden.config import EngineConfig

__all__ = ["ERRORS", "usage"]

ERRORS = {
    "k_mismatch": (
        "`last` of weights and activations disagree; the tile ended with the earlier one",
        "send the same number of beats on both; reset, which alone brings the streams together again",
    ),
    "k_too_long": (
        "a tile has more beats than figures.largest_k / lanes, and its sums may have wrapped",
        "split K, or generate an engine with a larger limit",
    ),
    "scales_order": ("`last` of scales did not come with the tile's last group", "send one beat of scales a group; reset"),
    "format_changed": ("`format` changed within a group", "keep it from a group's first beat to its last"),
    "format_unsupported": (
        "`format` is none that this engine was generated for, and was worked on as one of a term",
        "send one of figures.terms, or generate an engine with it",
    ),
}
"""Errors of the shell: cause and remedy."""


def usage(
    config: EngineConfig,
    error_names: list[str],
    errors: Mapping[str, tuple[str, str]],
    beats: Mapping[str, str],
    codes: Mapping[str, object],
) -> dict[str, object]:
    """JSON-ready description.

    Parameters
    ----------
    config : EngineConfig
    error_names : list of str
        Bits of the port ``errors``, from 0 up.
    errors : mapping of str to (str, str)
        Cause and remedy of those that the core finds.
    beats : mapping of str to str
        What the core says of a stream's beat, in place of the usual.
    codes : mapping
        What the bits of weights stand for.
    """
    causes = {**ERRORS, **errors}
    return {
        "tiles": {
            "rows": config.rows,
            "cols": config.cols,
            "count": "ceil(M / rows) * ceil(N / cols)",
            "order": "for each tile of cols outputs: for each tile of rows tokens; the same on every stream",
            "filled": "rows and columns beyond M and N are sent as zeros (scales of columns as 1), and their results ignored",
        },
        "streams": {name: _stream(name, config) | ({"beat": beats[name]} if name in beats else {}) for name in config.streams},
        "words": "payload bit 0 is bit 0 of byte 0 of a word, and bits beyond the payload are 0; of an array, element [0] is "
        "lowest and its last index runs fastest; floating-point fields are IEEE 754's",
        "errors": [
            {"bit": bit, "name": name, "cause": causes[name][0], "remedy": causes[name][1]}
            if name in causes
            else {"bit": bit, "name": name}
            for bit, name in enumerate(error_names)
        ],
        "errors_stay": "a bit of errors stays set until clear_errors is high for a cycle",
        "codes": dict(codes),
    }


def _stream(name, config):
    """What a beat is, when it is taken, how many there are a tile, and what `last` says."""
    group = "group" if config.timing.scaled == "group" else "pass"
    many = config.max_groups > 1
    per_group = {"group_beats": config.group_beats} if many else {}
    elements = {
        "beat": f"{config.lanes} neighbours along K of each %s; in a tile's last one, those beyond K are zeros",
        "beats_per_tile": "ceil(K / lanes)",
        "lanes": config.lanes,
        **per_group,
        "taken": "weights and activations together, in the last cycle (term) of the beat's work",
        "last": "the tile's last beat",
    }
    return {
        "weights": {**elements, "beat": elements["beat"] % f"of {config.cols} columns"},
        "activations": {**elements, "beat": elements["beat"] % f"of {config.rows} rows"},
        "scales": {
            "beat": f"the scales of a {group} for all columns",
            "beats_per_tile": f"one a {group}: ceil(K / lanes) beats in groups of group_beats",
            **per_group,
            "taken": f"with the {group}'s last term",
            "last": "the tile's last one",
        },
        "constants": {
            "beat": "what results of a column are finished with",
            "beats_per_tile": "1",
            "taken": "when the tile's last results leave; it must be held until then",
        },
        "tokens": {
            "beat": "what results of a row are finished with",
            "beats_per_tile": "1",
            "taken": "when the tile's last results leave; it must be held until then",
        },
        "outputs": {
            "beat": f"{config.drain} neighbouring results of a row",
            "beats_per_tile": "rows * cols / drain",
            "drain": config.drain,
            "order": "rows ascending, in each the columns ascending",
            "taken": "whenever the consumer is ready",
            "last": "the tile's last beat",
        },
    }[name]
