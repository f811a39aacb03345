/// Lets a group into the array as soon as its windows are loaded and an accumulator buffer is free.
///
/// The weight memory answers two cycles after the issue; tags for the array leave at that time. The windows move one
/// cycle earlier, so that they stand beside the weights.
module group_issue
  import tritforge_pkg::*;
(
  input  logic clk_i,
  input  logic rst_i,

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

  /// Beside the weights: a group is applied to this buffer's channel.
  output logic       apply_valid_o,
  output logic       apply_buffer_o,
  output logic [6:0] apply_channel_o,
  output logic [4:0] apply_shift_o,
  /// Beside the weights: the pass ends here.
  output logic       apply_last_o,

  /// This cycle: a group was issued, or why one that was there was not.
  output logic issued_o,
  output logic stall_windows_o,
  output logic stall_accumulators_o
);

  logic       first_q, buffer_q;
  logic [1:0] free_q;
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
      first_q  <= 1'b1;
      buffer_q <= 1'b0;
      free_q   <= 2'd2;
    end else begin
      if (fire) begin
        first_q <= group_i.last;
        if (group_i.last) buffer_q <= !buffer_q;
      end
      free_q <= free_q + 2'(buffer_release_i) - 2'(fire && first_q);
    end
  end

  typedef struct packed {
    logic       valid;
    logic       last;
    logic       buffer;
    logic [6:0] channel;
    logic [4:0] shift;
  } tag_t;

  tag_t tag_q, tag2_q;
  logic move_q;

  always_ff @(posedge clk_i) begin
    tag_q  <= '{valid: issued_o, last: fire && group_i.last, buffer: buffer_q, channel: group_i.channel,
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
  assign apply_buffer_o  = tag2_q.buffer;
  assign apply_channel_o = tag2_q.channel;
  assign apply_shift_o   = tag2_q.shift;

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (free_q <= 2'd2) else $error("group_issue: more buffers free than there are");
    end
  end

endmodule
