# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A self-checking testbench of an engine in plain Verilog-2005, and the words of one product: no Python where it runs.

The engine computes the product twice. First no stream pauses, and the cycles must be those that golden predicts; then all of
them do, by chance. Each word that comes out is compared, and at the end what the port ``errors`` says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..golden.streams import payload_bits
from ..schemes import Product, Scheme
from ..tools.outputs import write_whole
from ..top import emit

__all__ = ["hex_words", "make_testbench", "ragged_product", "write_testbench"]

_BEATS = 64
"""Longest group of which a product has more than one: Icarus takes its time."""
_SOURCE = """\
// Words of a file, one after the other. An offer stands until it is taken; a payload that is not offered is undefined.
module {top}_source #(parameter BITS = 1, BEATS = 1, FILE = "", SEED = 1) (
  input clk, input rst, input pauses, output [BITS-1:0] payload, output valid, input ready);
  reg [BITS-1:0] words [0:BEATS-1];
  reg held, pause;
  integer at, seed;
  initial begin $readmemh(FILE, words); seed = SEED; held = 0; pause = 0; at = 0; end
  assign valid = !rst && at < BEATS && (held || !pause);
  assign payload = valid ? words[at] : {{BITS{{1'bx}}}};
  always @(posedge clk) begin
    pause <= pauses && $random(seed) % 4 == 0;
    held <= valid && !ready;
    if (rst) at <= 0; else if (valid && ready) at <= at + 1;
  end
endmodule
"""
_BENCH = """\
module {top};
  reg clk = 0, rst = 1, pauses = 0;
  always #5 clk = ~clk;
{wires}
{sources}
  {engine} dut ({ports});

  // Results: taken in all cycles, or with pauses in three of four; a result that waits must stay as it is.
  reg [{bits}-1:0] expected [0:{beats}-1];
  reg [{bits}-1:0] waiting;
  reg outputs_pause = 0, waits = 0;
  integer seed = 99, received = 0, cycle = 0, last = 0, failures = 0;
  assign outputs_ready = !rst && !outputs_pause;
  initial $readmemh("{file}", expected);
  always @(posedge clk) begin
    outputs_pause <= pauses && $random(seed) % 4 == 0;
    cycle <= rst ? 0 : cycle + 1;
    waits <= outputs_valid && !outputs_ready;
    waiting <= outputs_payload;
    if (rst) received <= 0;
    else begin
      if (outputs_valid !== 1'b0 && outputs_valid !== 1'b1)
        fail(received, {{{bits}{{1'bx}}}}, "`valid` is undefined beside word");
      if (waits && (outputs_valid !== 1'b1 || outputs_payload !== waiting))
        fail(received, outputs_payload, "a waiting result was taken back: word");
      if (outputs_valid && outputs_ready) begin
        if (received >= {beats}) fail(received, outputs_payload, "a surplus word:");
        else if (outputs_payload !== expected[received]) fail(received, outputs_payload, "word");
        received <= received + 1;
        last <= cycle;
      end
    end
  end

  task fail(input integer at, input [{bits}-1:0] found, input [8*48-1:0] what);
    begin
      failures = failures + 1;
      if (failures <= 10)
        $display("FAIL: %0s %0d of {beats} is %h, not %h",
                 what, at, found, at < {beats} ? expected[at] : {bits}'bx);
    end
  endtask

  // From reset to the last result, and a while longer for surplus ones.
  task run(input with_pauses);
    integer left;
    begin
      pauses = with_pauses; rst = 1;
      repeat (4) @(negedge clk);
      rst = 0; left = {limit};
      while (received < {beats} && left > 0) begin @(negedge clk); left = left - 1; end
      repeat (32) @(negedge clk);
      if (received < {beats}) begin
        failures = failures + 1;
        $display("FAIL: only %0d of {beats} words came", received);
      end
      if (errors !== {error_bits}'h{errors:x}) begin
        failures = failures + 1;
        $display("FAIL: errors are %h, not {errors:x}", errors);
      end
    end
  endtask

  initial begin
    run(0);
    if (last + 1 !== {cycles}) begin
      failures = failures + 1;
      $display("FAIL: %0d cycles, not the predicted {cycles}", last + 1);
    end
    run(1);
    if (failures == 0) begin
      $display("PASS: {beats} words of results twice, in the predicted {cycles} cycles and with pauses");
      $finish;
    end
    $display("FAIL: %0d failures", failures);
    $stop;  // `vvp -N` ends with an exit code of 1 here
  end
endmodule
"""


def ragged_product(scheme: Scheme, config, fmt: str | None = None, seed: int = 1) -> tuple[int, Product]:
    """K and a product of random numbers that no size divides: two tiles each way, and several groups, if groups are short."""
    has_groups = config.max_groups > 1 and config.group_beats <= _BEATS
    rng, beats = np.random.default_rng(seed), config.group_beats if has_groups else 2
    m, n = config.rows + max(config.rows // 2, 1), config.cols + max(config.cols // 2, 1)
    k = max(min((beats + 1) * config.lanes + max(config.lanes // 2, 1), config.largest_k), 1)
    fmt = scheme.format_for(fmt, config)
    qweight = scheme.quantize(rng.standard_normal((n, k)).astype(np.float32), fmt, config)
    x = scheme.activations(rng.standard_normal((m, k)).astype(np.float32), config)
    return k, scheme.product(x, qweight, config, **scheme.derived(x, qweight, config)[0])


def hex_words(words: np.ndarray, bits: int) -> str:
    """A beat a line, most significant digit first, without the digits that only fill up the last byte."""
    digits = -(-bits // 4)
    return "".join(f"{int.from_bytes(word.tobytes(), 'little'):0{digits}x}\n" for word in words)


def make_testbench(
    manifest: Mapping[str, Any], config, product: Product, source: str, hold: Mapping[str, int] | None = None
) -> dict[str, str]:
    """The texts of a testbench by the names of their files: ``<engine>_tb.v``, and ``<engine>_tb_<stream>.hex`` for its words.

    Parameters
    ----------
    manifest : mapping
        Of the engine, see :func:`subbyte.top.emit.manifest`.
    config : EngineConfig
    product : Product
        What it computes.
    source : str
        Name of the engine's file.
    hold : mapping of str to int
        Values of inputs that are neither streams nor clocks; 0 for those left out.
    """
    engine, top, hold = manifest["name"], f"{manifest['name']}_tb", dict(hold or {})
    streams = {stream["name"]: stream for stream in manifest["streams"]}
    words = {**product.inputs, "outputs": product.outputs}
    bits = {name: payload_bits(config.streams[name]) for name in words}
    files = {f"{top}_{name}.hex": hex_words(beats, bits[name]) for name, beats in words.items()}
    ports, wires, sources = [".clk(clk)", ".rst(rst)"], [], []
    for number, name in enumerate(words):
        wires.append(f"  wire [{bits[name] - 1}:0] {name}_payload; wire {name}_valid, {name}_ready;")
        ports += [f".{streams[name][part]}({name}_{part})" for part in ("payload", "valid", "ready")]
        if name != "outputs":
            sources.append(
                f'  {top}_source #(.BITS({bits[name]}), .BEATS({len(words[name])}), .FILE("{top}_{name}.hex"), '
                f".SEED({number + 1})) feed_{name} (\n    .clk(clk), .rst(rst), .pauses(pauses), .payload({name}_payload), "
                f".valid({name}_valid), .ready({name}_ready));")
    errors = next(port for port in manifest["ports"] if port["name"] == "errors")
    wires.append(f"  wire [{errors['width'] - 1}:0] errors;")
    handshakes = {stream[part] for stream in streams.values() for part in ("payload", "valid", "ready")}
    for port in manifest["ports"]:
        if port["name"] not in handshakes and port["direction"] == "input":
            ports.append(f".{port['name']}({port['width']}'d{hold.get(port['name'], 0)})")
    ports.append(".errors(errors)")
    bit = {leaf["path"]: leaf["offset"] for leaf in errors["fields"]}
    outputs = f"{top}_outputs.hex"
    m, n = product.y.shape
    bench = _BENCH.format(
        top=top, engine=engine, wires="\n".join(wires), sources="\n".join(sources), ports=", ".join(ports), file=outputs,
        bits=bits["outputs"], beats=len(product.outputs), limit=20 * product.timeline.cycles + 1000,
        cycles=product.timeline.cycles, error_bits=errors["width"], errors=sum(1 << bit[name] for name in product.errors))
    head = f"""\
// {top}: generated beside {source} by subbyte {manifest["generator"]["subbyte"]}
// SPDX-FileCopyrightText: 2026 subbyte contributors
// SPDX-License-Identifier: Apache-2.0
//
// X[{m}, K] @ W[{n}, K].T of random numbers, its words in {top}_*.hex; every word of the results is compared. In this folder:
//   iverilog -g2005 -o {top}.vvp {top}.v {source} && vvp -N {top}.vvp
`timescale 1ns/1ps

"""
    return {f"{top}.v": head + _SOURCE.format(top=top) + "\n" + bench, **files}


def write_testbench(scheme: Scheme, config, component, name: str, source: Path) -> list[Path]:
    """Write the testbench of an engine, and the words of a ragged product, beside its Verilog ``source``; returns the paths."""
    texts = make_testbench(emit.manifest(component, name, config), config, ragged_product(scheme, config)[1], source.name)
    for file, text in texts.items():
        write_whole(source.with_name(file), text)
    return [source.with_name(file) for file in texts]
