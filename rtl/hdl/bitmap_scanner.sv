/// Walks a layer's tiles, passes, groups and planes, and turns bitmap words into work.
///
/// One bitmap word is read a cycle. A word with active groups becomes a scheduler entry; the first one of a channel
/// group also asks for that group's windows, so that windows no active group needs are never loaded. The entry that
/// ends a pass is marked, which needs one entry of look-ahead; a pass in which nothing is active becomes an entry
/// without groups. The slot of a word's first stored group is counted on the way.
module bitmap_scanner
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  parameter int unsigned GroupChannels = 16,
  parameter int unsigned PassOutputs   = 64,
  localparam int unsigned PassWords    = PassOutputs / GroupChannels,
  localparam int unsigned WordIdxBits  = $clog2(PassWords) > 0 ? $clog2(PassWords) : 1
) (
  input  logic   clk_i,
  input  logic   rst_i,
  /// A layer to walk next, in this slot; taken when the walk before has ended.
  input  logic                    walk_valid_i,
  output logic                    walk_ready_o,
  input  logic                    walk_slot_i,
  input  walk_t                   walk_i,
  input  layer_t [LayerSlots-1:0] layers_i,

  /// Bitmap memory, two cycles from address to data.
  output logic [AddrBits-1:0] bitmap_addr_o,
  input  logic [31:0]         bitmap_rdata_i,

  /// Each pass, when it begins.
  output logic  pass_valid_o,
  input  logic  pass_ready_i,
  output pass_t pass_o,

  /// Windows to load.
  output logic  load_valid_o,
  input  logic  load_ready_i,
  output load_t load_o,

  /// Words with active groups.
  output logic                     word_valid_o,
  input  logic                     word_ready_i,
  output logic [GroupChannels-1:0] word_active_o,
  output logic [GroupChannels-1:0] word_stored_o,
  output logic [AddrBits-1:0]      word_slot_o,
  output logic [WordIdxBits-1:0]   word_index_o,
  output logic [4:0]               word_shift_o,
  output group_layer_t             word_layer_o,
  output logic                     word_load_o,
  output logic                     word_last_o
);

  localparam int unsigned InFlight  = 4;
  localparam int unsigned WordDepth = 16;
  localparam int unsigned LoadDepth = 8;

  // Position of the next word to read, and which of its coordinates are the last of their kind: kept beside them, as no
  // comparison has to stand between a step and the next one.
  logic                   running_q, slot_q;
  logic [11:0]            tile_y_q, tile_x_q;
  logic [7:0]             pass_q, group_q;
  logic [3:0]             plane_q;
  logic [WordIdxBits-1:0] word_q;
  logic [AddrBits-1:0]    addr_q;
  logic                   first_of_pass_q;

  logic last_word_q, last_plane_q, last_group_q, last_pass_q, last_x_q, last_y_q;
  logic step, ends, start;

  walk_t walk_q;

  // Words of a pass, and of the pass after this one.
  logic last_pass_next;
  assign last_pass_next = last_pass_q ? walk_q.passes == 8'd1 : pass_q + 8'd2 == walk_q.passes;

  function automatic logic single_word(input logic last_pass, input logic [7:0] last_words);
    return last_pass ? last_words == 8'd1 : PassWords == 1;
  endfunction

  // Room for everything that is under way, what is read in this cycle and the next one included.
  logic [$clog2(WordDepth):0] word_count;
  logic [$clog2(LoadDepth):0] load_count;
  logic room_q;

  always_ff @(posedge clk_i) begin
    room_q <= !rst_i && word_count <= ($clog2(WordDepth)+1)'(WordDepth - InFlight - 1) &&
              load_count <= ($clog2(LoadDepth)+1)'(LoadDepth - InFlight);
  end

  assign step          = running_q && room_q && (!first_of_pass_q || pass_ready_i);
  assign ends          = step && last_word_q && last_plane_q && last_group_q && last_pass_q && last_x_q && last_y_q;
  assign walk_ready_o  = !running_q || ends;
  assign start         = walk_valid_i && walk_ready_o;
  assign pass_valid_o  = running_q && room_q && first_of_pass_q;
  assign bitmap_addr_o = addr_q;

  always_comb begin
    pass_o.slot         = slot_q;
    pass_o.last         = last_pass_q && last_x_q && last_y_q;
    pass_o.first_tile   = tile_y_q == '0 && tile_x_q == '0;
    pass_o.last_of_tile = last_pass_q;
    pass_o.index        = pass_q;
    pass_o.tile_y       = tile_y_q;
    pass_o.tile_x       = tile_x_q;
  end

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      running_q <= 1'b0;
    end else if (start) begin
      running_q       <= 1'b1;
      slot_q          <= walk_slot_i;
      walk_q          <= walk_i;
      tile_y_q        <= '0;
      tile_x_q        <= '0;
      pass_q          <= '0;
      group_q         <= '0;
      plane_q         <= '0;
      word_q          <= '0;
      addr_q          <= walk_i.bitmap_base;
      first_of_pass_q <= 1'b1;
      last_word_q     <= single_word(walk_i.passes == 8'd1, walk_i.last_words);
      last_plane_q    <= walk_i.planes == 4'd1;
      last_group_q    <= walk_i.groups == 8'd1;
      last_pass_q     <= walk_i.passes == 8'd1;
      last_x_q        <= walk_i.tiles_x == 12'd1;
      last_y_q        <= walk_i.tiles_y == 12'd1;
    end else if (step) begin
      addr_q          <= addr_q + 1'b1;
      word_q          <= word_q + 1'b1;
      first_of_pass_q <= 1'b0;
      last_word_q     <= 8'(word_q) + 8'd2 == (last_pass_q ? walk_q.last_words : 8'(PassWords));
      if (last_word_q) begin
        word_q       <= '0;
        last_word_q  <= single_word(last_pass_q, walk_q.last_words);
        plane_q      <= plane_q + 1'b1;
        last_plane_q <= plane_q + 4'd2 == walk_q.planes;
        if (last_plane_q) begin
          plane_q      <= '0;
          last_plane_q <= walk_q.planes == 4'd1;
          group_q      <= group_q + 1'b1;
          last_group_q <= group_q + 8'd2 == walk_q.groups;
          if (last_group_q) begin
            group_q         <= '0;
            last_group_q    <= walk_q.groups == 8'd1;
            pass_q          <= pass_q + 1'b1;
            last_pass_q     <= last_pass_next;
            last_word_q     <= single_word(last_pass_next, walk_q.last_words);
            first_of_pass_q <= 1'b1;
            if (last_pass_q) begin
              pass_q   <= '0;
              addr_q   <= walk_q.bitmap_base;
              tile_x_q <= tile_x_q + 1'b1;
              last_x_q <= tile_x_q + 12'd2 == walk_q.tiles_x;
              if (last_x_q) begin
                tile_x_q <= '0;
                last_x_q <= walk_q.tiles_x == 12'd1;
                tile_y_q <= tile_y_q + 1'b1;
                last_y_q <= tile_y_q + 12'd2 == walk_q.tiles_y;
                if (last_y_q) running_q <= 1'b0;
              end
            end
          end
        end
      end
    end
  end

  // What belongs to a word while the memory reads it.
  typedef struct packed {
    logic                   valid;
    logic                   first_of_tile;
    logic                   first_of_group;
    logic                   last_of_pass;
    logic [WordIdxBits-1:0] word;
    logic [4:0]             shift;
    load_t                  load;
  } meta_t;

  meta_t meta_d, meta_q, meta2_q;
  logic [4:0] shift_q;

  // The plane's shift, counted along with the plane.
  always_ff @(posedge clk_i) begin
    if (start) shift_q <= '0;
    else if (step && last_word_q) shift_q <= last_plane_q ? '0 : shift_q + 5'(walk_q.plane_step);
  end

  always_comb begin
    meta_d.valid          = step;
    meta_d.first_of_tile  = first_of_pass_q && pass_q == '0;
    meta_d.first_of_group = first_of_pass_q || (word_q == '0 && plane_q == '0);
    meta_d.last_of_pass   = last_word_q && last_plane_q && last_group_q;
    meta_d.word           = word_q;
    meta_d.shift          = shift_q;
    meta_d.load           = '{slot: slot_q, group: group_q, tile_y: tile_y_q, tile_x: tile_x_q};
  end

  always_ff @(posedge clk_i) begin
    meta_q  <= meta_d;
    meta2_q <= meta_q;
    if (rst_i) begin
      meta_q.valid  <= 1'b0;
      meta2_q.valid <= 1'b0;
    end
  end

  // The word has arrived.
  logic [GroupChannels-1:0] active, stored;
  logic                     filled, needs_load, loaded_q;
  logic [AddrBits-1:0]      slot, first_slot_q;

  assign active     = bitmap_rdata_i[GroupChannels-1:0];
  assign stored     = bitmap_rdata_i[2*GroupChannels-1:GroupChannels];
  assign filled     = meta2_q.valid && active != '0;
  assign needs_load = filled && (meta2_q.first_of_group || !loaded_q);
  assign slot       = meta2_q.first_of_tile ? layers_i[meta2_q.load.slot].slot_base : first_slot_q;

  always_ff @(posedge clk_i) begin
    if (meta2_q.valid) begin
      first_slot_q <= slot + AddrBits'($countones(stored));
      loaded_q     <= filled || (loaded_q && !meta2_q.first_of_group);
    end
  end

  // One entry of look-ahead, so that the last entry of a pass can say so.
  typedef struct packed {
    logic [GroupChannels-1:0] active;
    logic [GroupChannels-1:0] stored;
    logic [AddrBits-1:0]      slot;
    logic [WordIdxBits-1:0]   word;
    logic [4:0]               shift;
    group_layer_t             layer;
    logic                     load;
    logic                     last;
  } word_t;

  word_t held_q, fresh, pushed;
  logic  held_valid_q, ends_pass, push, take_fresh;

  assign ends_pass  = meta2_q.valid && meta2_q.last_of_pass;
  assign fresh      = '{active: active, stored: stored, slot: slot, word: meta2_q.word, shift: meta2_q.shift,
                        layer: '{slot: meta2_q.load.slot, quad_shift: layers_i[meta2_q.load.slot].quad_shift,
                                 buffer_log2: layers_i[meta2_q.load.slot].buffer_log2},
                        load: needs_load, last: ends_pass};
  assign push       = held_valid_q && (held_q.last || filled || ends_pass);
  // An empty word only becomes an entry where it ends a pass that has no other entry waiting.
  assign take_fresh = filled || (ends_pass && (!held_valid_q || held_q.last));

  always_comb begin
    pushed      = held_q;
    pushed.last = held_q.last || (ends_pass && !filled);
  end

  always_ff @(posedge clk_i) begin
    if (take_fresh) held_q <= fresh;
    if (rst_i) held_valid_q <= 1'b0;
    else if (take_fresh) held_valid_q <= 1'b1;
    else if (push) held_valid_q <= 1'b0;
  end

  word_t head;
  logic  word_fifo_ready, load_fifo_ready;

  fifo #(.Width($bits(word_t)), .Depth(WordDepth)) u_words (
    .clk_i, .rst_i,
    .valid_i(push), .ready_o(word_fifo_ready), .data_i(pushed),
    .valid_o(word_valid_o), .ready_i(word_ready_i), .data_o(head), .count_o(word_count)
  );

  fifo #(.Width($bits(load_t)), .Depth(LoadDepth)) u_loads (
    .clk_i, .rst_i,
    .valid_i(needs_load), .ready_o(load_fifo_ready), .data_i(meta2_q.load),
    .valid_o(load_valid_o), .ready_i(load_ready_i), .data_o(load_o), .count_o(load_count)
  );

  assign word_active_o = head.active;
  assign word_stored_o = head.stored;
  assign word_slot_o   = head.slot;
  assign word_index_o  = head.word;
  assign word_shift_o  = head.shift;
  assign word_layer_o  = head.layer;
  assign word_load_o   = head.load;
  assign word_last_o   = head.last;

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (!(push && !word_fifo_ready)) else $error("bitmap_scanner: word lost");
      assert (!(needs_load && !load_fifo_ready)) else $error("bitmap_scanner: load lost");
      assert (!(meta2_q.valid && (active & ~stored) != '0)) else $error("bitmap_scanner: active group without slot");
    end
  end

endmodule
