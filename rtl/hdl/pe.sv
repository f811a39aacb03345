/// Processing element: one PE group applied to one window, a new one every cycle, without multipliers.
///
/// Trits come in pairs (enable 1, enable 2, relative sign, sign), see the pair coding in docs/arithmetic.md. Each pair
/// becomes one add or subtract; the pairs of each quad of channel lanes are summed; quads are added, in quad-shift mode
/// with weights 1, 2, 4, 8 so that one pass covers several bit planes; the plane's shift comes last.
module pe
  import tritforge_pkg::*;
#(
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  localparam int unsigned Words   = GroupChannels / 2,
  localparam int unsigned Quads   = GroupChannels / 4,
  localparam int unsigned AccBits = acc_bits(ActivationBits)
) (
  input  logic                                                    clk_i,
  /// Stage by stage: the registers take new values; bit 0 belongs to the cycle of weights and windows.
  input  logic [PeLatency-1:0]                                    en_i,
  input  logic [Taps-1:0][GroupChannels-1:0][ActivationBits-1:0]  window_i,
  input  logic [Words-1:0][WeightWordBits-1:0]                    weights_i,
  /// Beside the stage that adds quads: the group's quads count 1, 2, 4, 8.
  input  logic                                                    quad_shift_i,
  /// Beside the last stage: the group's plane counts 2**shift, up to 7.
  input  logic [2:0]                                              shift_i,
  output logic signed [AccBits-1:0]                               partial_o
);

  localparam int unsigned TermBits  = ActivationBits + 2;
  localparam int unsigned QuadPairs = 2 * Taps;
  localparam int unsigned TreeLevels = $clog2(QuadPairs);
  localparam int unsigned QuadBits  = TermBits + TreeLevels;
  localparam int unsigned SumBits   = QuadBits + 4;

  logic signed [Quads-1:0][QuadBits-1:0] quad;

  for (genvar q = 0; q < Quads; q++) begin : gen_quad
    logic signed [QuadPairs-1:0][TermBits-1:0] term_q;

    for (genvar i = 0; i < QuadPairs; i++) begin : gen_pair
      localparam int unsigned Word = 2 * q + i / Taps;
      localparam int unsigned Tap  = i % Taps;
      logic                       enable_1, enable_2, relative, sign;
      logic signed [TermBits-1:0] first, second, term;
      assign {sign, relative, enable_2, enable_1} = weights_i[Word][4*Tap +: 4];
      assign first  = enable_1 ? TermBits'(window_i[Tap][2*Word]) : '0;
      assign second = enable_2 ? TermBits'(window_i[Tap][2*Word+1]) : '0;
      assign term   = relative ? first - second : first + second;
      always_ff @(posedge clk_i) begin
        if (en_i[0]) term_q[i] <= sign ? -term : term;
      end
    end

    adder_tree #(.Inputs(QuadPairs), .Width(TermBits)) u_tree (
      .clk_i, .en_i(en_i[TreeLevels:1]), .data_i(term_q), .sum_o(quad[q])
    );
  end

  // Two quads at a time, then the two pairs of quads.
  logic signed [SumBits-1:0] low_q, high_q, sum_q;

  function automatic logic signed [SumBits-1:0] weighted(input logic signed [QuadBits-1:0] value, input int unsigned by,
                                                         input logic shifted);
    return shifted ? SumBits'(value) <<< by : SumBits'(value);
  endfunction

  always_ff @(posedge clk_i) begin
    if (en_i[TreeLevels+1]) low_q <= SumBits'($signed(quad[0])) + weighted($signed(quad[1]), 1, quad_shift_i);
    if (en_i[TreeLevels+2]) sum_q <= low_q + high_q;
    if (en_i[TreeLevels+3]) partial_o <= AccBits'(sum_q) <<< shift_i;
  end

  if (Quads == 4) begin : gen_four_quads
    always_ff @(posedge clk_i) begin
      if (en_i[TreeLevels+1]) begin
        high_q <= weighted($signed(quad[2]), 2, quad_shift_i) + weighted($signed(quad[3]), 3, quad_shift_i);
      end
    end
  end else begin : gen_two_quads
    assign high_q = '0;
  end

  initial begin
    assert (GroupChannels == 8 || GroupChannels == 16)
      else $fatal(1, "pe: GroupChannels is %0d; allowed are 8 and 16", GroupChannels);
    assert (PeLatency == TreeLevels + 4) else $fatal(1, "pe: PeLatency does not match the stages");
  end

endmodule
