/// Accumulators of one PE: a ring of 2 * PassOutputs sums, some filling while others drain.
///
/// Even and odd channels lie in memories of their own, so that the drain reads a channel pair a cycle.
module accumulator
  import tritforge_pkg::*;
#(
  parameter int unsigned PassOutputs = 64,
  localparam int unsigned PairBits = $clog2(PassOutputs)
) (
  input  logic                      clk_i,
  input  logic                      add_valid_i,
  input  logic [PairBits:0]         add_addr_i,
  /// First addition to this sum in this pass.
  input  logic                      add_first_i,
  input  logic signed [AccBits-1:0] partial_i,

  input  logic [PairBits-1:0]       read_pair_i,
  output logic signed [AccBits-1:0] even_o,
  output logic signed [AccBits-1:0] odd_o
);

  logic signed [AccBits-1:0] even_mem [PassOutputs];
  logic signed [AccBits-1:0] odd_mem  [PassOutputs];

  logic [PairBits-1:0] add_pair;
  assign add_pair = add_addr_i[PairBits:1];

  always_ff @(posedge clk_i) begin
    if (add_valid_i && !add_addr_i[0]) begin
      even_mem[add_pair] <= (add_first_i ? '0 : even_mem[add_pair]) + partial_i;
    end
    if (add_valid_i && add_addr_i[0]) begin
      odd_mem[add_pair] <= (add_first_i ? '0 : odd_mem[add_pair]) + partial_i;
    end
  end

  assign even_o = even_mem[read_pair_i];
  assign odd_o  = odd_mem[read_pair_i];

endmodule
