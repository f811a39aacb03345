/// Sums of a layer's outputs over all pixels of the map, gathered while the layer drains, exact.
///
/// A channel pair of all pixels of a tile comes in a cycle; pixels outside the map are left out; the layer's first
/// tile starts the sums anew.
module average_pool
  import tritforge_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PoolChannels   = 512,
  localparam int unsigned Rows     = tile_rows(Pes),
  localparam int unsigned Columns  = tile_columns(Pes),
  localparam int unsigned PairBits = $clog2(PoolChannels) - 1
) (
  input  logic clk_i,
  input  logic                                    pair_valid_i,
  input  logic                                    first_tile_i,
  input  logic [PairBits-1:0]                     pair_index_i,
  input  logic [Rows-1:0]                         rows_i,
  input  logic [Columns-1:0]                      columns_i,
  input  logic [Pes-1:0][1:0][ActivationBits-1:0] pair_i,

  input  logic [PairBits-1:0]       read_pair_i,
  output logic signed [AccBits-1:0] even_o,
  output logic signed [AccBits-1:0] odd_o
);

  localparam int unsigned Levels  = $clog2(Pes);
  localparam int unsigned SumBits = ActivationBits + 1 + Levels;

  logic signed [1:0][Pes-1:0][ActivationBits:0] masked;
  logic signed [SumBits-1:0]                    sum [2];

  always_comb begin
    for (int unsigned p = 0; p < Pes; p++) begin
      for (int unsigned k = 0; k < 2; k++) begin
        masked[k][p] = rows_i[p / Columns] && columns_i[p % Columns] ? {1'b0, pair_i[p][k]} : '0;
      end
    end
  end

  // The pair's place travels beside the adder tree.
  logic [Levels:0]                 valid;
  logic [Levels:0]                 first;
  logic [Levels:0][PairBits-1:0]   index;

  assign valid[0] = pair_valid_i;
  assign first[0] = first_tile_i;
  assign index[0] = pair_index_i;

  always_ff @(posedge clk_i) begin
    valid[Levels:1] <= valid[Levels-1:0];
    first[Levels:1] <= first[Levels-1:0];
    index[Levels:1] <= index[Levels-1:0];
  end

  for (genvar k = 0; k < 2; k++) begin : gen_sum
    adder_tree #(.Inputs(Pes), .Width(ActivationBits + 1)) u_tree (
      .clk_i, .en_i('1), .data_i(masked[k]), .sum_o(sum[k])
    );
  end

  logic signed [AccBits-1:0] even_mem [PoolChannels/2];
  logic signed [AccBits-1:0] odd_mem  [PoolChannels/2];

  always_ff @(posedge clk_i) begin
    if (valid[Levels]) begin
      even_mem[index[Levels]] <= (first[Levels] ? '0 : even_mem[index[Levels]]) + AccBits'(sum[0]);
      odd_mem[index[Levels]]  <= (first[Levels] ? '0 : odd_mem[index[Levels]]) + AccBits'(sum[1]);
    end
  end

  assign even_o = even_mem[read_pair_i];
  assign odd_o  = odd_mem[read_pair_i];

endmodule
