/// Lets a group into the array as soon as its windows are loaded and an accumulator buffer is free.
///
/// The accumulators are a ring of 2 * PassOutputs sums; a pass takes a buffer of as many channel blocks as it needs, so
/// that layers of few channels, whose passes are short, have many buffers to cover the way through PEs and drain.
///
/// The weight memory answers two cycles after the issue; tags for the array leave at that time. The windows move one
/// cycle earlier, so that they stand beside the weights.
module group_issue
  import tritforge_pkg::*;
#(
  parameter int unsigned GroupChannels = 16,
  parameter int unsigned PassOutputs   = 64
) (
  input  logic clk_i,
  input  logic rst_i,
  /// Starts a layer, whose buffers have this many channel blocks (log2).
  input  logic       start_i,
  input  logic [2:0] buffer_log2_i,

  input  logic   group_valid_i,
  output logic   group_ready_o,
  input  group_t group_i,

  /// The shadow windows are complete; they are taken when group_ready_o meets a group that loads.
  input  logic windows_full_i,
  output logic windows_take_o,
  /// Copy shadow windows to the array.
  output logic windows_move_o,

  /// Weight memory.
  output logic [AddrBits-1:0] slot_o,

  /// A drained buffer comes back.
  input  logic buffer_release_i,

  /// Beside the weights: a group is added to this accumulator.
  output logic                   apply_valid_o,
  output logic [AccAddrBits-1:0] apply_addr_o,
  output logic [4:0]             apply_shift_o,
  /// Beside the weights: the pass ends here.
  output logic       apply_last_o,

  /// This cycle: a group was issued, or why one that was there was not.
  output logic issued_o,
  output logic stall_windows_o,
  output logic stall_accumulators_o
);

  localparam int unsigned Blocks    = 2 * PassOutputs / GroupChannels;
  localparam int unsigned CountBits = $clog2(Blocks) + 1;

  logic                   first_q;
  logic [AccAddrBits-1:0] base_q;
  logic [CountBits-1:0]   free_q;
  logic       has_windows, has_buffer, fire;

  assign has_windows = !group_i.load || windows_full_i;
  assign has_buffer  = !first_q || free_q != '0;
  assign fire        = group_valid_i && has_windows && has_buffer;

  assign group_ready_o        = has_windows && has_buffer;
  assign windows_take_o       = fire && group_i.load;
  assign slot_o               = group_i.slot;
  assign issued_o             = fire && !group_i.empty;
  assign stall_windows_o      = group_valid_i && has_buffer && !has_windows;
  assign stall_accumulators_o = group_valid_i && !has_buffer;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      first_q <= 1'b1;
    end else if (fire) begin
      first_q <= group_i.last;
    end
    if (rst_i) begin
      free_q <= '0;
    end else if (start_i) begin
      base_q <= '0;
      free_q <= CountBits'(Blocks) >> buffer_log2_i;
    end else begin
      // The ring closes by itself: its size is a multiple of every buffer's.
      if (fire && group_i.last) begin
        base_q <= (base_q + (AccAddrBits'(GroupChannels) << buffer_log2_i)) & AccAddrBits'(2 * PassOutputs - 1);
      end
      free_q <= free_q + CountBits'(buffer_release_i) - CountBits'(fire && first_q);
    end
  end

  typedef struct packed {
    logic                   valid;
    logic                   last;
    logic [AccAddrBits-1:0] addr;
    logic [4:0]             shift;
  } tag_t;

  tag_t tag_q, tag2_q;
  logic move_q;

  always_ff @(posedge clk_i) begin
    tag_q  <= '{valid: issued_o, last: fire && group_i.last, addr: base_q | AccAddrBits'(group_i.channel),
                shift: group_i.shift};
    tag2_q <= tag_q;
    move_q <= windows_take_o;
    if (rst_i) begin
      tag_q  <= '0;
      tag2_q <= '0;
      move_q <= 1'b0;
    end
  end

  assign windows_move_o  = move_q;
  assign apply_valid_o   = tag2_q.valid;
  assign apply_last_o    = tag2_q.last;
  assign apply_addr_o    = tag2_q.addr;
  assign apply_shift_o   = tag2_q.shift;

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (start_i || free_q <= CountBits'(Blocks) >> buffer_log2_i)
        else $error("group_issue: more buffers free than there are");
    end
  end

endmodule
