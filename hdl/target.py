# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What a circuit is synthesized for: gates, or the carry chains and multipliers of an FPGA.

The same circuit, cycle for cycle, in two spellings. For silicon additions are drawn in gates, since logic synthesis makes
of ``+`` a chain with a gate a bit. An FPGA has such chains wired, and multipliers too: there ``+`` and ``*`` win.
"""

__all__ = ["ASIC", "FPGA", "TARGETS", "is_fpga"]

ASIC, FPGA = TARGETS = ("asic", "fpga")


def is_fpga(platform) -> bool:
    """Whether a design that is elaborated for this platform goes to an FPGA; a platform without ``target`` means gates."""
    return getattr(platform, "target", ASIC) == FPGA
