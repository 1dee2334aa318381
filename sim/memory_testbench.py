# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A self-checking testbench of an accelerator's memory form in plain Verilog-2005, with a memory that holds one product.

Its AXI4-Lite tasks write the job, its memory answers bursts in order; then every word of the results is compared. The job
runs twice: first the memory never pauses, then all of its channels do, by chance.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..golden.memory import MemoryImage
from ..host.c_source import result_bytes
from ..schemes import Scheme
from ..tools.outputs import write_whole
from ..top import emit
from ..top.memory_accelerator import MemoryAccelerator
from ..top.registers import MagicId, register_map
from .testbench import hex_words, ragged_product

__all__ = ["make_memory_testbench", "write_memory_testbench"]

_BENCH = """\
module {top};
  localparam BYTES = {bytes}, BEATS = {beats}, RESULTS = {results}, FIRST_RESULT = {first}, IDS = {ids};
  reg clk = 0, rst = 1, pauses = 0;
  always #5 clk = ~clk;
{wires}
  {accelerator} dut ({ports});

  // The memory: bursts of reads in order, and of writes.
  reg [8*BYTES-1:0] memory [0:BEATS-1];
  reg [8*BYTES-1:0] expected [0:RESULTS-1];
  reg [31:0] read_at [0:255];
  reg [31:0] write_at [0:255];
  reg [7:0] read_more [0:255];
  reg [IDS-1:0] read_id [0:255];
  integer read_head = 0, read_tail = 0, write_head = 0, write_tail = 0, answers = 0, seed = 1, beat = 0, octet, failures = 0;
  reg [4:0] pause = 0;
  reg r_held = 0, b_held = 0;
  initial $readmemh("{top}_memory.hex", memory, 0, FIRST_RESULT - 1);
  initial $readmemh("{top}_expected.hex", expected);
  assign m_axi_arready = !rst && !pause[0] && read_tail - read_head < 255;
  assign m_axi_rvalid = !rst && read_head != read_tail && (r_held || !pause[1]);
  assign m_axi_rdata = m_axi_rvalid ? memory[read_at[read_head % 256] + beat] : {{8*BYTES{{1'bx}}}};
  assign m_axi_rid = read_id[read_head % 256];
  assign m_axi_rlast = beat == read_more[read_head % 256];
  assign m_axi_rresp = 0;
  assign m_axi_awready = !rst && !pause[2] && write_tail - write_head < 255;
  assign m_axi_wready = !rst && !pause[3] && write_head != write_tail;
  assign m_axi_bvalid = !rst && answers != 0 && (b_held || !pause[4]);
  assign m_axi_bid = 0;
  assign m_axi_bresp = 0;
  always @(posedge clk) begin
    pause <= pauses ? $random(seed) & $random(seed) : 0;
    r_held <= m_axi_rvalid && !m_axi_rready;
    b_held <= m_axi_bvalid && !m_axi_bready;
    if (m_axi_arvalid && m_axi_arready) begin
      read_at[read_tail % 256] = m_axi_araddr / BYTES;
      read_more[read_tail % 256] = m_axi_arlen;
      read_id[read_tail % 256] = m_axi_arid;
      read_tail <= read_tail + 1;
    end
    if (m_axi_rvalid && m_axi_rready) begin
      beat <= m_axi_rlast ? 0 : beat + 1;
      if (m_axi_rlast) read_head <= read_head + 1;
    end
    if (m_axi_awvalid && m_axi_awready) begin
      write_at[write_tail % 256] = m_axi_awaddr / BYTES;
      write_tail <= write_tail + 1;
    end
    if (m_axi_wvalid && m_axi_wready) begin
      if (write_at[write_head % 256] < FIRST_RESULT || write_at[write_head % 256] >= BEATS) begin
        failures = failures + 1;
        $display("FAIL: a write beyond the results, to beat %0d", write_at[write_head % 256]);
      end
      for (octet = 0; octet < BYTES; octet = octet + 1)
        if (m_axi_wstrb[octet]) memory[write_at[write_head % 256]][8*octet +: 8] <= m_axi_wdata[8*octet +: 8];
      write_at[write_head % 256] = write_at[write_head % 256] + 1;
      if (m_axi_wlast) write_head <= write_head + 1;
    end
    answers <= answers + (m_axi_wvalid && m_axi_wready && m_axi_wlast) - (m_axi_bvalid && m_axi_bready);
  end

  task write(input [31:0] address, input [31:0] value);
    reg address_taken, data_taken;
    begin
      @(negedge clk);
      s_axi_awaddr = address; s_axi_wdata = value; s_axi_awvalid = 1; s_axi_wvalid = 1;
      while (s_axi_awvalid || s_axi_wvalid) begin
        address_taken = s_axi_awready; data_taken = s_axi_wready;
        @(negedge clk);
        if (address_taken) s_axi_awvalid = 0;
        if (data_taken) s_axi_wvalid = 0;
      end
      while (!s_axi_bvalid) @(negedge clk);
      @(negedge clk);
    end
  endtask

  task read(input [31:0] address, output [31:0] value);
    begin
      @(negedge clk);
      s_axi_araddr = address; s_axi_arvalid = 1;
      while (!s_axi_arready) @(negedge clk);
      @(negedge clk);
      s_axi_arvalid = 0;
      while (!s_axi_rvalid) @(negedge clk);
      value = s_axi_rdata;
      @(negedge clk);
    end
  endtask

  task expect_value(input [31:0] address, input [31:0] value);
    reg [31:0] found;
    begin
      read(address, found);
      if (found !== value) begin
        failures = failures + 1;
        $display("FAIL: register %h is %h, not %h", address, found, value);
      end
    end
  endtask

  // The job, from START to the interrupt, and its results.
  task run(input with_pauses);
    integer left, at;
    begin
      pauses = with_pauses;
      for (at = 0; at < RESULTS; at = at + 1) memory[FIRST_RESULT + at] = {{8*BYTES{{1'bx}}}};
      write({control}, {start});
      left = {limit};
      while (irq !== 1'b1 && left > 0) begin @(negedge clk); left = left - 1; end
      if (irq !== 1'b1) begin
        failures = failures + 1;
        $display("FAIL: no interrupt came");
      end
      expect_value({errors}, {causes});
      write({errors}, 32'hffffffff);
      write({interrupt}, 32'hffffffff);
      for (at = 0; at < RESULTS; at = at + 1)
        if (memory[FIRST_RESULT + at] !== expected[at]) begin
          failures = failures + 1;
          if (failures <= 10) $display("FAIL: word %0d is %h, not %h", at, memory[FIRST_RESULT + at], expected[at]);
        end
    end
  endtask

  reg [31:0] cycles;
  initial begin
    repeat (4) @(negedge clk);
    rst = 0;
    expect_value({id}, {magic});
    write({enable}, 32'hffffffff);
{settings}
    run(0);
    read({count}, cycles);
    run(1);
    if (failures == 0) begin
      $display("PASS: %0d beats of results twice, in %0d cycles and with pauses", RESULTS, cycles);
      $finish;
    end
    $display("FAIL: %0d failures", failures);
    $stop;  // `vvp -N` ends with an exit code of 1 here
  end
endmodule
"""


def make_memory_testbench(
    manifest: Mapping[str, Any], image: MemoryImage, k: int, expected: np.ndarray, written: int, cycles: int, causes: int,
    source: str,
) -> dict[str, str]:
    """The texts of a testbench by the names of their files: ``<accelerator>_tb.v`` and what it reads.

    Parameters
    ----------
    manifest : mapping
        Of the accelerator, see :func:`subbyte.top.emit.manifest`.
    image : MemoryImage
        The product.
    k : int
    expected : uint8 [bytes]
        Results as they lie in memory.
    written : int
        How many of these bytes are: the last beat may end before.
    cycles : int
        About how many it takes: a hundred times that is the limit.
    causes : int
        What ERRORS must hold at the end.
    source : str
        Name of the accelerator's file.
    """
    name = manifest["name"]
    top, octets = f"{name}_tb", manifest["figures"]["bus_bytes"]
    beats, places = np.zeros((0, octets), np.uint8), {}
    for stream, array in image.images.items():
        places[stream] = len(beats) * octets
        beats = np.concatenate([beats, array.reshape(-1, octets)])
    first, results = len(beats), expected.reshape(-1, octets)
    settings = {"M": image.m, "N": image.n, "K": k, "FORMAT": image.format, "BEATS": image.beats["weights"],
                "ACTIVATION_BEATS": image.beats["activations"], "SCALE_BEATS": image.beats.get("scales", 0)}
    for stream, array in image.images.items():
        settings |= {f"{stream.upper()}_BASE": places[stream], f"{stream.upper()}_BYTES": len(array)}
    settings |= {"OUTPUTS_BASE": first * octets, "OUTPUTS_BYTES": len(expected)}
    registers = register_map()
    wires, ports = [], []
    for port in manifest["ports"]:
        kind = "reg" if port["direction"] == "input" and port["name"].startswith("s_axi_") else "wire"
        wires.append(f"  {kind} [{port['width'] - 1}:0] {port['name']}{_INITIAL.get(port['name'], ' = 0') * (kind == 'reg')};")
        ports.append(f".{port['name']}({port['name']})")
    ids = next(port["width"] for port in manifest["ports"] if port["name"] == "m_axi_arid")
    bench = _BENCH.format(
        top=top, accelerator=name, bytes=octets, beats=first + len(results), results=len(results), first=first, ids=ids,
        wires="\n".join(wires), ports=", ".join([".clk(clk)", ".rst(rst)", *ports]), limit=100 * cycles + 10000,
        settings="\n".join(f"    write({registers[key].address}, {value});" for key, value in settings.items()),
        control=registers["CONTROL"].address, start=registers["CONTROL"].field("START").mask,
        errors=registers["ERRORS"].address, causes=f"32'h{causes:x}", interrupt=registers["INTERRUPT"].address,
        enable=registers["INTERRUPT_ENABLE"].address,
        id=registers["ID"].address, magic=f"32'h{MagicId:x}", count=registers["CYCLES"].address)
    head = f"""\
// {top}: generated beside {source} by subbyte {manifest["generator"]["subbyte"]}
// SPDX-FileCopyrightText: 2026 subbyte contributors
// SPDX-License-Identifier: Apache-2.0
//
// X[{image.m}, {k}] @ W[{image.n}, {k}].T of random numbers in a memory; every word of the results is compared. In this folder:
//   iverilog -g2005 -o {top}.vvp {top}.v {source} && vvp -N {top}.vvp
`timescale 1ns/1ps

"""
    return {f"{top}.v": head + bench, f"{top}_memory.hex": hex_words(beats, 8 * octets),
            f"{top}_expected.hex": _unwritten(hex_words(results, 8 * octets), len(expected) - written)}


def _unwritten(text, octets):
    """The words of a file whose last one ends before: its highest digits stay undefined."""
    lines = text.splitlines()
    return "\n".join([*lines[:-1], "x" * (2 * octets) + lines[-1][2 * octets:]]) + "\n"


_INITIAL = {"s_axi_wstrb": " = 4'hf", "s_axi_bready": " = 1", "s_axi_rready": " = 1"}


def write_memory_testbench(scheme: Scheme, config, accelerator: MemoryAccelerator, name: str, source: Path) -> list[Path]:
    """Write the testbench of an accelerator, with a ragged product, beside its Verilog ``source``; returns the paths."""
    k, product = ragged_product(scheme, config)
    m, n = product.y.shape
    image = accelerator.layout.image(product.inputs, m, n)
    flagged = bool(product.errors) or any(flags.any() for flags in product.flags.values())
    layout = accelerator.layout
    expected = result_bytes(layout, product.outputs, m, n)
    written = len(product.outputs) * layout.units("outputs") * layout.unit_bits("outputs") // 8
    texts = make_memory_testbench(
        emit.manifest(accelerator, name, config), image, k, expected, written, product.timeline.cycles,
        register_map()["ERRORS"].field("DATA").mask if flagged else 0, source.name)
    for file, text in texts.items():
        write_whole(source.with_name(file), text)
    return [source.with_name(file) for file in texts]
