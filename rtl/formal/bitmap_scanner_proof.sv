/// What the bitmap scanner makes of the words that the memory gives, up to its FIFOs.
///
/// Every word with active groups becomes one entry, with the slot counted over the stored groups of the tile's words
/// before it; the last one of a pass says so, and a pass without any becomes one entry that is empty. The windows of a
/// channel group are asked for once a pass, by its first word with active groups. Neither FIFO is ever full when it is
/// given something. The word that may still turn out to be its pass's last one is kept here a second time.
module bitmap_scanner_proof
  import tritforge_pkg::*;
#(
  parameter int unsigned GroupChannels = 16,
  parameter int unsigned WordIdxBits   = 2,
  parameter int unsigned WordDepth     = 16,
  parameter int unsigned LoadDepth     = 8
) (
  input logic clk_i,
  input logic rst_i,

  // A word as it arrives, with its place in the walk.
  input logic                     arrives_i,
  input logic [GroupChannels-1:0] active_i,
  input logic [GroupChannels-1:0] stored_i,
  input logic                     first_of_tile_i,
  input logic                     first_of_group_i,
  input logic                     last_of_pass_i,
  input logic [AddrBits-1:0]      slot_base_i,
  input logic [WordIdxBits-1:0]   index_i,
  input logic [4:0]               shift_i,
  input group_layer_t             layer_i,

  // What goes into the FIFOs.
  input logic                     push_i,
  input logic [GroupChannels-1:0] push_active_i,
  input logic [GroupChannels-1:0] push_stored_i,
  input logic [AddrBits-1:0]      push_slot_i,
  input logic [WordIdxBits-1:0]   push_index_i,
  input logic [4:0]               push_shift_i,
  input group_layer_t             push_layer_i,
  input logic                     push_load_i,
  input logic                     push_last_i,
  input logic                     ask_i,
  input logic                     word_room_i,
  input logic                     load_room_i,

  // Registers of the scanner, for the invariants alone.
  input logic [$clog2(WordDepth):0] word_count_i,
  input logic [$clog2(LoadDepth):0] load_count_i,
  input logic                       may_read_i,
  input logic                       on_the_way_i,
  input logic                       way_first_of_tile_i,
  input logic                       way_first_of_group_i,
  input logic                       held_valid_i,
  input logic [GroupChannels-1:0]   held_active_i,
  input logic [GroupChannels-1:0]   held_stored_i,
  input logic [AddrBits-1:0]        held_slot_i,
  input logic [WordIdxBits-1:0]     held_index_i,
  input logic [4:0]                 held_shift_i,
  input group_layer_t               held_layer_i,
  input logic                       held_load_i,
  input logic                       held_last_i,
  input logic [AddrBits-1:0]        next_slot_i,
  input logic                       loaded_i
);

  typedef struct packed {
    logic [GroupChannels-1:0] active;
    logic [GroupChannels-1:0] stored;
    logic [AddrBits-1:0]      slot;
    logic [WordIdxBits-1:0]   index;
    logic [4:0]               shift;
    group_layer_t             layer;
    logic                     load;
  } entry_t;

  function automatic logic [AddrBits-1:0] count(logic [GroupChannels-1:0] bits);
    count = '0;
    for (int i = 0; i < int'(GroupChannels); i++) count = count + AddrBits'(bits[i]);
  endfunction

  // The newest entry, not yet given; whether its pass has ended; whether its pass has any entry. What the scanner
  // counts along is known from the first word of a tile on, which is the first word of every layer.
  entry_t              entry_q;
  logic                waits_q, over_q, pass_has_q;
  logic [AddrBits-1:0] slots_q;
  logic                asked_q, known_q, entry_known_q;
  logic                begun_q = 1'b0;

  entry_t              arriving;
  logic                filled, ends, empty_pass, asks, known, told_last;

  assign filled     = arrives_i && active_i != '0;
  assign ends       = arrives_i && last_of_pass_i;
  assign empty_pass = ends && !filled && !pass_has_q;
  assign asks       = filled && (first_of_group_i || !asked_q);
  assign known      = known_q || first_of_tile_i;
  assign arriving   = '{active: active_i, stored: stored_i, slot: first_of_tile_i ? slot_base_i : slots_q,
                        index: index_i, shift: shift_i, layer: layer_i, load: asks};
  assign told_last  = over_q || (ends && !filled);

  always_ff @(posedge clk_i) begin
    begun_q <= 1'b1;
    if (rst_i) begin
      waits_q    <= 1'b0;
      over_q     <= 1'b0;
      pass_has_q <= 1'b0;
      known_q    <= 1'b0;
    end else begin
      if (push_i) waits_q <= 1'b0;
      if (filled || empty_pass) begin
        entry_q       <= arriving;
        entry_known_q <= known;
        waits_q       <= 1'b1;
        over_q        <= ends;
      end
      if (arrives_i) begin
        slots_q    <= arriving.slot + count(stored_i);
        asked_q    <= filled || (asked_q && !first_of_group_i);
        pass_has_q <= !ends && (filled || pass_has_q);
        known_q    <= known;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    assume (begun_q || rst_i);
    assume ((active_i & ~stored_i) == '0);  // lowering stores what is active
    if (begun_q && !rst_i) begin
      // Nothing is lost in front of a full FIFO.
      assert (!push_i || word_room_i);
      assert (!ask_i || load_room_i);
      // Windows are asked for once a group and pass.
      assert (!known || ask_i == asks);
      // What is given is the entry that waits, as it is; no later than when the next one comes or its pass is over.
      assert (!push_i || waits_q);
      assert (!waits_q || push_i == (over_q || filled || ends));
      assert (!push_i || push_last_i == told_last);
      if (push_i && entry_known_q) begin
        assert (push_active_i == entry_q.active && (push_active_i == '0 || push_slot_i == entry_q.slot));
        assert (push_active_i == '0 || (push_stored_i == entry_q.stored && push_load_i == entry_q.load));
        assert (push_index_i == entry_q.index && push_shift_i == entry_q.shift && push_layer_i == entry_q.layer);
      end
      // A pass that has entries keeps the last one until it has ended.
      assert (!pass_has_q || waits_q);
    end
  end

`ifdef INVARIANTS
  // Words that have been read, are being read, or may be read in this cycle.
  int under_way;
  assign under_way = int'(arrives_i) + int'(on_the_way_i) + int'(may_read_i);

  always_ff @(posedge clk_i) begin
    if (begun_q && !rst_i) begin
      assert (int'(word_count_i) + int'(held_valid_i) + under_way <= int'(WordDepth));
      assert (int'(load_count_i) + under_way <= int'(LoadDepth));
      assert (!(arrives_i && first_of_tile_i) || first_of_group_i);
      assert (!(on_the_way_i && way_first_of_tile_i) || way_first_of_group_i);
      assert (held_valid_i == waits_q && (!waits_q || held_last_i == over_q));
      assert (pass_has_q == (waits_q && !over_q));
      assert (!known_q || (next_slot_i == slots_q && loaded_i == asked_q));
      if (waits_q && entry_known_q) begin
        assert (held_active_i == entry_q.active && held_stored_i == entry_q.stored && held_slot_i == entry_q.slot);
        assert (held_index_i == entry_q.index && held_shift_i == entry_q.shift && held_layer_i == entry_q.layer);
        assert (held_load_i == entry_q.load);
      end
    end
  end
`endif

endmodule

bind bitmap_scanner bitmap_scanner_proof #(
  .GroupChannels(GroupChannels), .WordIdxBits(WordIdxBits), .WordDepth(WordDepth), .LoadDepth(LoadDepth)
) u_proof (
  .clk_i, .rst_i,
  .arrives_i(meta2_q.valid), .active_i(active), .stored_i(stored), .first_of_tile_i(meta2_q.first_of_tile),
  .first_of_group_i(meta2_q.first_of_group), .last_of_pass_i(meta2_q.last_of_pass),
  .slot_base_i(layers_i[meta2_q.load.slot].slot_base), .index_i(meta2_q.word), .shift_i(meta2_q.shift),
  .layer_i({meta2_q.load.slot, layers_i[meta2_q.load.slot].quad_shift, layers_i[meta2_q.load.slot].buffer_log2}),
  .push_i(push), .push_active_i(pushed.active), .push_stored_i(pushed.stored), .push_slot_i(pushed.slot),
  .push_index_i(pushed.word), .push_shift_i(pushed.shift), .push_layer_i(pushed.layer), .push_load_i(pushed.load),
  .push_last_i(pushed.last), .ask_i(needs_load), .word_room_i(word_fifo_ready), .load_room_i(load_fifo_ready),
  .word_count_i(word_count), .load_count_i(load_count), .may_read_i(room_q), .on_the_way_i(meta_q.valid),
  .way_first_of_tile_i(meta_q.first_of_tile), .way_first_of_group_i(meta_q.first_of_group),
  .held_valid_i(held_valid_q), .held_active_i(held_q.active), .held_stored_i(held_q.stored), .held_slot_i(held_q.slot),
  .held_index_i(held_q.word), .held_shift_i(held_q.shift), .held_layer_i(held_q.layer), .held_load_i(held_q.load),
  .held_last_i(held_q.last), .next_slot_i(first_slot_q), .loaded_i(loaded_q)
);
