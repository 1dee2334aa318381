# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Read Liberty, the format of cell libraries: groups, attributes, and the logic functions of cells.

The parsers on PyPI are under the GPL or unmaintained; what is needed here is little.
"""

import itertools
import re
from dataclasses import dataclass, field

__all__ = ["Group", "numbers", "operands", "parse", "truth_table"]

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STATEMENT = re.compile(r"""
    \s*;*\s* (?: (?P<close>\})
      | (?P<name>[^\s:(){};"]+) \s* (?:
            : \s* (?P<value>"[^"]*"|[^;\n"{}]*)
          | \( (?P<arguments>(?:"[^"]*"|[^()"])*) \) \s* (?P<open>\{)? )
      | (?P<end>\Z))""", re.VERBOSE)


@dataclass
class Group:
    """``kind (arguments) { ... }``.

    Attributes
    ----------
    kind, arguments : str
        Quotes are removed.
    attributes : dict of str to str
        Of ``name : value;`` and of ``name (values);``, the last one if there are several.
    groups : list of Group
    """

    kind: str
    arguments: str
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    def find(self, kind):
        """Groups of this kind, in their order."""
        return [group for group in self.groups if group.kind == kind]


def parse(text, source):
    """The library that a Liberty text holds.

    Parameters
    ----------
    text : str
    source : object
        Names the text in messages.

    Raises
    ------
    ValueError
        Where the text is not Liberty, with its line.
    """
    text = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text).replace("\\\n", " \n")
    root = Group("", "")
    open_groups, position = [root], 0
    while True:
        statement = _STATEMENT.match(text, position)
        if statement is None or statement["close"] and len(open_groups) == 1:
            raise _broken(source, text, position, "a statement")
        position = statement.end()
        if statement["close"]:
            open_groups.pop()
        elif statement["open"]:
            group = Group(statement["name"], _unquoted(statement["arguments"]))
            open_groups[-1].groups.append(group)
            open_groups.append(group)
        elif statement["name"]:
            value = statement["value"] if statement["value"] is not None else statement["arguments"]
            open_groups[-1].attributes[statement["name"]] = _unquoted(value)
        else:
            break
    if len(open_groups) > 1:
        raise _broken(source, text, position, f"the end of {open_groups[-1].kind} ({open_groups[-1].arguments})")
    if [group.kind for group in root.groups] != ["library"]:
        raise ValueError(f"{source} is not a Liberty file: it must hold one library")
    return root.groups[0]


def _unquoted(value):
    return value.replace('"', "").strip()


def _broken(source, text, position, expected):
    line = text.count("\n", 0, position) + 1
    shown = " ".join(text[position:position + 60].split())
    return ValueError(f"{source} is not a Liberty file: line {line} must have {expected}, not {shown!r}")


def numbers(value):
    """Numbers of an ``index`` or ``values`` attribute."""
    return [float(number) for number in re.findall(r"[-+.\deE]+", value)]


def operands(function):
    """Names in a function, in their order; the constants 0 and 1 are none."""
    return list(dict.fromkeys(token for token in re.findall(r"\w+", function) if token not in ("0", "1")))


def truth_table(function, pins):
    """Values of a function for all values of the pins, the first one changing slowest; None if it has other operands.

    ``!a`` and ``a'`` negate; ``a & b``, ``a * b`` and ``a b`` are AND, ``a ^ b`` is XOR, ``a | b`` and ``a + b`` are OR.
    """
    tokens = re.findall(r"\w+|[^\s\w]", function)
    if not set(filter(str.isidentifier, tokens)) <= set(pins):
        return None
    return tuple(_Expression(tokens, dict(zip(pins, values))).value
                 for values in itertools.product((False, True), repeat=len(pins)))


class _Expression:
    """The value of an expression: recursive descent over its tokens."""

    def __init__(self, tokens, values):
        self._tokens, self._values = [*tokens, ""], values
        self.value = self._or()

    def _or(self):
        value = self._and()
        while self._tokens[0] in ("|", "+"):
            self._tokens.pop(0)
            value |= self._and()
        return value

    def _and(self):
        value = self._xor()
        while self._tokens[0] not in ("|", "+", ")", ""):
            if self._tokens[0] in ("&", "*"):
                self._tokens.pop(0)
            value &= self._xor()
        return value

    def _xor(self):
        value = self._operand()
        while self._tokens[0] == "^":
            self._tokens.pop(0)
            value ^= self._operand()
        return value

    def _operand(self):
        token = self._tokens.pop(0)
        if token == "!":
            return not self._operand()
        if token == "(":
            value = self._or()
            self._tokens.pop(0)
        else:
            value = self._values.get(token, token == "1")
        while self._tokens[0] == "'":
            self._tokens.pop(0)
            value = not value
        return value
