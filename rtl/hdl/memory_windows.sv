/// The memory windows of the register map: single accesses become words of the program port, of the staging memory,
/// of the layer counters and of the counters.
///
/// An access waits while entries are being copied. A word of more than 32 bits is written by its last part; the parts
/// before it are held here. A write to a closed memory, beyond its end, with byte strobes, or of an entry whose space is
/// unknown has no effect and is told by rejected_o.
module memory_windows
  import tritforge_spaces_pkg::*;
  import tritforge_windows_pkg::*;
#(
  /// Words of the spaces, and entries of staging.
  parameter int unsigned DescriptorWords = 4096,
  parameter int unsigned BitmapWords     = 1024,
  parameter int unsigned AffineWords     = 4096,
  parameter int unsigned WeightWords     = 16384,
  parameter int unsigned Staging         = 1024,
  localparam int unsigned StagingAddrBits = $clog2(Staging),
  localparam int unsigned AtStaging       = Spaces,
  localparam int unsigned AtLayerCounters = Spaces + 1,
  localparam int unsigned AtCounters      = Spaces + 2,
  localparam int unsigned Windows         = Spaces + 3
) (
  input  logic clk_i,
  input  logic rst_i,

  /// One access at a time, until its acknowledgement. Windows: the spaces, then staging, layer counters, counters.
  input  logic [Windows-1:0] req_i,
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

  output logic                     prog_we_o,
  output space_t                   prog_space_o,
  output logic [SpaceAddrBits-1:0] prog_addr_o,
  output logic [SpaceWordBits-1:0] prog_wdata_o,
  /// Data four cycles after the address.
  input  logic [SpaceWordBits-1:0] prog_rdata_i,

  output logic                       entry_we_o,
  output logic [StagingAddrBits-1:0] entry_addr_o,
  output entry_t                     entry_wdata_o,
  input  entry_t                     entry_rdata_i,

  /// Data one to four cycles after the address.
  output logic [7:0]  layer_counter_addr_o,
  input  logic [31:0] layer_counter_rdata_i,
  output logic [3:0]  counter_addr_o,
  input  logic [31:0] counter_rdata_i
);

  typedef enum logic [2:0] {Idle, Check, Access, Wait, Fetch, Read, Data, Done} phase_e;

  phase_e      phase_q;
  logic [Windows-1:0] window_q;
  logic        write_q, whole_q, open_q;
  logic [16:0] word_q;
  logic [31:0] wdata_q;
  logic [31:0] low_word_q;
  logic [SpaceWordBits-1:0] entry_word_q;
  logic        in_range, in_range_q;
  logic        space, wide, staging, access, accepted;

  // By space.
  localparam logic [Spaces-1:0][31:0] Words = {WeightWords, AffineWords, BitmapWords, DescriptorWords};

  // Windows that do not have this bit of the word: it tells them apart.
  function automatic logic [Windows-1:0] windows_without(input int unsigned place);
    windows_without = '0;
    for (int unsigned s = 0; s < Spaces; s++) windows_without[s] = SpaceWindows[s].words >> place <= 1;
    windows_without[AtStaging] = StagingWindow.words >> place <= 1;
  endfunction

  assign space    = window_q[Spaces-1:0] != '0;
  assign wide     = (window_q[Spaces-1:0] & WideSpaces) != '0;
  assign staging  = window_q[AtStaging];
  assign access   = phase_q == Access && !copying_i;
  assign accepted = whole_q && in_range_q && (staging ? word_q[1:0] != 2'd3 : open_q);

  always_comb begin
    in_range = !(staging && 32'(word_q[16:2]) >= Staging) &&
               !(staging && write_q && word_q[1:0] == 2'd2 && 32'(wdata_q[31:EntrySpaceLow]) >= Spaces);
    for (int unsigned s = 0; s < Spaces; s++) begin
      if (window_q[s] && (WideSpaces[s] ? 32'(word_q[16:1]) : 32'(word_q)) >= Words[s]) in_range = 1'b0;
    end
  end

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
      for (int unsigned b = 0; b < $bits(word_q); b++) begin
        word_q[b] <= req_word_i[b] && (req_i & windows_without(b)) == '0;
      end
    end
    in_range_q <= in_range;
    open_q     <= open_i;
    if (access && write_q && accepted) begin
      if (wide && !word_q[0]) low_word_q <= wdata_q;
      if (staging && word_q[1:0] == 2'd0) entry_word_q[31:0] <= wdata_q;
      if (staging && word_q[1:0] == 2'd1) entry_word_q[SpaceWordBits-1:32] <= wdata_q[SpaceWordBits-33:0];
    end
  end

  assign rejected_o = access && write_q && !accepted;

  assign prog_we_o    = access && write_q && accepted && space && (!wide || word_q[0]);
  assign prog_addr_o  = wide ? SpaceAddrBits'(word_q[16:1]) : SpaceAddrBits'(word_q);
  assign prog_wdata_o = wide ? {wdata_q[SpaceWordBits-33:0], low_word_q} : SpaceWordBits'(wdata_q);

  always_comb begin
    prog_space_o = '0;
    for (int unsigned s = 0; s < Spaces; s++) if (window_q[s]) prog_space_o |= space_t'(s);
  end

  assign entry_we_o    = access && write_q && accepted && staging && word_q[1:0] == 2'd2;
  assign entry_addr_o  = word_q[StagingAddrBits+1:2];
  assign entry_wdata_o = {wdata_q[EntrySpaceLow +: $bits(space_t)], wdata_q[SpaceAddrBits-1:0], entry_word_q};

  assign layer_counter_addr_o = word_q[7:0];
  assign counter_addr_o       = word_q[3:0];

  // One of these is high while the data are there, or none: nothing is read, or beyond the end.
  logic       low_q, high_q, layer_counter_q, counter_q;
  logic [2:0] entry_q;

  always_ff @(posedge clk_i) begin
    {low_q, high_q, layer_counter_q, counter_q, entry_q} <= '0;
    if (phase_q == Read && in_range_q) begin
      low_q           <= space && !(wide && word_q[0]);
      high_q          <= wide && word_q[0];
      layer_counter_q <= window_q[AtLayerCounters];
      counter_q       <= window_q[AtCounters];
      if (staging) entry_q <= 3'(4'd1 << word_q[1:0]);
    end
    rdata_o <= ({32{low_q}} & prog_rdata_i[31:0]) | ({32{high_q}} & 32'(prog_rdata_i[SpaceWordBits-1:32])) |
               ({32{layer_counter_q}} & layer_counter_rdata_i) | ({32{counter_q}} & counter_rdata_i) |
               ({32{entry_q[0]}} & entry_rdata_i.word[31:0]) |
               ({32{entry_q[1]}} & 32'(entry_rdata_i.word[SpaceWordBits-1:32])) |
               ({32{entry_q[2]}} & (32'(entry_rdata_i.space) << EntrySpaceLow | 32'(entry_rdata_i.addr)));
  end

  assign ack_o = phase_q == Done;

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (req_i == '0 || (phase_q == Idle && $onehot(req_i)))
      else $error("memory_windows: an access came before the last was acknowledged");
    end
  end

endmodule
