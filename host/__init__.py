# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""How software reaches hardware: the driver of an accelerator, by a memory or a serial line; the serial protocol."""

from .accelerator import Accelerator, AcceleratorError, Backend
from .memory_backend import MappedDevice, MemoryBackend
from .serial_backend import SerialDevice

__all__ = ["Accelerator", "AcceleratorError", "Backend", "MappedDevice", "MemoryBackend", "SerialDevice"]
