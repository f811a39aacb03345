/// Accumulators of one PE: two buffers of PassOutputs sums, one filling while the other drains.
///
/// Even and odd channels lie in memories of their own, so that the drain reads a channel pair a cycle.
module accumulator
  import tritforge_pkg::*;
#(
  parameter int unsigned PassOutputs = 64,
  localparam int unsigned PairBits = $clog2(PassOutputs) - 1
) (
  input  logic                      clk_i,
  input  logic                      add_valid_i,
  input  logic                      add_buffer_i,
  input  logic [PairBits:0]         add_channel_i,
  /// First addition to this channel in this pass.
  input  logic                      add_first_i,
  input  logic signed [AccBits-1:0] partial_i,

  input  logic                      read_buffer_i,
  input  logic [PairBits-1:0]       read_pair_i,
  output logic signed [AccBits-1:0] even_o,
  output logic signed [AccBits-1:0] odd_o
);

  logic signed [AccBits-1:0] even_mem [PassOutputs];
  logic signed [AccBits-1:0] odd_mem  [PassOutputs];

  logic [PairBits:0] add_addr, read_addr;
  assign add_addr  = {add_buffer_i, add_channel_i[PairBits:1]};
  assign read_addr = {read_buffer_i, read_pair_i};

  always_ff @(posedge clk_i) begin
    if (add_valid_i && !add_channel_i[0]) begin
      even_mem[add_addr] <= (add_first_i ? '0 : even_mem[add_addr]) + partial_i;
    end
    if (add_valid_i && add_channel_i[0]) begin
      odd_mem[add_addr] <= (add_first_i ? '0 : odd_mem[add_addr]) + partial_i;
    end
  end

  assign even_o = even_mem[read_addr];
  assign odd_o  = odd_mem[read_addr];

endmodule
