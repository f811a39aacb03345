/// What the PEs' rows of adders need to know about a group, worked out once for all of them from its weights.
///
/// Of the two values that a row adds, the first keeps its sign for the row above, and the row takes the relative sign
/// of the second; so signs go up as the values do. The offset is what the rows' powers of two come to, see pe_pkg.
module group_signs
  import tritforge_pkg::*;
  import pe_pkg::*;
#(
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  localparam int unsigned Words     = GroupChannels / 2,
  localparam int unsigned Quads     = GroupChannels / 4,
  localparam int unsigned ValueBits = ActivationBits + ValueGrowth
) (
  input  logic                                 clk_i,
  input  logic [Words-1:0][WeightWordBits-1:0] weights_i,
  /// Beside the weights.
  input  logic                                 quad_shift_i,
  input  logic [2:0]                           shift_i,
  /// What pe takes, a cycle before it takes it, to be registered near the PEs.
  output logic [Quads-1:0][QuadRows-1:0]       relative_o,
  output steering_t                            steering_o,
  /// Beside the row that takes it.
  output logic [ValueBits-1:0]                 offset_o
);

  // Offsets in units of 2**ActivationBits. They go through the same rows, whose powers of two add to them.
  logic [Quads-1:0]               quad_sign;
  logic [Quads-1:0][QuadLevels:0] quad_offset;

  for (genvar q = 0; q < Quads; q++) begin : gen_quad
    for (genvar l = 0; l <= QuadLevels; l++) begin : gen_level
      localparam int unsigned Values = level_values(l);
      logic [Values-1:0]      sign;
      logic [Values-1:0][l:0] offset;

      if (l == 0) begin : gen_pairs
        for (genvar i = 0; i < Values; i++) begin : gen_pair
          localparam int unsigned Word = 2 * q + i / Taps;
          localparam int unsigned Tap  = i % Taps;
          assign {sign[i], offset[i]} = weights_i[Word][4*Tap+2 +: 2];
        end
      end else begin : gen_rows
        localparam int unsigned Below = level_values(l - 1);
        for (genvar i = 0; i < Below / 2; i++) begin : gen_row
          logic [l:0] sum;
          logic       relative;
          assign relative = gen_level[l-1].sign[Below-1-2*i] ^ gen_level[l-1].sign[Below-2-2*i];
          assign relative_o[q][rows_before(l)+i] = relative;
          add_row #(.Width(l)) u_row (
            .x_i(gen_level[l-1].offset[Below-1-2*i]), .y_i(gen_level[l-1].offset[Below-2-2*i]),
            .relative_i(relative), .sum_o(sum)
          );
          always_ff @(posedge clk_i) begin
            sign[i]   <= gen_level[l-1].sign[Below-1-2*i];
            offset[i] <= sum;
          end
        end
        if (Below % 2 == 1) begin : gen_odd
          always_ff @(posedge clk_i) begin
            sign[Values-1]   <= gen_level[l-1].sign[0];
            offset[Values-1] <= (l+1)'(gen_level[l-1].offset[0]);
          end
        end
      end
    end

    assign quad_sign[q]   = gen_level[QuadLevels].sign[0];
    assign quad_offset[q] = gen_level[QuadLevels].offset[0];
  end

  // The group's modes on their way to the last rows.
  localparam int unsigned HalvesStage = QuadLevels + 1;
  logic [HalvesStage-1:0]      quad_shift_q;
  logic [HalvesStage+1:0][2:0] shift_q;

  always_ff @(posedge clk_i) begin
    quad_shift_q <= {quad_shift_q[HalvesStage-2:0], quad_shift_i};
    shift_q      <= {shift_q[HalvesStage:0], shift_i};
  end

  localparam int unsigned HalfBits = QuadLevels + 3;
  logic [1:0]               quads_relative, half_sign_q;
  logic [1:0][HalfBits-1:0] half_offset_q;

  for (genvar h = 0; h < 2; h++) begin : gen_half
    if (h < Quads / 2) begin : gen_quads
      logic [HalfBits-1:0] sum;
      assign quads_relative[h] = quad_sign[2*h] ^ quad_sign[2*h+1];
      add_row #(.Width(HalfBits - 1)) u_row (
        .x_i((HalfBits-1)'(quad_offset[2*h])),
        .y_i(quad_shift_q[HalvesStage-2] ? {quad_offset[2*h+1], 1'b0} : (HalfBits-1)'(quad_offset[2*h+1])),
        .relative_i(quads_relative[h]), .sum_o(sum)
      );
      always_ff @(posedge clk_i) begin
        half_sign_q[h]   <= quad_sign[2*h];
        half_offset_q[h] <= sum;
      end
    end else begin : gen_none
      assign quads_relative[h] = 1'b0;
      assign half_sign_q[h]    = 1'b0;
      assign half_offset_q[h]  = '0;
    end
  end

  logic                 halves_relative, sign_q;
  logic [SumGrowth-1:0] sum, sum_offset_q;

  assign halves_relative = Quads == 4 && half_sign_q[0] != half_sign_q[1];

  add_row #(.Width(SumGrowth - 1)) u_row (
    .x_i((SumGrowth-1)'(half_offset_q[0])),
    .y_i(quad_shift_q[HalvesStage-1] ? {half_offset_q[1], 2'b0} : (SumGrowth-1)'(half_offset_q[1])),
    .relative_i(halves_relative), .sum_o(sum)
  );

  // Taken off the sum, in the sum's sign.
  logic [SumGrowth:0]     signed_offset;
  logic [ValueGrowth-1:0] offset_q;
  assign signed_offset = sign_q ? {1'b0, sum_offset_q} : -{1'b0, sum_offset_q};

  always_ff @(posedge clk_i) begin
    sign_q       <= half_sign_q[0];
    sum_offset_q <= sum;
    offset_q     <= ValueGrowth'($signed(signed_offset)) << (steering_o.coarse ? 4 : 0);
  end

  assign offset_o = {offset_q, ActivationBits'(0)};

  assign steering_o.quads_relative  = quads_relative;
  assign steering_o.quads_shift     = quad_shift_q[HalvesStage-2];
  assign steering_o.halves_relative = halves_relative;
  assign steering_o.halves_shift    = quad_shift_q[HalvesStage-1];
  assign steering_o.negative        = sign_q;
  assign steering_o.coarse          = shift_q[HalvesStage][2];
  assign steering_o.fine            = shift_q[HalvesStage+1][1:0];

endmodule
