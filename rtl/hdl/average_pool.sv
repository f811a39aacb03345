/// Sums of a layer's outputs over all pixels of the map, gathered while the layer drains, exact.
///
/// A quad of channels of all pixels of a tile comes in a cycle, with zeros for pixels beside the map; the layer's first
/// tile starts the sums anew. The same quad comes again after two cycles at the earliest.
module average_pool
  import tritforge_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PoolChannels   = 512,
  localparam int unsigned AccBits  = acc_bits(ActivationBits),
  localparam int unsigned QuadBits = $clog2(PoolChannels / DrainChannels)
) (
  input  logic clk_i,
  input  logic                                                  quad_valid_i,
  input  logic                                                  first_tile_i,
  input  logic [QuadBits-1:0]                                   quad_index_i,
  input  logic [Pes-1:0][DrainChannels-1:0][ActivationBits-1:0] quad_i,

  /// Sums of a quad, a cycle later; not while quads come or are on their way.
  input  logic [QuadBits-1:0]                           read_quad_i,
  output logic signed [DrainChannels-1:0][AccBits-1:0] sums_o
);

  localparam int unsigned Levels = $clog2(Pes);

  // The quad's place travels beside the adder tree.
  logic [Levels:0]               valid;
  logic [Levels-1:0]             first;
  logic [Levels:0][QuadBits-1:0] index;

  assign valid[0] = quad_valid_i;
  assign first[0] = first_tile_i;
  assign index[0] = quad_index_i;

  always_ff @(posedge clk_i) begin
    valid[Levels:1] <= valid[Levels-1:0];
    first[Levels-1:1] <= first[Levels-2:0];
    index[Levels:1] <= index[Levels-1:0];
  end

  localparam int unsigned SumBits = AccBits - 1;  // no sum is negative
  logic [DrainChannels-1:0][SumBits-1:0] old_q, sums;

  for (genvar k = 0; k < DrainChannels; k++) begin : gen_channel
    logic signed [Pes-1:0][ActivationBits:0]  values;
    logic signed [ActivationBits+Levels:0]    sum;

    always_comb begin
      for (int unsigned p = 0; p < Pes; p++) values[p] = {1'b0, quad_i[p][k]};
    end

    adder_tree #(.Inputs(Pes), .Width(ActivationBits + 1)) u_tree (
      .clk_i, .en_i('1), .data_i(values), .sum_o(sum)
    );

    (* keep *) logic first_q;
    always_ff @(posedge clk_i) first_q <= first[Levels-1];
    assign sums[k]   = (first_q ? '0 : old_q[k]) + SumBits'(unsigned'(sum));
    assign sums_o[k] = {1'b0, old_q[k]};
  end

  (* no_rw_check, ram_style = "block" *) logic [DrainChannels*SumBits-1:0] mem [PoolChannels/DrainChannels];

  always_ff @(posedge clk_i) begin
    if (valid[Levels]) mem[index[Levels]] <= sums;
    old_q <= mem[valid[Levels-1] ? index[Levels-1] : read_quad_i];
  end

  always_ff @(posedge clk_i) begin
    assert (!(valid[Levels] && valid[Levels-1] && index[Levels] == index[Levels-1]))
      else $error("average_pool: a quad in two cycles on end");
  end

endmodule
