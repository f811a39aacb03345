/// The computing half of the accelerator: sequencer, scheduler, window loader, PE array, drain and feature maps.
///
/// It sees program memories as read ports, images as pixel writes into its feature maps, and gives logits.
module compute_core
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PassOutputs    = 64,
  parameter int unsigned FeatureWords   = 1024,
  parameter int unsigned PoolChannels   = 512,
  localparam int unsigned Rows       = tile_rows(Pes),
  localparam int unsigned Columns    = tile_columns(Pes),
  localparam int unsigned WordBits   = GroupChannels * ActivationBits,
  localparam int unsigned RowIdxBits = Rows > 1 ? $clog2(Rows) : 1,
  localparam int unsigned ColIdxBits = $clog2(Columns)
) (
  input  logic clk_i,
  input  logic rst_i,

  input  logic    reload_i,
  output logic    program_ready_o,
  input  logic    start_allowed_i,
  input  logic    flush_i,
  output logic    busy_o,
  output header_t header_o,

  /// Program memories, two cycles from address to data.
  output logic [AddrBits-1:0]         desc_addr_o,
  input  logic [31:0]                 desc_rdata_i,
  output logic [AddrBits-1:0]         bitmap_addr_o,
  input  logic [31:0]                 bitmap_rdata_i,
  output logic [AddrBits-1:0]         affine_addr_o,
  input  logic [3:0][63:0]            affine_rdata_i,
  output logic [AddrBits-1:0]         slot_addr_o,
  input  logic [18*GroupChannels-1:0] slot_rdata_i,

  /// Image buffers and the pixels that fill them.
  input  logic [1:0]            image_full_i,
  output logic [1:0]            image_free_o,
  input  logic                  pixel_valid_i,
  output logic                  pixel_ready_o,
  input  logic [RowIdxBits-1:0] pixel_row_i,
  input  logic [ColIdxBits-1:0] pixel_column_i,
  input  logic [AddrBits-1:0]   pixel_addr_i,
  input  logic [WordBits-1:0]   pixel_data_i,

  /// A result: its header with the buffer of its image, then logits, four at a time.
  input  logic                      result_space_i,
  output logic                      result_start_o,
  output logic [31:0]               result_sequence_o,
  output logic                      result_buffer_o,
  output logic [11:0]               result_count_o,
  output logic                      logits_valid_o,
  output logic [3:0][LogitBits-1:0] logits_o,

  /// What happens in this cycle, for the counters. Of the two layers in the core, the one that each event concerns.
  output logic        image_start_o,
  output logic        image_done_o,
  output logic        layer_enters_o,
  output logic        layer_slot_o,
  output logic [7:0]  layer_index_o,
  output logic        layer_done_o,
  output logic        done_slot_o,
  output logic        issue_slot_o,
  output logic        issued_o,
  output logic        stall_windows_o,
  output logic        stall_accumulators_o,
  output logic        tile_end_o,
  output logic        tile_slot_o,
  output logic [23:0] tile_groups_o
);

  localparam int unsigned AccBits = acc_bits(ActivationBits);

  layer_t [LayerSlots-1:0] layers;
  logic   [LayerSlots-1:0] input_waits, residual_waits;
  logic                    walk_valid, walk_ready;
  walk_t                   walk;

  sequencer u_sequencer (
    .clk_i, .rst_i, .reload_i, .program_ready_o, .start_allowed_i, .busy_o, .flush_i,
    .desc_addr_o, .desc_rdata_i, .header_o, .image_full_i, .image_free_o,
    .layers_o(layers), .input_waits_o(input_waits), .residual_waits_o(residual_waits),
    .layer_enters_o, .layer_slot_o, .layer_index_o, .walk_valid_o(walk_valid), .walk_o(walk), .walk_ready_i(walk_ready),
    .layer_done_i(layer_done_o), .done_slot_o,
    .result_space_i, .result_start_o, .result_sequence_o, .result_buffer_o, .image_start_o, .image_done_o
  );

  assign result_count_o = layers[layer_slot_o].outputs;

  logic [11:0] rows_written;

  // ---- Work: words of the bitmaps, windows to load, passes. ----
  localparam int unsigned PassWords   = PassOutputs / GroupChannels;
  localparam int unsigned WordIdxBits = $clog2(PassWords) > 0 ? $clog2(PassWords) : 1;

  logic  scan_pass_valid, scan_pass_ready, load_valid, load_ready;
  pass_t scan_pass;
  load_t load;
  logic  word_valid, word_ready, word_load, word_last;
  logic [GroupChannels-1:0] word_active, word_stored;
  logic [AddrBits-1:0]      word_slot;
  logic [WordIdxBits-1:0]   word_index;
  logic [4:0]               word_shift;
  group_layer_t             word_layer;

  bitmap_scanner #(.GroupChannels(GroupChannels), .PassOutputs(PassOutputs)) u_scanner (
    .clk_i, .rst_i, .walk_valid_i(walk_valid), .walk_ready_o(walk_ready), .walk_slot_i(layer_slot_o),
    .walk_i(walk), .layers_i(layers), .bitmap_addr_o, .bitmap_rdata_i,
    .pass_valid_o(scan_pass_valid), .pass_ready_i(scan_pass_ready), .pass_o(scan_pass),
    .load_valid_o(load_valid), .load_ready_i(load_ready), .load_o(load),
    .word_valid_o(word_valid), .word_ready_i(word_ready), .word_active_o(word_active), .word_stored_o(word_stored),
    .word_slot_o(word_slot), .word_index_o(word_index), .word_shift_o(word_shift), .word_layer_o(word_layer),
    .word_load_o(word_load), .word_last_o(word_last)
  );

  logic   found_valid, found_ready, group_valid, group_ready;
  group_t found, group;

  group_scheduler #(.GroupChannels(GroupChannels), .PassOutputs(PassOutputs)) u_scheduler (
    .clk_i, .rst_i, .word_valid_i(word_valid), .word_ready_o(word_ready), .word_active_i(word_active),
    .word_stored_i(word_stored), .word_slot_i(word_slot), .word_index_i(word_index), .word_shift_i(word_shift),
    .word_layer_i(word_layer), .word_load_i(word_load), .word_last_i(word_last),
    .group_valid_o(found_valid), .group_ready_i(found_ready), .group_o(found)
  );

  // Whether groups may come is known from a register, so that a wait reaches the scheduler a cycle later.
  logic [1:0] group_count;

  fifo #(.Width($bits(group_t)), .Depth(2)) u_groups (
    .clk_i, .rst_i, .valid_i(found_valid), .ready_o(found_ready), .data_i(found),
    .valid_o(group_valid), .ready_i(group_ready), .data_o(group), .count_o(group_count)
  );

  // The drain follows the passes at its own pace.
  localparam int unsigned PassDepth = 16;
  logic  drain_pass_valid, drain_pass_ready;
  pass_t drain_pass;
  logic [$clog2(PassDepth):0] drain_pass_count;

  fifo #(.Width($bits(pass_t)), .Depth(PassDepth)) u_passes (
    .clk_i, .rst_i, .valid_i(scan_pass_valid), .ready_o(scan_pass_ready), .data_i(scan_pass),
    .valid_o(drain_pass_valid), .ready_i(drain_pass_ready), .data_o(drain_pass), .count_o(drain_pass_count)
  );

  logic unused_counts;
  assign unused_counts = ^{group_count, drain_pass_count};

  assign tile_end_o    = scan_pass_valid && scan_pass_ready && scan_pass.last_of_tile;
  assign tile_slot_o   = scan_pass.slot;
  assign tile_groups_o = layers[scan_pass.slot].skippable_groups;

  // ---- Windows. ----
  logic                                       window_en, window_idle, windows_full, windows_take, windows_move;
  logic [1:0][1:0][AddrBits-1:0]              window_addr;
  logic [Rows-1:0][Columns-1:0][WordBits-1:0] window_data, lane;
  logic [Pes-1:0][Taps-1:0]                   take;

  window_loader #(.Pes(Pes), .GroupChannels(GroupChannels), .ActivationBits(ActivationBits)) u_loader (
    .clk_i, .rst_i, .layers_i(layers), .input_waits_i(input_waits), .rows_written_i(rows_written),
    .load_valid_i(load_valid), .load_ready_o(load_ready), .load_i(load),
    .read_en_o(window_en), .read_idle_o(window_idle), .read_addr_o(window_addr), .read_data_i(window_data),
    .lane_o(lane), .take_o(take), .windows_full_o(windows_full), .windows_take_i(windows_take)
  );

  // ---- Groups into the array. ----
  localparam int unsigned ReleaseBits = $clog2(2 * PassOutputs / GroupChannels) + 1;
  logic                   apply_valid, apply_last, apply_quad_shift, pass_done;
  logic [ReleaseBits-1:0] acc_release;
  logic [AccAddrBits-1:0] apply_addr;
  logic [4:0]             apply_shift;

  group_issue #(.GroupChannels(GroupChannels), .PassOutputs(PassOutputs)) u_issue (
    .clk_i, .rst_i, .idle_i(!busy_o), .group_valid_i(group_valid), .group_ready_o(group_ready), .group_i(group),
    .windows_full_i(windows_full), .windows_take_o(windows_take), .windows_move_o(windows_move),
    .slot_o(slot_addr_o), .release_i(acc_release),
    .apply_valid_o(apply_valid), .apply_addr_o(apply_addr), .apply_shift_o(apply_shift),
    .apply_quad_shift_o(apply_quad_shift), .apply_last_o(apply_last),
    .layer_slot_o(issue_slot_o), .issued_o, .stall_windows_o, .stall_accumulators_o
  );

  localparam int unsigned QuadBits = $clog2(2 * PassOutputs / DrainChannels);
  logic                                                  acc_valid;
  logic [QuadBits-1:0]                                   acc_quad;
  logic signed [Pes-1:0][DrainChannels-1:0][AccBits-1:0] acc;
  logic [DrainChannels-1:0]                              acc_touched;

  pe_array #(
    .Pes(Pes), .GroupChannels(GroupChannels), .ActivationBits(ActivationBits), .PassOutputs(PassOutputs)
  ) u_array (
    .clk_i, .rst_i, .lane_i(lane), .take_i(take), .move_i(windows_move),
    .weights_i(slot_rdata_i), .apply_valid_i(apply_valid), .apply_addr_i(apply_addr), .apply_shift_i(apply_shift),
    .apply_quad_shift_i(apply_quad_shift), .apply_last_i(apply_last), .pass_done_o(pass_done),
    .read_valid_i(acc_valid), .read_quad_i(acc_quad), .acc_o(acc), .touched_o(acc_touched)
  );

  // ---- Results. ----
  logic                                       residual_valid;
  logic [1:0][1:0][AddrBits-1:0]              residual_addr;
  logic [Rows-1:0][Columns-1:0][WordBits-1:0] residual_data;

  logic                                       tile_valid;
  logic [Rows-1:0][Columns-1:0]               tile_mask;
  logic [1:0][1:0][AddrBits-1:0]              tile_addr;
  logic [Rows-1:0][Columns-1:0][WordBits-1:0] tile_data;

  drain #(
    .Pes(Pes), .GroupChannels(GroupChannels), .ActivationBits(ActivationBits), .PassOutputs(PassOutputs),
    .PoolChannels(PoolChannels)
  ) u_drain (
    .clk_i, .rst_i, .idle_i(!busy_o), .layers_i(layers),
    .pass_valid_i(drain_pass_valid), .pass_ready_o(drain_pass_ready), .pass_i(drain_pass), .pass_done_i(pass_done),
    .acc_valid_o(acc_valid), .acc_quad_o(acc_quad), .acc_i(acc), .acc_touched_i(acc_touched),
    .acc_release_o(acc_release),
    .affine_addr_o, .affine_i(affine_rdata_i),
    .residual_waits_i(residual_waits), .residual_valid_o(residual_valid), .residual_addr_o(residual_addr),
    .residual_data_i(residual_data),
    .tile_valid_o(tile_valid), .tile_mask_o(tile_mask), .tile_addr_o(tile_addr), .tile_data_o(tile_data),
    .logits_valid_o, .logits_o, .rows_written_o(rows_written), .layer_done_o
  );

  feature_map #(.Pes(Pes), .WordBits(WordBits), .FeatureWords(FeatureWords)) u_maps (
    .clk_i,
    .window_en_i(window_en), .window_idle_i(window_idle), .window_addr_i(window_addr), .window_data_o(window_data),
    .tile_valid_i(tile_valid), .tile_mask_i(tile_mask), .tile_addr_i(tile_addr), .tile_data_i(tile_data),
    .residual_valid_i(residual_valid), .residual_addr_i(residual_addr), .residual_data_o(residual_data),
    .pixel_valid_i, .pixel_ready_o, .pixel_row_i, .pixel_column_i, .pixel_addr_i, .pixel_data_i
  );

  initial begin
    assert (Pes == Rows * Columns) else $fatal(1, "compute_core: Pes is %0d; allowed are 4, 8, 16 and 32", Pes);
    assert (ActivationBits == 8 || ActivationBits == 16)
      else $fatal(1, "compute_core: ActivationBits is %0d; allowed are 8 and 16", ActivationBits);
    assert (PassOutputs >= 32 && PassOutputs <= 128 && PassOutputs == 2 ** $clog2(PassOutputs))
      else $fatal(1, "compute_core: PassOutputs is %0d; allowed are 32, 64 and 128", PassOutputs);
  end

endmodule
