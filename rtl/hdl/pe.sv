/// Processing element: one PE group applied to one window, a new one every cycle, without multipliers.
///
/// Rows of adders; see pe_pkg for their shape and why they are unsigned. Behind each row is a register, but not behind
/// that of a pair, where it would take most. In quad-shift mode quads count 1, 2, 4, 8, so that one pass covers several
/// bit planes; the plane's shift comes last.
module pe
  import tritforge_pkg::*;
  import pe_pkg::*;
#(
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  localparam int unsigned Words     = GroupChannels / 2,
  localparam int unsigned Quads     = GroupChannels / 4,
  localparam int unsigned AccBits   = acc_bits(ActivationBits),
  localparam int unsigned SumBits   = ActivationBits + SumGrowth,
  localparam int unsigned ValueBits = ActivationBits + ValueGrowth
) (
  input  logic                                                    clk_i,
  input  logic [Taps-1:0][GroupChannels-1:0][ActivationBits-1:0]  window_i,
  /// Beside the window: {relative sign, enable 2, enable 1} of every pair.
  input  logic [Words-1:0][Taps-1:0][2:0]                         pairs_i,
  /// Beside the rows of their level, the first beside the pairs: relative signs.
  input  logic [Quads-1:0][QuadRows-1:0]                          relative_i,
  input  steering_t                                               steering_i,
  /// Beside the row of the sum's sign: what is added to it.
  input  logic [ValueBits-1:0]                                    offset_i,
  output logic signed [AccBits-1:0]                               partial_o
);

  logic [Quads-1:0][ActivationBits+QuadLevels:0] quad;

  for (genvar q = 0; q < Quads; q++) begin : gen_quad
    for (genvar l = 0; l <= QuadLevels; l++) begin : gen_level
      localparam int unsigned Values = level_values(l);
      localparam int unsigned Bits   = ActivationBits + 1 + l;
      logic [Values-1:0][Bits-1:0] value;

      if (l == 0) begin : gen_pairs
        for (genvar i = 0; i < Values; i++) begin : gen_pair
          localparam int unsigned Word = 2 * q + i / Taps;
          localparam int unsigned Tap  = i % Taps;
          pair_row #(.Width(ActivationBits)) u_row (
            .first_i(window_i[Tap][2*Word]), .second_i(window_i[Tap][2*Word+1]), .pair_i(pairs_i[Word][Tap]),
            .sum_o(value[i])
          );
        end
      end else begin : gen_rows
        localparam int unsigned Below = level_values(l - 1);
        for (genvar i = 0; i < Below / 2; i++) begin : gen_row
          logic [Bits-1:0] sum;
          add_row #(.Width(Bits - 1)) u_row (
            .x_i(gen_level[l-1].value[Below-1-2*i]), .y_i(gen_level[l-1].value[Below-2-2*i]),
            .relative_i(relative_i[q][rows_before(l)+i]), .sum_o(sum)
          );
          always_ff @(posedge clk_i) value[i] <= sum;
        end
        if (Below % 2 == 1) begin : gen_odd
          always_ff @(posedge clk_i) value[Values-1] <= Bits'(gen_level[l-1].value[0]);
        end
      end
    end

    assign quad[q] = gen_level[QuadLevels].value[0];
  end

  // Two quads at a time, then the two pairs of quads.
  localparam int unsigned HalfBits = ActivationBits + QuadLevels + 3;
  logic [Quads/2-1:0][HalfBits-1:0] half_q;
  logic [SumBits-1:0]               sum_q;

  for (genvar h = 0; h < Quads / 2; h++) begin : gen_half
    logic [HalfBits-1:0] sum;
    add_row #(.Width(HalfBits - 1)) u_row (
      .x_i((HalfBits-1)'(quad[2*h])),
      .y_i(steering_i.quads_shift ? {quad[2*h+1], 1'b0} : (HalfBits-1)'(quad[2*h+1])),
      .relative_i(steering_i.quads_relative[h]), .sum_o(sum)
    );
    always_ff @(posedge clk_i) half_q[h] <= sum;
  end

  if (Quads == 4) begin : gen_halves
    logic [SumBits-1:0] sum;
    add_row #(.Width(SumBits - 1)) u_row (
      .x_i((SumBits-1)'(half_q[0])), .y_i(steering_i.halves_shift ? {half_q[1], 2'b0} : (SumBits-1)'(half_q[1])),
      .relative_i(steering_i.halves_relative), .sum_o(sum)
    );
    always_ff @(posedge clk_i) sum_q <= sum;
  end else begin : gen_one_half
    logic unused;
    assign unused = ^{steering_i.halves_shift, steering_i.halves_relative, steering_i.quads_relative[1]};
    always_ff @(posedge clk_i) sum_q <= SumBits'(half_q[0]);
  end

  // The sum's sign, less what the rows below have added; shifts by four and by the rest.
  logic [ValueBits-1:0] shifted, value;
  logic signed [ValueBits-1:0] value_q;
  logic                 unused_carry;

  assign shifted = steering_i.coarse ? {sum_q, 4'b0} : ValueBits'(sum_q);

  carry_chain #(.Width(ValueBits)) u_sign (
    .carry_i(steering_i.negative), .propagate_i(shifted ^ {ValueBits{steering_i.negative}} ^ offset_i),
    .generate_i(offset_i), .sum_o(value), .carry_o(unused_carry)
  );

  always_ff @(posedge clk_i) begin
    value_q   <= value;
    partial_o <= AccBits'(value_q) <<< steering_i.fine;
  end

  initial begin
    assert (GroupChannels == 8 || GroupChannels == 16)
      else $fatal(1, "pe: GroupChannels is %0d; allowed are 8 and 16", GroupChannels);
    assert (PeLatency == QuadLevels + 5) else $fatal(1, "pe: PeLatency does not match the stages");
  end

endmodule
