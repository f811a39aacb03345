/// Collects a block of results, a quad of channels of all pixels a cycle, and writes it as a tile of feature-map words.
///
/// Pixel (i, j) of the tile lies at coordinates + 1, so each pixel has one bank it ever goes to; row 0 and column 0 of
/// the banks belong to the next chunk. The blocks of a row of tiles follow each other word by word.
module output_tile
  import tritforge_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  localparam int unsigned Rows     = tile_rows(Pes),
  localparam int unsigned Columns  = tile_columns(Pes),
  localparam int unsigned WordBits = GroupChannels * ActivationBits,
  localparam int unsigned Quads    = GroupChannels / DrainChannels,
  localparam int unsigned LaneBits = $clog2(Quads)
) (
  input  logic clk_i,
  input  logic rst_i,

  input  logic                quad_valid_i,
  /// The map of its layer; it is of the first block in a row of tiles, of the first tile of the layer.
  input  logic [AddrBits-1:0] base_i,
  input  logic [AddrBits-1:0] row_stride_i,
  input  logic [7:0]          blocks_i,
  input  logic                row_start_i,
  input  logic                first_tile_i,
  /// Its place in the block, in order; rows and columns of the tile that lie on the map.
  input  logic [LaneBits-1:0] lane_i,
  input  logic [Rows-1:0]     rows_i,
  input  logic [Columns-1:0]  columns_i,
  /// By pixel.
  input  logic [Pes-1:0][DrainChannels-1:0][ActivationBits-1:0] quad_i,

  output logic                                       tile_valid_o,
  output logic [Rows-1:0][Columns-1:0]               tile_mask_o,
  /// In the tile's chunk and in the next one, by rows and by columns.
  output logic [1:0][1:0][AddrBits-1:0]              tile_addr_o,
  output logic [Rows-1:0][Columns-1:0][WordBits-1:0] tile_data_o
);

  logic [AddrBits-1:0] row_q, pointer_q, start;
  logic [Rows-1:0]     rows_q;
  logic [Columns-1:0]  columns_q;
  logic                ends;

  assign start = first_tile_i ? base_i : row_q + row_stride_i;
  assign ends  = quad_valid_i && lane_i == '1;

  always_ff @(posedge clk_i) begin
    if (quad_valid_i && lane_i == '0) begin
      pointer_q <= row_start_i ? start : pointer_q + 1'b1;
      if (row_start_i) row_q <= start;
    end
    if (ends) begin
      rows_q    <= rows_i;
      columns_q <= columns_i;
      for (int unsigned n = 0; n < 4; n++) begin
        tile_addr_o[n/2][n%2] <= pointer_q + (n / 2 == 1 ? row_stride_i : '0) +
                                 (n % 2 == 1 ? AddrBits'(blocks_i) : '0);
      end
    end
    tile_valid_o <= ends && !rst_i;
  end

  for (genvar p = 0; p < Pes; p++) begin : gen_pixel
    localparam int unsigned I = p / Columns;
    localparam int unsigned J = p % Columns;
    localparam int unsigned R = (I + 1) % Rows;
    localparam int unsigned C = (J + 1) % Columns;
    logic [Quads-1:0][DrainChannels*ActivationBits-1:0] word_q;

    always_ff @(posedge clk_i) begin
      if (quad_valid_i) word_q[lane_i] <= quad_i[p];
    end

    assign tile_data_o[R][C] = word_q;
    assign tile_mask_o[R][C] = rows_q[I] && columns_q[J];
  end

endmodule
