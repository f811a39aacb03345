/// The windows of one PE, twice: shadow registers that load, and the ones the array reads.
///
/// Every shadow register listens to one fixed lane, so that no multiplexer stands in front of it.
module window_buffer
  import tritforge_pkg::*;
#(
  parameter int unsigned Pes      = 16,
  parameter int unsigned WordBits = 128,
  /// This PE's number: its pixel in the tile.
  parameter int unsigned Index    = 0,
  localparam int unsigned Rows    = tile_rows(Pes),
  localparam int unsigned Columns = tile_columns(Pes)
) (
  input  logic                                       clk_i,
  input  logic [Rows-1:0][Columns-1:0][WordBits-1:0] lane_i,
  input  logic [Taps-1:0]                            take_i,
  input  logic                                       move_i,
  output logic [Taps-1:0][WordBits-1:0]              window_o
);

  logic [Taps-1:0][WordBits-1:0] shadow_q;

  for (genvar t = 0; t < Taps; t++) begin : gen_tap
    localparam int unsigned Row    = (Index / Columns + t / 3) % Rows;
    localparam int unsigned Column = (Index % Columns + t % 3) % Columns;
    always_ff @(posedge clk_i) begin
      if (take_i[t]) shadow_q[t] <= lane_i[Row][Column];
    end
  end

  always_ff @(posedge clk_i) begin
    if (move_i) window_o <= shadow_q;
  end

endmodule
