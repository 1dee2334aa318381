# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Cells that an array repeats: written once as a module and instantiated, where the platform can do so."""

__all__ = ["CellPlatform", "place"]


class CellPlatform:
    """A platform that makes each named cell a module of its own; :class:`subbyte.top.emit.VerilogCells` is one."""

    def instance(self, name, make, arguments, options):
        """An interface like that of ``make(*arguments, **options)``, and what is added to a design in its place."""
        raise NotImplementedError


def place(m, platform, submodule, name, make, *arguments, **options):
    """Add a cell that an array repeats to a module that is being elaborated.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    platform : object
        The argument of ``elaborate``. Unless it is a :class:`CellPlatform` (Amaranth's simulator, another flow)
        the component itself is added.
    submodule : str
        Its name within ``m``.
    name : str
        What it is called; its Verilog module is named after the top and this. One name stands for one circuit: other
        arguments under it raise ValueError.
    make : callable
        The component's class. Its state, if it has any, is in the domain ``sync``.
    arguments, options
        Passed to ``make``; compared by ``==``.

    Returns
    -------
    object with the component's members, to connect to
    """
    if isinstance(platform, CellPlatform):
        interface, m.submodules[submodule] = platform.instance(name, make, arguments, options)
    else:
        interface = m.submodules[submodule] = make(*arguments, **options)
    return interface
