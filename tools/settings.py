# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`--set key=value`: text to the fields of a config, whose own checks then judge the values."""

import dataclasses
import enum
import types
import typing

from .hints import near

__all__ = ["make_config", "parse_settings", "parse_stored"]


def parse_settings(config, settings):
    """Parse ``key=value`` texts by the types of a dataclass's fields.

    Parameters
    ----------
    config : type
        A dataclass.
    settings : sequence of str
        Elements of a tuple are separated by commas; ``none`` is None where the field allows it.

    Returns
    -------
    dict of str to object

    Raises
    ------
    ValueError
        For a text without ``=``, an unknown key (with near ones), or a value that is no such thing.
    """
    types_of = typing.get_type_hints(config)
    names = [field.name for field in dataclasses.fields(config)]
    parsed = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            raise ValueError(f"--set must be KEY=VALUE, not {setting!r}")
        if key not in names:
            raise ValueError(f"--set {key}: {config.__name__} has no such parameter{near(key, names)}; "
                             f"it has {', '.join(names)}")
        parsed[key] = _parse(key, text.strip(), types_of[key])
    return parsed


def parse_stored(config, stored):
    """Likewise of a mapping out of a file, whose sequences are lists."""
    return parse_settings(config, [f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}"
                                   for key, value in stored.items()])


def make_config(config, settings, usual=()):
    """An instance of the dataclass `config` with what ``key=value`` texts set; its own checks raise ValueError.

    ``usual`` holds parameters that stand where no text says otherwise.
    """
    return config(**{**dict(usual), **parse_settings(config, settings)})


def _parse(key, text, kind):
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if text.lower() == "none" and type(None) in arguments:
            return None
        return _parse(key, text, next(argument for argument in arguments if argument is not type(None)))
    if origin is tuple:
        return tuple(_parse(key, part.strip(), arguments[0]) for part in text.split(","))
    if kind is bool:
        return _choice(key, text.lower(), {"true": True, "false": False, "1": True, "0": False})
    if kind is int:
        try:
            return int(text, 0)
        except ValueError:
            raise ValueError(f"{key} must be an integer, not {text!r}") from None
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _choice(key, text.upper(), {member.name.upper(): member for member in kind})
    return kind(text)


def _choice(key, text, choices):
    if text not in choices:
        raise ValueError(f"{key} must be one of {', '.join(choices)}, not {text!r}{near(text, choices)}")
    return choices[text]
