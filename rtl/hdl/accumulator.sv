/// Accumulators of one PE: a ring of 2 * PassOutputs sums, some filling while others drain.
///
/// Channels lie in four memories, by their number modulo 4, so that the drain reads a quad of channels a cycle.
module accumulator
  import tritforge_pkg::*;
#(
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PassOutputs    = 64,
  localparam int unsigned AccBits  = acc_bits(ActivationBits),
  localparam int unsigned LaneBits = $clog2(DrainChannels),
  localparam int unsigned QuadBits = $clog2(2 * PassOutputs) - LaneBits
) (
  input  logic                         clk_i,
  input  logic                         add_valid_i,
  input  logic [QuadBits+LaneBits-1:0] add_addr_i,
  /// First addition to this sum in this pass.
  input  logic                         add_first_i,
  input  logic signed [AccBits-1:0]    partial_i,

  input  logic [QuadBits-1:0]                          read_quad_i,
  output logic signed [DrainChannels-1:0][AccBits-1:0] quad_o
);

  logic [QuadBits-1:0] add_quad;
  assign add_quad = add_addr_i[LaneBits +: QuadBits];

  for (genvar k = 0; k < DrainChannels; k++) begin : gen_lane
    logic signed [AccBits-1:0] mem [2 ** QuadBits];

    always_ff @(posedge clk_i) begin
      if (add_valid_i && add_addr_i[LaneBits-1:0] == LaneBits'(k)) begin
        mem[add_quad] <= (add_first_i ? '0 : mem[add_quad]) + partial_i;
      end
    end

    assign quad_o[k] = mem[read_quad_i];
  end

endmodule
