/// Holds one channel to the handshake: what is valid stays, unchanged, until it is taken; nothing is valid in a reset.
module axi_channel_checker #(
  parameter string Channel = "",
  parameter int unsigned Width = 32,
  /// The device drives valid_i, which is then low from the second cycle of a reset on.
  parameter bit FromDevice = 1'b0
) (
  input logic             clk_i,
  input logic             rst_i,
  input logic             valid_i,
  input logic             ready_i,
  input logic [Width-1:0] payload_i
);

  bit               reset_q, waits_q;
  logic [Width-1:0] payload_q;

  initial {reset_q, waits_q} = '0;

  always_ff @(posedge clk_i) begin
    reset_q   <= rst_i;
    waits_q   <= valid_i && !ready_i && !rst_i;
    payload_q <= payload_i;
    if (waits_q && !rst_i) begin
      assert (valid_i) else $error("axi_checker: %s: valid fell before ready", Channel);
      assert (!valid_i || payload_i == payload_q) else $error("axi_checker: %s: payload changed before ready", Channel);
    end
    assert (!(FromDevice && reset_q && rst_i && valid_i)) else $error("axi_checker: %s: valid in a reset", Channel);
  end

endmodule
