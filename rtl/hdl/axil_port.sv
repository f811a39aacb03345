/// AXI4-Lite slave that takes one access at a time and hands it on as a request; reads and writes that wait take turns.
///
/// All outputs come from registers. The AXI4-Lite ports keep the standard's names.
module axil_port #(
  /// Bits of a byte address.
  parameter int unsigned AddrBits = 20
) (
  input  logic clk_i,
  input  logic rst_i,

  input  logic                s_axil_awvalid,
  output logic                s_axil_awready,
  input  logic [AddrBits-1:0] s_axil_awaddr,
  input  logic [2:0]          s_axil_awprot,
  input  logic                s_axil_wvalid,
  output logic                s_axil_wready,
  input  logic [31:0]         s_axil_wdata,
  input  logic [3:0]          s_axil_wstrb,
  output logic                s_axil_bvalid,
  input  logic                s_axil_bready,
  output logic [1:0]          s_axil_bresp,
  input  logic                s_axil_arvalid,
  output logic                s_axil_arready,
  input  logic [AddrBits-1:0] s_axil_araddr,
  input  logic [2:0]          s_axil_arprot,
  output logic                s_axil_rvalid,
  input  logic                s_axil_rready,
  output logic [31:0]         s_axil_rdata,
  output logic [1:0]          s_axil_rresp,

  /// An access begins; high for one cycle. What belongs to it stays until it is acknowledged.
  output logic                req_o,
  output logic                req_write_o,
  /// 32-bit word.
  output logic [AddrBits-1:2] req_word_o,
  output logic [31:0]         req_wdata_o,
  output logic [3:0]          req_strobes_o,
  /// The access ends, in the cycle of req_o or later.
  input  logic                ack_i,
  input  logic                error_i,
  input  logic [31:0]         rdata_i
);

  typedef enum logic [1:0] {Idle, Access, Respond} state_e;

  state_e state_q;
  logic   error_q, write;

  assign write = s_axil_awvalid && s_axil_wvalid && !(s_axil_arvalid && req_write_o);

  always_ff @(posedge clk_i) begin
    s_axil_arready <= 1'b0;
    s_axil_awready <= 1'b0;
    req_o          <= 1'b0;
    unique case (state_q)
      Idle: begin
        if (write || s_axil_arvalid) begin
          state_q        <= Access;
          req_o          <= 1'b1;
          req_write_o    <= write;
          s_axil_awready <= write;
          s_axil_arready <= !write;
        end
        req_word_o    <= write ? s_axil_awaddr[AddrBits-1:2] : s_axil_araddr[AddrBits-1:2];
        req_wdata_o   <= s_axil_wdata;
        req_strobes_o <= s_axil_wstrb;
      end
      Access: begin
        if (ack_i) begin
          state_q       <= Respond;
          s_axil_bvalid <= req_write_o;
          s_axil_rvalid <= !req_write_o;
        end
        s_axil_rdata <= rdata_i;
        error_q      <= error_i;
      end
      Respond: begin
        if (req_write_o ? s_axil_bready : s_axil_rready) begin
          state_q       <= Idle;
          s_axil_bvalid <= 1'b0;
          s_axil_rvalid <= 1'b0;
        end
      end
      default: state_q <= Idle;
    endcase
    if (rst_i) begin
      state_q        <= Idle;
      s_axil_arready <= 1'b0;
      s_axil_awready <= 1'b0;
      s_axil_bvalid  <= 1'b0;
      s_axil_rvalid  <= 1'b0;
      req_o          <= 1'b0;
      req_write_o    <= 1'b0;
    end
  end

  assign s_axil_wready = s_axil_awready;
  assign s_axil_bresp  = {error_q, 1'b0};
  assign s_axil_rresp  = {error_q, 1'b0};

  // Protection and the bytes of a word make no difference.
  logic unused_bits;
  assign unused_bits = ^{s_axil_awprot, s_axil_arprot, s_axil_awaddr[1:0], s_axil_araddr[1:0]};

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (!ack_i || state_q == Access) else $error("axil_port: acknowledged without an access");
    end
  end

endmodule
