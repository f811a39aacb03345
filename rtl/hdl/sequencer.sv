/// Leads images through the layers of the program, two layers at a time: one that ends and one that begins.
///
/// A layer enters the slot that the layer before the last one has left; the parity of its number is its slot, also from
/// image to image, so that an image begins while the one before it ends. The descriptor of the next layer is read
/// meanwhile. An image starts when one is there, the host allows it and its result has room; sequence number and
/// network version are latched then.
module sequencer
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  /// Bits of the sequence number's lower part; the upper one follows a cycle later.
  parameter int unsigned LowBits = 16
) (
  input  logic clk_i,
  input  logic rst_i,

  /// Fetch header and first layer anew; program_ready_o falls until they are there.
  input  logic reload_i,
  output logic program_ready_o,
  input  logic start_allowed_i,
  output logic busy_o,
  /// Images that have not started are dropped; the next one comes in buffer 0. Only while no image is in the array.
  input  logic flush_i,

  /// Descriptor memory, two cycles from address to data.
  output logic [AddrBits-1:0] desc_addr_o,
  input  logic [31:0]         desc_rdata_i,

  output header_t header_o,

  /// Image buffers, used in turn.
  input  logic [1:0] image_full_i,
  output logic [1:0] image_free_o,

  /// Layers in the core, with the image buffer's place in them: constant from a layer's entry to its end.
  output layer_t [LayerSlots-1:0] layers_o,
  /// The map that the layer reads, or its residual, is still being written: by the layer in the other slot.
  output logic [LayerSlots-1:0] input_waits_o,
  output logic [LayerSlots-1:0] residual_waits_o,
  /// A layer entered; its place in the network.
  output logic       layer_enters_o,
  output logic       layer_slot_o,
  output logic [7:0] layer_index_o,
  /// The scanner may begin with the layer that entered last.
  output logic  walk_valid_o,
  output walk_t walk_o,
  input  logic  walk_ready_i,
  /// The oldest layer has written all its results.
  input  logic layer_done_i,
  output logic done_slot_o,

  /// Space for a result stays until an image starts.
  /// A result opens when the layer that gives the logits enters; the image's sequence number and buffer.
  input  logic        result_space_i,
  output logic        result_start_o,
  output logic [31:0] result_sequence_o,
  output logic        result_buffer_o,
  output logic        image_start_o,
  output logic        image_done_o
);

  localparam int unsigned WordIdxBits = $clog2(UsedWords);

  // ---- Descriptor fetch. ----
  logic                         fetching_q, fetch_header_q, fetch_start;
  logic [WordIdxBits-1:0]       word_q;
  logic [1:0]                   arriving_q;
  logic [1:0][WordIdxBits-1:0]  arriving_word_q;
  logic [7:0]                   fetch_frame_q, fetch_frame;
  logic                         next_ready_q;
  logic [UsedWords-1:0][31:0]   frame_q;
  logic                         last_word, frame_done, header_done;

  assign desc_addr_o = AddrBits'(fetch_frame_q) * AddrBits'(FrameWords) + AddrBits'(word_q);
  assign last_word   = fetching_q && word_q == WordIdxBits'(UsedWords - 1);
  assign frame_done  = arriving_q[1] && arriving_word_q[1] == WordIdxBits'(UsedWords - 1);
  assign header_done = frame_done && fetch_header_q;

  // ---- What enters next. ----
  logic [7:0]            index_q;       // of the next layer in its image
  logic [7:0]            next_frame_q;  // descriptor of the layer after it
  logic                  slot_q;    // where it goes
  logic                  buffer_q;  // image buffer of its image
  logic [1:0]            claimed_q; // buffers of images in the core
  logic [31-LowBits:0]   sequence_high_q;
  logic [LowBits-1:0]    sequence_low_q;
  logic                  counts_q, carry_q;
  logic [LayerSlots-1:0] taken_q, ends_image_q;
  logic                  done_slot_q, done_buffer_q, fresh_q;
  logic                  first_layer_q, last_layer_q, may_enter_q, enters, follows, done_image;
  layer_t                frame;
  logic [AddrBits-1:0]   previous_base;  // of the map that the layer before writes

  // These stand long before the layer's descriptor is there.
  always_ff @(posedge clk_i) begin
    last_layer_q <= index_q + 1'b1 == header_o.layers;
    // After the last layer comes the first one of the next image.
    next_frame_q <= index_q + 1'b1 == header_o.layers ? 8'd1 : index_q + 8'd2;
  end

  // What a layer waits for stays once it is there, until one enters; only the host may take its word back.
  always_ff @(posedge clk_i) begin
    if (rst_i || enters || reload_i || flush_i) may_enter_q <= 1'b0;
    else may_enter_q <= next_ready_q && !taken_q[slot_q] && !fresh_q &&
                        (!first_layer_q || (image_full_i[buffer_q] && !claimed_q[buffer_q] && result_space_i));
  end

  assign enters     = may_enter_q && !reload_i && (!first_layer_q || start_allowed_i);
  assign done_image = layer_done_i && ends_image_q[done_slot_q];

  // The layer before is still in the core; does it write what this one reads?
  assign previous_base = layers_o[!slot_q].output_base;
  assign follows = taken_q[!slot_q] && !layer_done_i;

  always_comb begin
    frame = layer_t'(frame_q);
    if (frame.input_is_image) frame.input_base = buffer_q ? header_o.input_base_1 : header_o.input_base_0;
    if (frame.residual_is_image) frame.residual_base = buffer_q ? header_o.input_base_1 : header_o.input_base_0;
  end

  assign fetch_start = reload_i || header_done || enters;
  assign fetch_frame = reload_i ? '0 : header_done ? 8'd1 : next_frame_q;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      fetching_q   <= 1'b0;
      arriving_q   <= '0;
      next_ready_q <= 1'b0;
    end else begin
      if (fetch_start) fetching_q <= 1'b1;
      else if (last_word) fetching_q <= 1'b0;
      arriving_q <= fetch_start ? 2'b00 : {arriving_q[0], fetching_q};
      if (fetch_start) next_ready_q <= 1'b0;
      else if (frame_done && !fetch_header_q) next_ready_q <= 1'b1;
    end
    if (reload_i || !fetching_q) fetch_frame_q <= fetch_frame;
    if (rst_i || reload_i || last_word) word_q <= '0;
    else if (fetching_q) word_q <= word_q + 1'b1;
    if (fetch_start) fetch_header_q <= reload_i;
    arriving_word_q <= {arriving_word_q[0], word_q};
    if (arriving_q[1]) frame_q[arriving_word_q[1]] <= desc_rdata_i;
    // The last word of the header arrives together with the decision to keep the frame.
    if (header_done) header_o <= header_t'({desc_rdata_i, frame_q[UsedWords-2:0]});
  end

  // ---- Slots. ----
  always_ff @(posedge clk_i) begin
    if (enters) begin
      layers_o[slot_q]     <= frame;
      ends_image_q[slot_q] <= last_layer_q;
      layer_slot_o         <= slot_q;
      layer_index_o        <= index_q;
      result_sequence_o    <= {sequence_high_q, sequence_low_q};
      result_buffer_o      <= buffer_q;
      walk_o               <= '{bitmap_base: frame.bitmap_base, tiles_y: frame.tiles_y, tiles_x: frame.tiles_x,
                                passes: frame.passes, groups: frame.groups, last_words: frame.last_words,
                                planes: frame.planes, plane_step: frame.plane_step};
    end
    if (rst_i) begin
      taken_q          <= '0;
      input_waits_o    <= '0;
      residual_waits_o <= '0;
      slot_q           <= 1'b0;
      done_slot_q      <= 1'b0;
      fresh_q          <= 1'b0;
      layer_enters_o   <= 1'b0;
      result_start_o   <= 1'b0;
    end else begin
      layer_enters_o <= enters;
      result_start_o <= enters && frame.logits;
      if (layer_done_i) begin
        taken_q[done_slot_q] <= 1'b0;
        input_waits_o        <= '0;
        residual_waits_o     <= '0;
        done_slot_q          <= !done_slot_q;
      end
      if (enters) begin
        taken_q[slot_q]          <= 1'b1;
        input_waits_o[slot_q]    <= follows && !frame.input_is_image && frame.input_base == previous_base;
        residual_waits_o[slot_q] <= follows && !frame.residual_is_image && frame.residual_base == previous_base;
        slot_q                   <= !slot_q;
      end
      if (enters) fresh_q <= 1'b1;
      else if (walk_ready_i) fresh_q <= 1'b0;
      assert (!layer_done_i || taken_q[done_slot_q]) else $error("sequencer: a layer ended that is not in the core");
    end
  end

  assign walk_valid_o = fresh_q;
  assign done_slot_o  = done_slot_q;

  // ---- Images. ----
  always_ff @(posedge clk_i) begin
    image_start_o <= 1'b0;
    image_done_o  <= 1'b0;
    image_free_o  <= '0;
    if (rst_i) begin
      index_q       <= '0;
      first_layer_q <= 1'b1;
      buffer_q      <= 1'b0;
      done_buffer_q <= 1'b0;
      claimed_q     <= '0;
    end else begin
      // A buffer is the image's until the one who fills it has seen that it is free.
      claimed_q <= claimed_q & ~image_free_o;
      if (enters) begin
        index_q       <= last_layer_q ? '0 : index_q + 1'b1;
        first_layer_q <= last_layer_q;
        if (first_layer_q) begin
          image_start_o       <= 1'b1;
          claimed_q[buffer_q] <= 1'b1;
        end
        if (last_layer_q) buffer_q <= !buffer_q;
      end
      if (done_image) begin
        image_done_o                <= 1'b1;
        image_free_o[done_buffer_q] <= 1'b1;
        done_buffer_q               <= !done_buffer_q;
      end
      if (flush_i) begin
        buffer_q      <= 1'b0;
        done_buffer_q <= 1'b0;
      end
      assert (!(flush_i && busy_o)) else $error("sequencer: images dropped under one that is in the array");
      assert (!(reload_i && busy_o)) else $error("sequencer: program reloaded under an image");
    end
  end

  // The sequence number of the next image, counted on when its last layer has entered.
  always_ff @(posedge clk_i) begin
    counts_q                  <= enters && last_layer_q;
    {carry_q, sequence_low_q} <= {1'b0, sequence_low_q} + (LowBits+1)'(counts_q);
    sequence_high_q           <= sequence_high_q + (32-LowBits)'(carry_q);
    if (rst_i) {counts_q, carry_q, sequence_low_q, sequence_high_q} <= '0;
  end

  // An image is in the core from the cycle after its start until its last layer's end.
  assign busy_o = taken_q != '0 || !first_layer_q;

  always_ff @(posedge clk_i) program_ready_o <= next_ready_q && !busy_o && !reload_i && !rst_i;

endmodule
