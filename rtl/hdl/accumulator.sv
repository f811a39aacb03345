/// Accumulators of one PE: a ring of 2 * PassOutputs sums, some filling while others drain.
///
/// They are kept twice: once as a whole, to add to, and once in four memories by channel modulo 4, so that the drain
/// reads a quad of channels a cycle. The upper half of a sum follows a cycle after the lower, which halves the carry.
module accumulator
  import tritforge_pkg::*;
#(
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PassOutputs    = 64,
  localparam int unsigned AccBits  = acc_bits(ActivationBits),
  localparam int unsigned LaneBits = $clog2(DrainChannels),
  localparam int unsigned RingBits = $clog2(2 * PassOutputs),
  localparam int unsigned QuadBits = RingBits - LaneBits
) (
  input  logic                      clk_i,
  /// A cycle before the partial sum: it is added, to a channel of these modulo 4 (none when not valid).
  input  logic                      add_valid_i,
  input  logic [DrainChannels-1:0]  add_lane_i,
  input  logic [RingBits-1:0]       add_addr_i,
  /// First addition to this sum in this pass.
  input  logic                      add_first_i,
  input  logic signed [AccBits-1:0] partial_i,

  /// A cycle before its sums.
  input  logic [QuadBits-1:0]                          read_quad_i,
  output logic signed [DrainChannels-1:0][AccBits-1:0] quad_o
);

  localparam int unsigned LowBits  = AccBits / 2;
  localparam int unsigned HighBits = AccBits - LowBits;

  typedef struct packed {
    logic                     valid;
    logic [DrainChannels-1:0] lane;
    logic                     first;
    logic [RingBits-1:0]      addr;
  } add_t;

  // Copies of their own for every PE: many memories listen.
  (* keep *) add_t                low_q, high_q;
  (* keep *) logic [QuadBits-1:0] quad_q;
  logic [HighBits-1:0]            high_partial_q;
  logic                           carry, carry_q, unused_carry;

  always_ff @(posedge clk_i) begin
    low_q          <= '{valid: add_valid_i, lane: add_lane_i, first: add_first_i, addr: add_addr_i};
    high_q         <= low_q;
    quad_q         <= read_quad_i;
    high_partial_q <= partial_i[AccBits-1:LowBits];
    carry_q        <= carry;
  end

  logic [DrainChannels-1:0][LowBits-1:0]  low;
  logic [DrainChannels-1:0][HighBits-1:0] high;

  accumulator_half #(.Width(LowBits), .RingBits(RingBits)) u_low (
    .clk_i, .valid_i(low_q.valid), .lane_i(low_q.lane), .first_i(low_q.first), .addr_i(low_q.addr),
    .partial_i(partial_i[LowBits-1:0]), .carry_i(1'b0), .carry_o(carry), .read_quad_i(quad_q), .quad_o(low)
  );

  accumulator_half #(.Width(HighBits), .RingBits(RingBits)) u_high (
    .clk_i, .valid_i(high_q.valid), .lane_i(high_q.lane), .first_i(high_q.first), .addr_i(high_q.addr),
    .partial_i(high_partial_q), .carry_i(carry_q), .carry_o(unused_carry), .read_quad_i(quad_q), .quad_o(high)
  );

  for (genvar k = 0; k < DrainChannels; k++) begin : gen_lane
    assign quad_o[k] = {high[k], low[k]};
  end

endmodule
