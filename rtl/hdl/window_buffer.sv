/// The windows of one PE, twice: shadow registers that load, and the ones the array reads.
///
/// Every shadow register listens to one fixed lane, so that no multiplexer stands in front of it.
module window_buffer
  import tritforge_pkg::*;
#(
  parameter int unsigned WordBits = 128
) (
  input  logic                          clk_i,
  /// The lane of each tap.
  input  logic [Taps-1:0][WordBits-1:0] lane_i,
  input  logic [Taps-1:0]               take_i,
  input  logic                          move_i,
  output logic [Taps-1:0][WordBits-1:0] window_o
);

  logic [Taps-1:0][WordBits-1:0] shadow_q;

  always_ff @(posedge clk_i) begin
    for (int unsigned t = 0; t < Taps; t++) begin
      if (take_i[t]) shadow_q[t] <= lane_i[t];
    end
    if (move_i) window_o <= shadow_q;
  end

endmodule
