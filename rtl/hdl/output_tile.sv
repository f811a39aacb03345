/// Collects a block of results, a channel pair of all pixels a cycle, and writes it as one tile of feature-map words.
///
/// Pixel (i, j) of the tile lies at coordinates + 1, so each pixel has one bank it ever goes to; row 0 and column 0 of
/// the banks belong to the next chunk.
module output_tile
  import tritforge_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  localparam int unsigned Rows     = tile_rows(Pes),
  localparam int unsigned Columns  = tile_columns(Pes),
  localparam int unsigned WordBits = GroupChannels * ActivationBits,
  localparam int unsigned LaneBits = $clog2(GroupChannels) - 1
) (
  input  logic clk_i,
  input  logic rst_i,
  /// Constant during a layer.
  input  logic [AddrBits-1:0] row_stride_i,
  input  logic [7:0]          blocks_i,

  input  logic                                    pair_valid_i,
  input  logic [LaneBits-1:0]                     pair_lane_i,
  /// By pixel: even and odd channel.
  input  logic [Pes-1:0][1:0][ActivationBits-1:0] pair_i,
  input  logic                                    block_end_i,
  input  logic [AddrBits-1:0]                     pointer_i,
  input  logic [Rows-1:0]                         rows_i,
  input  logic [Columns-1:0]                      columns_i,

  output logic                                       tile_valid_o,
  output logic [Rows-1:0][Columns-1:0]               tile_mask_o,
  output logic [Rows-1:0][Columns-1:0][AddrBits-1:0] tile_addr_o,
  output logic [Rows-1:0][Columns-1:0][WordBits-1:0] tile_data_o
);

  logic [AddrBits-1:0] pointer_q;
  logic [Rows-1:0]     rows_q;
  logic [Columns-1:0]  columns_q;

  always_ff @(posedge clk_i) begin
    tile_valid_o <= pair_valid_i && block_end_i && !rst_i;
    if (pair_valid_i && block_end_i) begin
      pointer_q <= pointer_i;
      rows_q    <= rows_i;
      columns_q <= columns_i;
    end
  end

  for (genvar p = 0; p < Pes; p++) begin : gen_pixel
    localparam int unsigned I = p / Columns;
    localparam int unsigned J = p % Columns;
    localparam int unsigned R = (I + 1) % Rows;
    localparam int unsigned C = (J + 1) % Columns;
    logic [GroupChannels/2-1:0][1:0][ActivationBits-1:0] word_q;

    always_ff @(posedge clk_i) begin
      if (pair_valid_i) word_q[pair_lane_i] <= pair_i[p];
    end

    assign tile_data_o[R][C] = word_q;
    assign tile_mask_o[R][C] = rows_q[I] && columns_q[J];
    assign tile_addr_o[R][C] = pointer_q + (I + 1 == Rows ? row_stride_i : '0) +
                               (J + 1 == Columns ? AddrBits'(blocks_i) : '0);
  end

endmodule
