/// Requantiser: `y = clamp((M * acc + B + R * res + h) >> S, 0, 2**A - 1)`, a value a cycle, five cycles long.
///
/// The sum before the shift is also the logit: with S = 0 and R = 0 it is `M * acc + B`.
module requantiser
  import tritforge_pkg::*;
#(
  parameter int unsigned ActivationBits = 8,
  localparam int unsigned SumBits = 50
) (
  input  logic                      clk_i,
  input  logic signed [AccBits-1:0] acc_i,
  input  logic signed [15:0]        multiplier_i,
  input  logic signed [47:0]        bias_i,
  input  logic [ActivationBits-1:0] residual_i,
  /// Constant during a layer.
  input  logic [15:0]               residual_multiplier_i,
  input  logic [4:0]                shift_i,

  /// Four cycles after the input.
  output logic signed [LogitBits-1:0]  logit_o,
  /// Five cycles after the input.
  output logic [ActivationBits-1:0]    activation_o
);

  logic signed [AccBits-1:0]        acc_q;
  logic signed [15:0]               multiplier_q;
  logic signed [47:0]               bias_q, bias2_q, bias3_q;
  logic [ActivationBits-1:0]        residual_q;
  logic signed [47:0]               product_q, product2_q;
  logic [ActivationBits+15:0]       residual_product_q, residual_product2_q;
  logic signed [SumBits-1:0]        sum_q, shifted;
  logic [31:0]                      half;

  // Half of the last bit that the shift drops.
  assign half = (32'd1 << shift_i) >> 1;

  always_ff @(posedge clk_i) begin
    acc_q        <= acc_i;
    multiplier_q <= multiplier_i;
    bias_q       <= bias_i;
    residual_q   <= residual_i;

    product_q          <= 48'(acc_q) * 48'(multiplier_q);
    residual_product_q <= (ActivationBits+16)'(residual_q) * (ActivationBits+16)'(residual_multiplier_i);
    bias2_q            <= bias_q;

    product2_q          <= product_q;
    residual_product2_q <= residual_product_q;
    bias3_q             <= bias2_q;

    sum_q <= SumBits'(product2_q) + SumBits'(bias3_q) + SumBits'($signed({1'b0, residual_product2_q})) +
             SumBits'($signed({1'b0, half}));

    if (shifted < 0) activation_o <= '0;
    else if (shifted >= SumBits'(2 ** ActivationBits)) activation_o <= '1;
    else activation_o <= ActivationBits'(shifted);
  end

  assign shifted = sum_q >>> shift_i;
  assign logit_o = LogitBits'(sum_q);

endmodule
