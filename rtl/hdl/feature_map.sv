/// Feature-map memory: one bank for each pixel of a tile, so that a tile is written, and a chunk read, in one cycle.
///
/// Port A of every bank belongs to the window loader. Port B serves, in this order, the drain's tiles, the residual's
/// reads, and the image's pixels.
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

  /// Windows: two cycles from address to data while the enable is high.
  input  logic                                       window_en_i,
  input  logic [Rows-1:0][Columns-1:0][AddrBits-1:0] window_addr_i,
  output logic [Rows-1:0][Columns-1:0][WordBits-1:0] window_data_o,

  /// A tile of results, never refused.
  input  logic                                       tile_valid_i,
  input  logic [Rows-1:0][Columns-1:0]               tile_mask_i,
  input  logic [Rows-1:0][Columns-1:0][AddrBits-1:0] tile_addr_i,
  input  logic [Rows-1:0][Columns-1:0][WordBits-1:0] tile_data_i,

  /// Residual: data two cycles after the handshake.
  input  logic                                       residual_valid_i,
  output logic                                       residual_ready_o,
  input  logic [Rows-1:0][Columns-1:0][AddrBits-1:0] residual_addr_i,
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

  assign residual_ready_o = !tile_valid_i;
  assign pixel_ready_o    = !tile_valid_i && !residual_valid_i;

  for (genvar r = 0; r < Rows; r++) begin : gen_row
    for (genvar c = 0; c < Columns; c++) begin : gen_column
      logic                we, here;
      logic [AddrBits-1:0] addr;

      assign here = pixel_valid_i && pixel_ready_o && 32'(pixel_row_i) == r && 32'(pixel_column_i) == c;
      assign we   = (tile_valid_i && tile_mask_i[r][c]) || here;
      assign addr = tile_valid_i ? tile_addr_i[r][c] : residual_valid_i ? residual_addr_i[r][c] : pixel_addr_i;

      ram_tdp #(.Width(WordBits), .Depth(FeatureWords)) u_bank (
        .clk_i,
        .a_en_i(window_en_i),
        .a_addr_i(window_addr_i[r][c][BankAddrBits-1:0]),
        .a_rdata_o(window_data_o[r][c]),
        .b_we_i(we),
        .b_addr_i(addr[BankAddrBits-1:0]),
        .b_wdata_i(tile_valid_i ? tile_data_i[r][c] : pixel_data_i),
        .b_rdata_o(residual_data_o[r][c])
      );
    end
  end

endmodule
