/// Requantiser: `y = clamp((M * acc + B + R * res + h) >> S, 0, 2**A - 1)`, a value a cycle, five cycles long.
///
/// Two multipliers, each with an adder behind it, as a DSP has them: `M * acc + (B + h)`, and to that `R * res`. Their
/// sum has 48 bits. It is also the logit: with S = 0 and R = 0 it is `M * acc + B`.
module requantiser
  import tritforge_pkg::*;
#(
  parameter int unsigned ActivationBits = 8,
  localparam int unsigned AccBits = acc_bits(ActivationBits),
  localparam int unsigned SumBits = 48
) (
  input  logic                      clk_i,
  input  logic signed [AccBits-1:0] acc_i,
  /// Beside acc_i: it stands for zero.
  input  logic                      empty_i,
  input  logic signed [15:0]        multiplier_i,
  /// One cycle after acc_i: the residual, in parts of which at most one is not zero.
  input  logic [1:0][ActivationBits-1:0] residual_i,
  input  logic [15:0]                    residual_multiplier_i,
  /// Two cycles after acc_i: B + h.
  input  logic signed [SumBits-1:0] bias_i,
  /// Three cycles after acc_i.
  input  logic [4:0]                shift_i,
  /// Four cycles after acc_i: the pixel is beside the map, and zero.
  input  logic                      beside_i,

  /// Four cycles after acc_i.
  output logic signed [LogitBits-1:0] logit_o,
  /// Five cycles after acc_i.
  output logic [ActivationBits-1:0]   activation_o
);

  // ---- Multiply and add. ----
  logic signed [AccBits-1:0]      acc_q;
  logic signed [15:0]             multiplier_q;
  logic signed [ActivationBits:0] residual_q;
  logic signed [16:0]             residual_multiplier_q;
  logic signed [AccBits+15:0]     product_q;
  logic signed [ActivationBits+17:0] residual_product_q;
  logic signed [SumBits-1:0]      affine_q, sum_q;

  always_ff @(posedge clk_i) begin
    acc_q        <= empty_i ? '0 : acc_i;
    multiplier_q <= multiplier_i;
    product_q    <= acc_q * multiplier_q;
    affine_q     <= SumBits'(product_q) + bias_i;

    residual_q            <= $signed({1'b0, residual_i[0] | residual_i[1]});
    residual_multiplier_q <= $signed({1'b0, residual_multiplier_i});
    residual_product_q    <= residual_q * residual_multiplier_q;
    sum_q                 <= affine_q + SumBits'(residual_product_q);
  end

  assign logit_o = sum_q;

  // ---- Shift by bytes, by two bits, by one; what lies above the activation. ----
  localparam int unsigned CoarseBits = ActivationBits + 8;
  localparam int unsigned MidBits    = ActivationBits + 1;
  (* keep *) logic [4:0]       shift_q;
  logic [CoarseBits-1:0]       coarse;
  logic [MidBits-1:0]          mid;
  logic [ActivationBits-1:0]   fine;
  logic [CoarseBits+31:0]      bits;
  logic [3:0]                  above, rest;
  logic                        over;

  always_ff @(posedge clk_i) shift_q <= shift_i;

  assign bits = (CoarseBits+32)'(sum_q[SumBits-2:0]);

  // Multiplexers of four, each a LUT a bit.
  assign coarse = shift_q[4] ? (shift_q[3] ? bits[24 +: CoarseBits] : bits[16 +: CoarseBits])
                             : (shift_q[3] ? bits[8 +: CoarseBits] : bits[0 +: CoarseBits]);
  assign mid    = shift_q[2] ? (shift_q[1] ? coarse[6 +: MidBits] : coarse[4 +: MidBits])
                             : (shift_q[1] ? coarse[2 +: MidBits] : coarse[0 +: MidBits]);
  assign fine   = shift_q[0] ? mid[MidBits-1:1] : mid[ActivationBits-1:0];

  // A bit above the activation: above coarse, among the bits of coarse that mid leaves out, in mid.
  always_comb begin
    for (int unsigned n = 0; n < 4; n++) begin
      above[n] = shift_q[4:3] <= 2'(n) && bits[CoarseBits+8*n +: 8] != '0;
      rest[n]  = shift_q[2:1] <= 2'(n) && (coarse[MidBits+2*n] || (n < 3 && coarse[MidBits+2*n+1]));
    end
    over = above != '0 || rest != '0 || (!shift_q[0] && mid[MidBits-1]);
  end

  always_ff @(posedge clk_i) begin
    if (sum_q[SumBits-1] || beside_i) activation_o <= '0;
    else activation_o <= fine | {ActivationBits{over}};
  end

endmodule
