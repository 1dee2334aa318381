# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts that the FPGA flow leaves in its folder: what it runs itself, and what a user takes into another flow."""

import re
import shlex

__all__ = ["VIVADO_PART", "port_widths", "shift_registers", "shell_script", "vivado"]

VIVADO_PART = "xc7a100tcsg324-1"


def port_widths(verilog, top):
    """Ports of a module of plain Verilog as this generator writes it: two mappings, of inputs and outputs, to bits.

    Raises
    ------
    ValueError
        If there is no such module, or a port whose range is not made of numbers.
    """
    module = re.search(rf"^\s*module\s+{re.escape(top)}\b.*?^\s*endmodule", verilog, re.DOTALL | re.MULTILINE)
    if module is None:
        raise ValueError(f"the Verilog has no module {top!r}")
    ports = {"input": {}, "output": {}}
    pattern = r"\b(input|output)\s+(?:wire\s+|reg\s+|logic\s+)?(?:signed\s+)?(\[[^\]]*\]\s*)?(\w+)"
    for kind, span, name in re.findall(pattern, module[0]):
        numbers = re.fullmatch(r"\[\s*(\d+)\s*:\s*(\d+)\s*\]", span.strip()) if span else (None, 0, 0)
        if numbers is None:
            raise ValueError(f"port {name!r} of {top!r} must have a range of numbers, not {span.strip()}: it cannot be put "
                             "into shift registers")
        ports[kind][name] = abs(int(numbers[1]) - int(numbers[2])) + 1
    return ports["input"], ports["output"]


def shift_registers(verilog, top, clock="clk"):
    """A module ``<top>_ports`` of four pins around `top`: inputs out of one shift register, outputs into another.

    For parts whose place and route wants a pin for every port. It adds a flip-flop for each port's bit, and as many
    look-up tables as outputs have bits.

    Returns
    -------
    str
        Verilog.
    int
        Flip-flops added.
    """
    inputs, outputs = port_widths(verilog, top)
    if inputs.pop(clock, None) is None:
        raise ValueError(f"{top!r} must have the clock as an input {clock!r}")
    bindings, given, taken = [f".{clock}({clock})"], sum(inputs.values()), sum(outputs.values())
    for register, ports in (("given", inputs), ("results", outputs)):
        low = 0
        for name, bits in ports.items():
            bindings.append(f".{name}({register}[{low + bits - 1}:{low}])")
            low += bits
    text = f"""// The ports of {top} in shift registers: to measure what lies between them, not for use.
module {top}_ports(input {clock}, input shift_in, input load, output shift_out);
  reg [{given - 1}:0] given = 0;
  reg [{taken - 1}:0] taken = 0;
  wire [{taken - 1}:0] results;
  assign shift_out = taken[{taken - 1}];
  always @(posedge {clock}) begin
    given <= {{given, shift_in}};
    taken <= load ? results : {{taken, 1'b0}};
  end
  {top} measured (
    {f",{chr(10)}    ".join(bindings)}
  );
endmodule
"""
    return text, given + taken


def shell_script(title, commands):
    """A POSIX script that does by hand what the flow did; programs can be replaced through the environment."""
    lines = ["#!/bin/sh", f"# {title}", "# Native programs: YOSYS=yosys NEXTPNR=nextpnr-ecp5 PACK=ecppack sh run.sh",
             "set -e", 'cd "$(dirname "$0")"']
    for variable, command in commands:
        program, arguments = command[0], shlex.join(command[1:])
        lines.append(f'"${{{variable}:-{program}}}" {arguments}')
    return "\n".join([*lines, ""])


def vivado(top, sources, clock, mhz):
    """A Vivado script and its clock constraint; written for users, not run here.

    Returns
    -------
    dict of str to str
        Text by file name.
    """
    reads = "\n".join(f"read_verilog {source}" for source in sources)
    script = f"""# Vivado, out of context: vivado -mode batch -source vivado.tcl
# NOT RUN by subbyte, which has no Vivado: no figure of subbyte comes from this script.
{reads}
read_xdc vivado.xdc
synth_design -top {top} -part {VIVADO_PART} -mode out_of_context
opt_design
place_design
route_design
report_utilization -file vivado_utilization.txt
report_timing_summary -file vivado_timing.txt
"""
    return {"vivado.tcl": script, "vivado.xdc": f"create_clock -name {clock} -period {1000 / mhz:.3f} [get_ports {clock}]\n"}
