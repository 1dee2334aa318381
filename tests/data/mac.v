// SPDX-FileCopyrightText: 2026 subbyte contributors
// SPDX-License-Identifier: Apache-2.0
// Systolic multiply-accumulate as textbooks draw it, with a register after the product: the recipe is checked with it.
module mac #(parameter A = 8, W = 8, SUM = 32) (
  input clk, input clr, input en,
  input signed [A-1:0] a_i, input signed [W-1:0] w_i,
  output reg signed [A-1:0] a_o, output reg signed [W-1:0] w_o, output reg signed [SUM-1:0] acc
);
  (* keep *) wire signed [A+W-1:0] product;  // kept: Yosys would merge it with the addition
  assign product = a_o * w_o;
  reg signed [A+W-1:0] held;
  reg en_held;
  always @(posedge clk) begin a_o <= a_i; w_o <= w_i; end
  always @(posedge clk) begin held <= product; en_held <= en; end
  always @(posedge clk) if (clr) acc <= 0; else if (en_held) acc <= acc + held;
endmodule
