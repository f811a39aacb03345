/// Holds the accelerator's ports, and whoever drives them, to AXI4-Lite and AXI4-Stream.
///
/// Handshakes of all channels; a response only after its request, which for writes is an address and a word.
module axi_checker #(
  parameter int unsigned BeatBits = 32
) (
  input logic clk_i,
  input logic rst_i,
  /// A soft reset cuts the streams off too.
  input logic stream_rst_i,

  input logic        s_axil_awvalid,
  input logic        s_axil_awready,
  input logic [19:0] s_axil_awaddr,
  input logic [2:0]  s_axil_awprot,
  input logic        s_axil_wvalid,
  input logic        s_axil_wready,
  input logic [31:0] s_axil_wdata,
  input logic [3:0]  s_axil_wstrb,
  input logic        s_axil_bvalid,
  input logic        s_axil_bready,
  input logic [1:0]  s_axil_bresp,
  input logic        s_axil_arvalid,
  input logic        s_axil_arready,
  input logic [19:0] s_axil_araddr,
  input logic [2:0]  s_axil_arprot,
  input logic        s_axil_rvalid,
  input logic        s_axil_rready,
  input logic [31:0] s_axil_rdata,
  input logic [1:0]  s_axil_rresp,

  input logic                s_axis_tvalid,
  input logic                s_axis_tready,
  input logic [BeatBits-1:0] s_axis_tdata,
  input logic                s_axis_tlast,

  input logic        m_axis_tvalid,
  input logic        m_axis_tready,
  input logic [63:0] m_axis_tdata,
  input logic [7:0]  m_axis_tkeep,
  input logic        m_axis_tlast
);

  axi_channel_checker #(.Channel("write address"), .Width(23)) u_aw (
    .clk_i, .rst_i, .valid_i(s_axil_awvalid), .ready_i(s_axil_awready), .payload_i({s_axil_awaddr, s_axil_awprot})
  );
  axi_channel_checker #(.Channel("write data"), .Width(36)) u_w (
    .clk_i, .rst_i, .valid_i(s_axil_wvalid), .ready_i(s_axil_wready), .payload_i({s_axil_wdata, s_axil_wstrb})
  );
  axi_channel_checker #(.Channel("write response"), .Width(2), .FromDevice(1'b1)) u_b (
    .clk_i, .rst_i, .valid_i(s_axil_bvalid), .ready_i(s_axil_bready), .payload_i(s_axil_bresp)
  );
  axi_channel_checker #(.Channel("read address"), .Width(23)) u_ar (
    .clk_i, .rst_i, .valid_i(s_axil_arvalid), .ready_i(s_axil_arready), .payload_i({s_axil_araddr, s_axil_arprot})
  );
  axi_channel_checker #(.Channel("read data"), .Width(34), .FromDevice(1'b1)) u_r (
    .clk_i, .rst_i, .valid_i(s_axil_rvalid), .ready_i(s_axil_rready), .payload_i({s_axil_rdata, s_axil_rresp})
  );
  axi_channel_checker #(.Channel("images"), .Width(BeatBits + 1)) u_images (
    .clk_i, .rst_i(stream_rst_i), .valid_i(s_axis_tvalid), .ready_i(s_axis_tready),
    .payload_i({s_axis_tdata, s_axis_tlast})
  );
  axi_channel_checker #(.Channel("results"), .Width(73), .FromDevice(1'b1)) u_results (
    .clk_i, .rst_i(stream_rst_i), .valid_i(m_axis_tvalid), .ready_i(m_axis_tready),
    .payload_i({m_axis_tdata, m_axis_tkeep, m_axis_tlast})
  );

  // Taken and not yet answered.
  int unsigned addresses_q, words_q, reads_q;
  bit          reset_seen;
  logic        answered_write, answered_read;

  initial reset_seen = 1'b0;

  assign answered_write = s_axil_bvalid && s_axil_bready;
  assign answered_read  = s_axil_rvalid && s_axil_rready;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      reset_seen  <= 1'b1;
      addresses_q <= 0;
      words_q     <= 0;
      reads_q     <= 0;
    end else if (reset_seen) begin
      addresses_q <= addresses_q + 32'(s_axil_awvalid && s_axil_awready) - 32'(answered_write);
      words_q     <= words_q + 32'(s_axil_wvalid && s_axil_wready) - 32'(answered_write);
      reads_q     <= reads_q + 32'(s_axil_arvalid && s_axil_arready) - 32'(answered_read);
      assert (!s_axil_bvalid || addresses_q != 0) else $error("axi_checker: write response without an address");
      assert (!s_axil_bvalid || words_q != 0) else $error("axi_checker: write response without data");
      assert (!s_axil_rvalid || reads_q != 0) else $error("axi_checker: read data without an address");
    end
  end

endmodule
