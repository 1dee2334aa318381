// SPDX-FileCopyrightText: 2026 subbyte contributors
// SPDX-License-Identifier: Apache-2.0
// An accelerator (stream form, RSR) in a bench of plain Verilog: registers are written over AXI4-Lite, operands come from files,
// results are compared with those that must come. run.py beside this file writes words.vh and the files. Generated Verilog is
// Verilog-2005: a simulator that is told to read it as SystemVerilog does not run its `always @*` at time 0.
`timescale 1ns/1ps
`include "words.vh"

// An AXI4-Stream master: beats {tlast, tkeep, tdata} of a file.
module source #(parameter BEATS = 1, FILE = "") (
  input clk, input rst, output [63:0] tdata, output [7:0] tkeep, output tlast, output tvalid, input tready);
  reg [72:0] beats [0:BEATS-1];
  reg [31:0] at;
  initial $readmemh(FILE, beats);
  assign tvalid = !rst && at < BEATS;
  assign {tlast, tkeep, tdata} = tvalid ? beats[at] : 73'b0;
  always @(posedge clk)
    if (rst) at <= 0;
    else if (tvalid && tready) at <= at + 1;
endmodule

module bench;
  reg clk = 0, rst = 1;
  always #5 clk = ~clk;

  reg [6:0] awaddr = 0, araddr = 0;
  reg [31:0] wdata = 0;
  reg awvalid = 0, wvalid = 0, arvalid = 0;
  wire awready, wready, bvalid, arready, rvalid, irq;
  wire [31:0] rdata;

  `define BUS(NAME) wire [63:0] NAME``_tdata; wire [7:0] NAME``_tkeep; wire NAME``_tlast, NAME``_tvalid, NAME``_tready;
  `BUS(weights) `BUS(activations) `BUS(constants) `BUS(tokens) `BUS(outputs)
  `define FEED(NAME, COUNT, FILE_NAME) source #(.BEATS(COUNT), .FILE(FILE_NAME)) feed_``NAME (.clk(clk), .rst(rst), \
    .tdata(NAME``_tdata), .tkeep(NAME``_tkeep), .tlast(NAME``_tlast), .tvalid(NAME``_tvalid), .tready(NAME``_tready));
  `FEED(weights, `WEIGHTS, "weights.hex") `FEED(activations, `ACTIVATIONS, "activations.hex")
  `FEED(constants, `CONSTANTS, "constants.hex") `FEED(tokens, `TOKENS, "tokens.hex")

  `define SLAVE(NAME) .s_axis_``NAME``_tdata(NAME``_tdata), .s_axis_``NAME``_tkeep(NAME``_tkeep), \
    .s_axis_``NAME``_tlast(NAME``_tlast), .s_axis_``NAME``_tvalid(NAME``_tvalid), .s_axis_``NAME``_tready(NAME``_tready)
  rsr_accelerator_stream accelerator (
    .clk(clk), .rst(rst), .irq(irq),
    .s_axi_awaddr(awaddr), .s_axi_awprot(3'b0), .s_axi_awvalid(awvalid), .s_axi_awready(awready),
    .s_axi_wdata(wdata), .s_axi_wstrb(4'hf), .s_axi_wvalid(wvalid), .s_axi_wready(wready),
    .s_axi_bvalid(bvalid), .s_axi_bresp(), .s_axi_bready(1'b1),
    .s_axi_araddr(araddr), .s_axi_arprot(3'b0), .s_axi_arvalid(arvalid), .s_axi_arready(arready),
    .s_axi_rdata(rdata), .s_axi_rresp(), .s_axi_rvalid(rvalid), .s_axi_rready(1'b1),
    `SLAVE(weights), `SLAVE(activations), `SLAVE(constants), `SLAVE(tokens),
    .m_axis_outputs_tdata(outputs_tdata), .m_axis_outputs_tkeep(outputs_tkeep), .m_axis_outputs_tlast(outputs_tlast),
    .m_axis_outputs_tvalid(outputs_tvalid), .m_axis_outputs_tready(outputs_tready));

  // Results: ready in two cycles of three, each beat compared.
  reg [72:0] expected [0:`OUTPUTS-1];
  initial $readmemh("outputs.hex", expected);
  integer received = 0, wrong = 0, cycles = 0;
  assign outputs_tready = cycles % 3 != 0;
  always @(posedge clk) begin
    cycles <= cycles + 1;
    if (outputs_tvalid && outputs_tready) begin
      if ({outputs_tlast, outputs_tkeep, outputs_tdata} !== expected[received]) begin
        wrong = wrong + 1;
        $display("FAIL: beat %0d is %h, not %h", received, {outputs_tlast, outputs_tkeep, outputs_tdata}, expected[received]);
      end
      received = received + 1;
    end
  end

  task write(input [6:0] address, input [31:0] value);
    begin
      @(negedge clk);
      awaddr = address; wdata = value; awvalid = 1; wvalid = 1;
      while (awvalid || wvalid) begin : wait_for_ready
        reg address_taken, data_taken;
        address_taken = awready; data_taken = wready;
        @(negedge clk);
        if (address_taken) awvalid = 0;
        if (data_taken) wvalid = 0;
      end
      while (!bvalid) @(negedge clk);
      @(negedge clk);
    end
  endtask

  task read(input [6:0] address, output [31:0] value);
    begin
      @(negedge clk);
      araddr = address; arvalid = 1;
      while (!arready) @(negedge clk);
      @(negedge clk);
      arvalid = 0;
      while (!rvalid) @(negedge clk);
      value = rdata;
      @(negedge clk);
    end
  endtask

  reg [31:0] id, errors;
  initial begin
    repeat (4) @(negedge clk);
    rst = 0;
    read(`ID, id);
    write(`INTERRUPT_ENABLE, 32'hffff_ffff);
    write(`M, `ROWS);
    write(`N, `COLUMNS);
    write(`CONTROL, `START);
    wait (irq);
    read(`ERRORS, errors);
    repeat (20) @(negedge clk);
    if (id == `MAGIC && errors == 0 && wrong == 0 && received == `OUTPUTS)
      $display("PASS: %0d beats of results, %0d cycles", received, cycles);
    else
      $display("FAIL: id %h, errors %h, %0d of %0d beats, %0d wrong", id, errors, received, `OUTPUTS, wrong);
    $finish;
  end

  initial #2_000_000 begin $display("FAIL: no interrupt"); $finish; end
endmodule
