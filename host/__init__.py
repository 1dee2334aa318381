# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""How software reaches hardware: the serial protocol, and the driver of an accelerator in front of a memory."""

from .accelerator import Accelerator, AcceleratorError, Backend, MappedDevice

__all__ = ["Accelerator", "AcceleratorError", "Backend", "MappedDevice"]
