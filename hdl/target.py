# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What a circuit is synthesized for: gates, or the carry chains and multipliers of an FPGA.

The same circuit, cycle for cycle, in two spellings. For silicon additions are drawn in gates, since logic synthesis makes
of ``+`` a chain with a gate a bit. An FPGA has such chains wired, and multipliers too: there ``+`` and ``*`` win. A third
spelling is the second, with tables of AMD's 7 series placed by name where synthesis would take two for one.
"""

__all__ = ["ASIC", "FPGA", "TARGETS", "XILINX_7", "has_dual_tables", "is_fpga"]

ASIC, FPGA, XILINX_7 = TARGETS = ("asic", "fpga", "xilinx-7")


def is_fpga(platform) -> bool:
    """Whether a design that is elaborated for this platform goes to an FPGA; a platform without ``target`` means gates."""
    return getattr(platform, "target", ASIC) != ASIC


def has_dual_tables(platform) -> bool:
    """Whether :func:`~subbyte.hdl.dual_table.dual_table` may be placed."""
    return getattr(platform, "target", ASIC) == XILINX_7
