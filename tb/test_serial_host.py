# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The serial host: its protocol by itself, and a BitMoD engine driven through the line bit by bit."""

from dataclasses import asdict, replace
from math import ceil

import numpy as np
import pytest

from subbyte.golden import bitmod
from subbyte.golden.bitmod import BitModConfig, quantize
from subbyte.golden.bitmod.formats import Format
from subbyte.hdl.uart import UartReceiver, UartTransmitter
from subbyte.host.serial import Report, SerialError, SerialPorts, SerialSession
from subbyte.sim.cocotb_run import resolve_seed, run_bench
from subbyte.tb.serial_tops import FaultySerialTop
from subbyte.top.bitmod import BitModEngine
from subbyte.top.emit import to_verilog

CONFIG = BitModConfig(rows=2, cols=2, lanes=4, group_size=32, drain=1, formats=(Format.INT4, Format.FP3))
SPECIAL = (7, -5, 0, -8)
DIVISOR = 8


def product(rng, config, k, *, infinite=False):
    """Words of a product, a ragged tile of it included."""
    qweight = quantize(rng.normal(0, 0.02, (3, k)).astype(np.float32), "bitmod-fp3", group_size=32,
                       special_values=config.special_values)
    x = rng.normal(0, 1, (2, k)).astype(np.float16)
    if infinite:
        x[0, 0] = np.inf
    y, flags = bitmod.matmul(x, qweight, config, flags=True)
    streams = bitmod.pack(qweight, config, m_tiles=1)
    streams["activations"] = bitmod.pack_activations(x, config, n_tiles=ceil(3 / config.cols))
    streams["outputs"] = bitmod.pack_outputs(y, flags.nonfinite, config)
    return streams


@pytest.mark.parametrize("skew", [0.97, 1.03])
def test_an_engine_behind_the_line(skew):
    """Bit for bit as golden, with a host whose clock is off by 3 %; flags, settings and breaks; each kept fault is seen."""
    seed = resolve_seed()
    rng = np.random.default_rng(seed)
    written = replace(CONFIG, special_fp3=SPECIAL)
    products = [product(rng, CONFIG, 72), product(rng, written, 32), product(rng, written, 4, infinite=True)]
    name, top = "serial_top_faulty", FaultySerialTop(BitModEngine(CONFIG), DIVISOR, 64)
    parameters = {
        "ports": asdict(top.host.ports),
        "divisor": DIVISOR,
        "skew": skew,
        "writes": [value & 63 | selector << 6 | 1 << 9 for selector, value in enumerate(SPECIAL)],
        "seed": seed,
        **{f"{stream}_{i}": words for i, streams in enumerate(products) for stream, words in streams.items()},
    }
    run_bench(to_verilog(top, name, target="fpga"), name, "subbyte.tb.bench_serial_host", parameters=parameters, seed=seed,
              testcase="no_fault" if skew < 1 else None, random_power_up=False)  # FPGAs load initial values


PORTS = SerialPorts({"a": 12, "b": 1}, {"y": 9}, {"mode": 3}, ("late", "wrong"), buffer_bytes=4)


def identified():
    """A session whose device has reported."""
    session = SerialSession(PORTS)
    session.feed(b"\x12\xc0\x55" + bytes([Report.IDENTITY << 6, 1]) + PORTS.identity.to_bytes(4, "little"))
    assert session.identified
    return session


def words(*values):
    """Words of two bytes."""
    return np.array([[value & 255, value >> 8] for value in values], np.uint8)


def test_words_go_out_in_turns_as_far_as_there_is_room():
    session = identified()
    session.set("mode", 5)
    session.queue({"a": words(0x801, 0x802, 0x803), "b": np.ones((1, 1), np.uint8)})
    assert session.to_send() == bytes([0x40, 5, 0x00, 0x01, 0x08, 0x01, 1, 0x00, 0x02, 0x08])
    assert session.to_send() == b"" and not session.done
    session.feed(bytes([0x40]))
    assert session.to_send() == bytes([0x00, 0x03, 0x08])
    session.feed(bytes([0x40, 0x41, 0x40]))
    assert session.done


def test_reports_may_come_in_pieces():
    session = identified()
    for byte in (0x00, 0x23, 0x01, 0x80, 0b10, 0b01, 0x00, 0xFF):
        session.feed(bytes([byte]))
    assert session.outputs == {"y": [0x123]}
    assert session.status == {"overrun": False, "unknown_command": True, "late": True, "wrong": False}


@pytest.mark.parametrize("data, says", [
    (b"\x3f", "0x3f, which begins no report"),
    (b"\x40", "took a word of a that was not sent"),
    (bytes([0xC0, 1]) + PORTS.identity.to_bytes(4, "little"), "was reset"),
])
def test_a_device_that_breaks_the_protocol_is_named(data, says):
    with pytest.raises(SerialError, match=says):
        identified().feed(data)


def test_another_design_is_refused():
    with pytest.raises(SerialError, match="same parameters"):
        SerialSession(replace(PORTS, buffer_bytes=8)).feed(bytes([0xC0, 1]) + PORTS.identity.to_bytes(4, "little"))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="a must be a word of 12 bits, not 4096"):
        PORTS.word("a", 4096)
    with pytest.raises(ValueError, match=r"setting must be of \['mode'\], not 'a'"):
        PORTS.setting("a", 1)
    with pytest.raises(ValueError, match="buffer_bytes must be at least 2"):
        replace(PORTS, buffer_bytes=1)
    with pytest.raises(ValueError, match="divisor must be at least 4"):
        UartReceiver(3)
    with pytest.raises(TypeError, match="divisor must be an integer"):
        UartTransmitter(8.0)
