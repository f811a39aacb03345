/// Gives the active groups of bitmap words one by one, lowest output channel first, one a cycle without bubbles.
///
/// The slot of a group is the word's first slot plus the stored groups below it, so that a group that is stored but
/// not active keeps its slot and costs no cycle.
module group_scheduler
  import tritforge_pkg::*;
#(
  parameter int unsigned GroupChannels = 16,
  parameter int unsigned PassOutputs   = 64,
  localparam int unsigned PassWords    = PassOutputs / GroupChannels,
  localparam int unsigned WordIdxBits  = $clog2(PassWords) > 0 ? $clog2(PassWords) : 1,
  localparam int unsigned ChannelBits  = $clog2(GroupChannels)
) (
  input  logic clk_i,
  input  logic rst_i,

  input  logic                     word_valid_i,
  output logic                     word_ready_o,
  input  logic [GroupChannels-1:0] word_active_i,
  input  logic [GroupChannels-1:0] word_stored_i,
  input  logic [AddrBits-1:0]      word_slot_i,
  input  logic [WordIdxBits-1:0]   word_index_i,
  input  logic [4:0]               word_shift_i,
  input  group_layer_t             word_layer_i,
  input  logic                     word_load_i,
  input  logic                     word_last_i,

  output logic   group_valid_o,
  input  logic   group_ready_i,
  output group_t group_o
);

  // The word being taken apart.
  logic                     valid_q, load_q, last_q;
  logic [GroupChannels-1:0] rest_q, stored_q;
  logic [GroupChannels-1:0] after_q;  // the rest without its lowest
  logic [AddrBits-1:0]      slot_q;
  logic [WordIdxBits-1:0]   index_q;
  logic [4:0]               shift_q;
  group_layer_t             layer_q;

  logic [GroupChannels-1:0] first, below;
  logic [ChannelBits-1:0]   channel;
  logic                     take, done;

  function automatic logic [GroupChannels-1:0] without_lowest(input logic [GroupChannels-1:0] bits);
    for (int unsigned i = 0; i < GroupChannels; i++) begin
      without_lowest[i] = bits[i] && (bits & GroupChannels'((64'd1 << i) - 1)) != '0;
    end
  endfunction

  // The lowest channel of the rest, and those below it.
  always_comb begin
    channel = '0;
    for (int unsigned i = 0; i < GroupChannels; i++) begin
      first[i] = (rest_q & GroupChannels'((64'd1 << i) - 1)) == '0;
      below[i] = first[i] && !rest_q[i];
      if (first[i] && rest_q[i]) channel = ChannelBits'(i);
    end
  end

  assign done = after_q == '0;

  // The group that was found, whose slot is counted on the way out.
  logic                     found_ready;
  logic [GroupChannels-1:0] found_below_q;
  logic [AddrBits-1:0]      found_slot_q;
  group_t                   found_q;

  assign found_ready  = !group_valid_o || group_ready_i;
  assign take         = valid_q && found_ready;
  assign word_ready_o = !valid_q || (take && done);

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      valid_q <= 1'b0;
    end else if (word_ready_o) begin
      valid_q <= word_valid_i;
    end
    if (word_ready_o) begin
      rest_q   <= word_active_i;
      after_q  <= without_lowest(word_active_i);
      stored_q <= word_stored_i;
      slot_q   <= word_slot_i;
      index_q  <= word_index_i;
      shift_q  <= word_shift_i;
      layer_q  <= word_layer_i;
      load_q   <= word_load_i;
      last_q   <= word_last_i;
    end else if (take) begin
      rest_q  <= after_q;
      after_q <= without_lowest(after_q);
      load_q  <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_i) group_valid_o <= 1'b0;
    else if (found_ready) group_valid_o <= valid_q;
    if (found_ready) begin
      found_below_q <= below & stored_q;
      found_slot_q  <= slot_q;
      found_q       <= '{layer: layer_q, empty: rest_q == '0, load: load_q, last: last_q && done, shift: shift_q,
                         channel: 7'({index_q, channel}), slot: '0};
    end
  end

  always_comb begin
    group_o      = found_q;
    group_o.slot = found_slot_q + AddrBits'($countones(found_below_q));
  end

endmodule
