# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""An engine behind the serial host, Verilated, at the other end of a line with pyserial's names."""

from pathlib import Path

from ..top import emit
from ..top.serial_host import SerialTop
from .commanded import CommandedModel
from .verilate import build

__all__ = ["SimulatedLine"]

_DRIVER = "serial_driver.cpp"
_TIMEOUT_BITS = 100


class SimulatedLine:
    """A line to a compiled :class:`~subbyte.top.serial_host.SerialTop`; a process of its own, which ends with :meth:`close`.

    Parameters
    ----------
    scheme : Scheme
    config : EngineConfig
    divisor : int
        Cycles of a bit.

    Attributes
    ----------
    ports : SerialPorts
        Of the engine.
    """

    def __init__(self, scheme, config, *, divisor=8):
        design = SerialTop(scheme.part("engine").make(config), divisor)
        self.ports, top = design.host.ports, f"{scheme.name}_serial"
        sources = {_DRIVER: Path(__file__).with_name(_DRIVER).read_text()}
        folder = build(emit.to_verilog(design, top, target="fpga"), top, kind="stream", sources=sources,
                       random_power_up=False)  # FPGAs load initial values
        self._model = CommandedModel(folder / "model", divisor)
        self._came = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End the process."""
        self._model.close()

    def _ask(self, command):
        self._came += bytes.fromhex(self._model.ask(command)[1:])

    @property
    def in_waiting(self):
        """Bytes that have come and were not read."""
        return len(self._came)

    def read(self, size):
        """So many bytes, or fewer if none comes for a while."""
        if not self._came:
            self._ask(f"r {_TIMEOUT_BITS}")
        data = bytes(self._came[:size])
        del self._came[:size]
        return data

    def write(self, data):
        """Send bytes; time passes until they are sent."""
        self._ask(f"x {data.hex()}")

    def send_break(self, duration=0.25):
        """Hold the line low: for longer than a byte, whatever ``duration`` is."""
        self._ask("b")

    def reset_input_buffer(self):
        """Forget what has come."""
        self._came.clear()
