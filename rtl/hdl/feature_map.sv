/// Feature-map memory: one bank for each pixel of a tile, so that a tile is written, and a chunk read, in one cycle.
///
/// A tile's pixels lie at their coordinates + 1: the first row and column of banks hold those of the next chunk.
///
/// Port A of every bank serves the window loader, and the image's pixels in cycles in which that reads nothing. Port B
/// serves the drain: its tiles and the reads of its residual.
module feature_map
  import tritforge_pkg::*;
#(
  parameter int unsigned Pes          = 16,
  parameter int unsigned WordBits     = 128,
  parameter int unsigned FeatureWords = 1024,
  localparam int unsigned Rows    = tile_rows(Pes),
  localparam int unsigned Columns = tile_columns(Pes),
  localparam int unsigned RowIdxBits = Rows > 1 ? $clog2(Rows) : 1,
  localparam int unsigned ColIdxBits = $clog2(Columns)
) (
  input  logic clk_i,

  /// Windows: two cycles from address to data while the enable is high; nothing is read in this cycle. Addresses of the
  /// rows from half of them on (0) and of those before (1), of columns from 1 on (0) and of column 0 (1).
  input  logic                                       window_en_i,
  input  logic                                       window_idle_i,
  input  logic [1:0][1:0][AddrBits-1:0]              window_addr_i,
  output logic [Rows-1:0][Columns-1:0][WordBits-1:0] window_data_o,

  /// A tile of results; addresses in its chunk and in the next one, by rows and by columns.
  input  logic                                       tile_valid_i,
  input  logic [Rows-1:0][Columns-1:0]               tile_mask_i,
  input  logic [1:0][1:0][AddrBits-1:0]              tile_addr_i,
  input  logic [Rows-1:0][Columns-1:0][WordBits-1:0] tile_data_i,

  /// Residual, not in the cycle of a tile: data two cycles later, until a cycle after the next read.
  input  logic                                       residual_valid_i,
  input  logic [1:0][1:0][AddrBits-1:0]              residual_addr_i,
  output logic [Rows-1:0][Columns-1:0][WordBits-1:0] residual_data_o,

  /// A pixel of the image.
  input  logic                  pixel_valid_i,
  output logic                  pixel_ready_o,
  input  logic [RowIdxBits-1:0] pixel_row_i,
  input  logic [ColIdxBits-1:0] pixel_column_i,
  input  logic [AddrBits-1:0]   pixel_addr_i,
  input  logic [WordBits-1:0]   pixel_data_i
);

  localparam int unsigned BankAddrBits = $clog2(FeatureWords);

  localparam int unsigned HalfRows     = (Rows + 1) / 2;

  logic [1:0][1:0][AddrBits-1:0] a_addr, b_addr;

  assign pixel_ready_o = window_idle_i;
  assign a_addr        = pixel_ready_o ? {4{pixel_addr_i}} : window_addr_i;
  assign b_addr        = tile_valid_i ? tile_addr_i : residual_addr_i;

  for (genvar r = 0; r < Rows; r++) begin : gen_row
    for (genvar c = 0; c < Columns; c++) begin : gen_column
      logic here;

      assign here = pixel_valid_i && pixel_ready_o && 32'(pixel_row_i) == r && 32'(pixel_column_i) == c;

      ram_tdp #(.Width(WordBits), .Depth(FeatureWords)) u_bank (
        .clk_i,
        .a_en_i(window_en_i),
        .a_we_i(here),
        .a_addr_i(a_addr[r<HalfRows][c==0][BankAddrBits-1:0]),
        .a_wdata_i(pixel_data_i),
        .a_rdata_o(window_data_o[r][c]),
        .b_en_i(residual_valid_i),
        .b_we_i(tile_valid_i && tile_mask_i[r][c]),
        .b_addr_i(b_addr[r==0][c==0][BankAddrBits-1:0]),
        .b_wdata_i(tile_data_i[r][c]),
        .b_rdata_o(residual_data_o[r][c])
      );
    end
  end

  always_ff @(posedge clk_i) begin
    assert (!(tile_valid_i && residual_valid_i)) else $error("feature_map: a residual is read in the cycle of a tile");
  end

endmodule
