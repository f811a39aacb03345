// Generated from tritforge/overlay/descriptor.py by `python -m tritforge.rtl.generate`; do not edit.

/// Program header and layer descriptors as packed structs: {word 15, ..., word 0} cast to the struct.
package tritforge_descriptor_pkg;

  /// Words from one descriptor to the next.
  localparam int unsigned FrameWords = 32;
  /// Words of a descriptor that carry fields: the lowest of its frame.
  localparam int unsigned UsedWords = 16;

  /// layer_t.kind.
  localparam logic [3:0] KindConvolution = 4'd0;
  localparam logic [3:0] KindAveragePool = 4'd1;

  /// Program header: descriptor 0.
  typedef struct packed {
    /// Word 15: no field.
    logic  [31:0] reserved_15;
    /// Word 14: no field.
    logic  [31:0] reserved_14;
    /// Word 13: no field.
    logic  [31:0] reserved_13;
    /// Word 12: no field.
    logic  [31:0] reserved_12;
    /// Word 11: no field.
    logic  [31:0] reserved_11;
    /// Word 10: no field.
    logic  [31:0] reserved_10;
    /// Word 9: no field.
    logic  [31:0] reserved_9;
    /// Word 8: no field.
    logic  [31:0] reserved_8;
    /// Word 7: no field.
    logic  [31:0] reserved_7;
    /// Word 6: no field.
    logic  [31:0] reserved_6;
    /// Word 5: no field.
    logic  [31:0] reserved_5;
    /// Word 4: no field.
    logic  [31:0] reserved_4;
    /// Word 3: First bank word of the image buffer that odd images use.
    logic  [15:0] input_base_1;
    /// Word 3: First bank word of the image buffer that even images use.
    logic  [15:0] input_base_0;
    /// Word 2: no field.
    logic  [15:0] reserved_2;
    /// Word 2: Bank words from one row chunk to the next.
    logic  [15:0] input_row_stride;
    /// Word 1: no field.
    logic   [7:0] reserved_1;
    /// Word 1: Columns of the image.
    logic  [11:0] input_width;
    /// Word 1: Rows of the image.
    logic  [11:0] input_height;
    /// Word 0: no field.
    logic  [14:0] reserved_0;
    /// Word 0: Channel blocks of an input pixel.
    logic   [7:0] input_blocks;
    /// Word 0: Pixels of up to four channels, repeated in every quad of channel lanes.
    logic         quad_input;
    /// Word 0: Layer descriptors that follow.
    logic   [7:0] layers;
  } header_t;

  /// Layer descriptor.
  typedef struct packed {
    /// Word 15: no field.
    logic  [31:0] reserved_15;
    /// Word 14: no field.
    logic   [7:0] reserved_14;
    /// Word 14: Groups of the layer's shape in one tile: what would be issued without skipping.
    logic  [23:0] skippable_groups;
    /// Word 13: no field.
    logic  [19:0] reserved_13;
    /// Word 13: Output channels.
    logic  [11:0] outputs;
    /// Word 12: Padding of channel lanes 3, 7, 11, ....
    logic  [15:0] pad_3;
    /// Word 12: Padding of channel lanes 2, 6, 10, ....
    logic  [15:0] pad_2;
    /// Word 11: Padding of channel lanes 1, 5, 9, ....
    logic  [15:0] pad_1;
    /// Word 11: Padding of channel lanes 0, 4, 8, ....
    logic  [15:0] pad_0;
    /// Word 10: no field.
    logic   [4:0] reserved_10;
    /// Word 10: Log2 of the channel blocks of an accumulator buffer: those of a pass, to a power of two.
    logic   [2:0] buffer_log2;
    /// Word 10: Bitmap words of the last pass.
    logic   [7:0] last_words;
    /// Word 10: First bitmap word.
    logic  [15:0] bitmap_base;
    /// Word 9: First entry of the affine table.
    logic  [15:0] affine_base;
    /// Word 9: First group slot.
    logic  [15:0] slot_base;
    /// Word 8: no field.
    logic   [7:0] reserved_8;
    /// Word 8: Columns of tiles.
    logic  [11:0] tiles_x;
    /// Word 8: Rows of tiles.
    logic  [11:0] tiles_y;
    /// Word 7: no field.
    logic   [7:0] reserved_7;
    /// Word 7: Columns of the output.
    logic  [11:0] output_width;
    /// Word 7: Rows of the output.
    logic  [11:0] output_height;
    /// Word 6: no field.
    logic   [7:0] reserved_6;
    /// Word 6: Columns of the input.
    logic  [11:0] input_width;
    /// Word 6: Rows of the input.
    logic  [11:0] input_height;
    /// Word 5: Groups along the input channels.
    logic   [7:0] groups;
    /// Word 5: Whole zero blocks in front of the residual's channels.
    logic   [7:0] residual_offset;
    /// Word 5: Channel blocks of the residual.
    logic   [7:0] residual_blocks;
    /// Word 5: Channel blocks of the input.
    logic   [7:0] input_blocks;
    /// Word 4: Bank words from one row chunk of the residual to the next.
    logic  [15:0] residual_row_stride;
    /// Word 4: First bank word of the residual map.
    logic  [15:0] residual_base;
    /// Word 3: Bank words from one row chunk of the output to the next.
    logic  [15:0] output_row_stride;
    /// Word 3: First bank word of the output map.
    logic  [15:0] output_base;
    /// Word 2: Bank words from one row chunk of the input to the next.
    logic  [15:0] input_row_stride;
    /// Word 2: First bank word of the input map.
    logic  [15:0] input_base;
    /// Word 1: Passes of pass_outputs channels.
    logic   [7:0] passes;
    /// Word 1: Channel blocks of the output.
    logic   [7:0] output_blocks;
    /// Word 1: R.
    logic  [15:0] residual_multiplier;
    /// Word 0: no field.
    logic   [4:0] reserved_0;
    /// Word 0: Bit planes of each group.
    logic   [3:0] planes;
    /// Word 0: Shift between bit planes.
    logic   [3:0] plane_step;
    /// Word 0: S.
    logic   [4:0] shift;
    /// Word 0: The residual's zero channels end in the middle of a block.
    logic         residual_half;
    /// Word 0: The residual takes every second pixel.
    logic         residual_stride_2;
    /// Word 0: The residual is the current image.
    logic         residual_is_image;
    /// Word 0: Read the image buffer of the current image.
    logic         input_is_image;
    /// Word 0: Stride 2, else 1.
    logic         stride_2;
    /// Word 0: 1x1 kernel: tap t of group g reads channel block 9 g + t.
    logic         pointwise;
    /// Word 0: Quad q of the channel lanes counts 2**q: several bit planes a pass.
    logic         quad_shift;
    /// Word 0: Sum this layer's outputs for the average pool that follows.
    logic         pool_outputs;
    /// Word 0: Add a residual map.
    logic         residual;
    /// Word 0: Results leave unshifted as logits.
    logic         logits;
    /// Word 0: 0 convolution, 1 average pool.
    logic   [3:0] kind;
  } layer_t;

endpackage
