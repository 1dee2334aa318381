# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Drawings that take the page's colours, so that one SVG is read on light and on dark."""

import re

INK, PAPER = "#010203", "#fdfeff"
"""What a drawing is made with where it means the colour of the page's text, and of its background."""
_BLACK = re.compile(r"(?<![\w#])(?:#000000|#000|black)(?![\w])")
_WHITE = re.compile(r"(?<![\w#])(?:#ffffff|#fff|white)(?![\w])")


def inline(text):
    """A drawing's ``<svg>`` for the inside of a page: its own colours for black and white, and as wide as it fits."""
    text = text[text.index("<svg"):]
    for ink in (INK, INK.upper()):
        text = text.replace(ink, "currentColor")
    text = text.replace(PAPER, "var(--color-background-primary)")
    text = _WHITE.sub("var(--color-background-primary)", _BLACK.sub("currentColor", text))
    return re.sub(r"<svg\b", '<svg style="max-width:100%;height:auto"', text, count=1)
