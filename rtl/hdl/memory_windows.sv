/// The memory windows of the register map: single accesses become words of the program port, of the staging memory,
/// of the layer counters and of the counters.
///
/// An access waits while entries are being copied. A 36-bit word is written by its last part; the parts before it are
/// held here. A write to a closed memory, beyond its end or with byte strobes has no effect and is told by rejected_o.
module memory_windows #(
  /// Words of the memories: of 32 bits, of 36 bits in the weights, and entries of staging.
  parameter int unsigned DescriptorWords = 4096,
  parameter int unsigned BitmapWords     = 1024,
  parameter int unsigned AffineWords     = 4096,
  parameter int unsigned WeightWords     = 16384,
  parameter int unsigned Staging         = 1024,
  localparam int unsigned StagingAddrBits = $clog2(Staging)
) (
  input  logic clk_i,
  input  logic rst_i,

  /// One access at a time, until its acknowledgement. Windows: 0 to 3 program spaces, 4 staging, 5 layer counters,
  /// 6 counters.
  input  logic [6:0]  req_i,
  input  logic        req_write_i,
  /// 32-bit word of the window, below what tells the windows apart.
  input  logic [16:0] req_word_i,
  input  logic [31:0] req_wdata_i,
  /// All byte strobes are set.
  input  logic        req_whole_i,
  output logic        ack_o,
  /// With the acknowledgement; 0 otherwise.
  output logic [31:0] rdata_o,

  /// Entries are being copied.
  input  logic        copying_i,
  /// The program memories may be written.
  input  logic        open_i,
  output logic        rejected_o,

  output logic        prog_we_o,
  output logic [1:0]  prog_space_o,
  output logic [17:0] prog_addr_o,
  output logic [35:0] prog_wdata_o,
  /// Data four cycles after the address.
  input  logic [35:0] prog_rdata_i,

  output logic                       entry_we_o,
  output logic [StagingAddrBits-1:0] entry_addr_o,
  output logic [55:0]                entry_wdata_o,
  input  logic [55:0]                entry_rdata_i,

  /// Data one to four cycles after the address.
  output logic [7:0]  layer_counter_addr_o,
  input  logic [31:0] layer_counter_rdata_i,
  output logic [3:0]  counter_addr_o,
  input  logic [31:0] counter_rdata_i
);

  typedef enum logic [2:0] {Idle, Check, Access, Wait, Fetch, Read, Data, Done} phase_e;

  phase_e      phase_q;
  logic [6:0]  window_q;
  logic        write_q, whole_q, open_q;
  logic [16:0] word_q;
  logic [31:0] wdata_q;
  logic [31:0] weight_low_q;
  logic [35:0] entry_data_q;
  logic        in_range, in_range_q;
  logic        weights, staging, access, accepted;

  assign weights  = window_q[3];
  assign staging  = window_q[4];
  assign access   = phase_q == Access && !copying_i;
  assign accepted = whole_q && in_range_q && (staging ? word_q[1:0] != 2'd3 : open_q);

  assign in_range = !((window_q[0] && 32'(word_q) >= DescriptorWords) ||
                      (window_q[1] && 32'(word_q) >= BitmapWords) ||
                      (window_q[2] && 32'(word_q) >= AffineWords) ||
                      (window_q[3] && 32'(word_q[16:1]) >= WeightWords) ||
                      (window_q[4] && 32'(word_q[16:2]) >= Staging));

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      phase_q <= Idle;
    end else begin
      unique case (phase_q)
        Idle: if (req_i != '0) phase_q <= Check;
        Check: phase_q <= Access;
        Access: if (!copying_i) phase_q <= Wait;
        Wait: phase_q <= Fetch;
        Fetch: phase_q <= Read;
        Read: phase_q <= Data;
        Data: phase_q <= Done;
        default: phase_q <= Idle;
      endcase
    end
    if (phase_q == Idle) begin
      window_q      <= req_i;
      write_q       <= req_write_i;
      whole_q       <= req_whole_i;
      wdata_q       <= req_wdata_i;
      word_q[11:0]  <= req_word_i[11:0];
      word_q[12]    <= req_word_i[12] && !req_i[0];
      word_q[13]    <= req_word_i[13] && !req_i[0] && !req_i[1];
      word_q[16:14] <= req_i[3] ? req_word_i[16:14] : '0;
    end
    in_range_q <= in_range;
    open_q     <= open_i;
    if (access && write_q && accepted) begin
      if (weights && !word_q[0]) weight_low_q <= wdata_q;
      if (staging && word_q[1:0] == 2'd0) entry_data_q[31:0] <= wdata_q;
      if (staging && word_q[1:0] == 2'd1) entry_data_q[35:32] <= wdata_q[3:0];
    end
  end

  assign rejected_o = access && write_q && !accepted;

  assign prog_we_o    = access && write_q && accepted && (window_q[2:0] != '0 || (weights && word_q[0]));
  assign prog_space_o = {window_q[3] | window_q[2], window_q[3] | window_q[1]};
  assign prog_addr_o  = weights ? 18'(word_q[16:1]) : 18'(word_q);
  assign prog_wdata_o = weights ? {wdata_q[3:0], weight_low_q} : 36'(wdata_q);

  assign entry_we_o    = access && write_q && accepted && staging && word_q[1:0] == 2'd2;
  assign entry_addr_o  = word_q[StagingAddrBits+1:2];
  assign entry_wdata_o = {wdata_q[25:24], wdata_q[17:0], entry_data_q};

  assign layer_counter_addr_o = word_q[7:0];
  assign counter_addr_o       = word_q[3:0];

  // One of these is high while the data are there, or none: nothing is read, or beyond the end.
  logic       low_q, high_q, layer_counter_q, counter_q;
  logic [2:0] entry_q;

  always_ff @(posedge clk_i) begin
    {low_q, high_q, layer_counter_q, counter_q, entry_q} <= '0;
    if (phase_q == Read && in_range_q) begin
      low_q           <= window_q[2:0] != '0 || (weights && !word_q[0]);
      high_q          <= weights && word_q[0];
      layer_counter_q <= window_q[5];
      counter_q       <= window_q[6];
      if (staging) entry_q <= 3'(4'd1 << word_q[1:0]);
    end
    rdata_o <= ({32{low_q}} & prog_rdata_i[31:0]) | ({32{high_q}} & 32'(prog_rdata_i[35:32])) |
               ({32{layer_counter_q}} & layer_counter_rdata_i) | ({32{counter_q}} & counter_rdata_i) |
               ({32{entry_q[0]}} & entry_rdata_i[31:0]) | ({32{entry_q[1]}} & 32'(entry_rdata_i[35:32])) |
               ({32{entry_q[2]}} & {6'd0, entry_rdata_i[55:54], 6'd0, entry_rdata_i[53:36]});
  end

  assign ack_o = phase_q == Done;

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (req_i == '0 || (phase_q == Idle && $onehot(req_i)))
      else $error("memory_windows: an access came before the last was acknowledged");
    end
  end

endmodule
