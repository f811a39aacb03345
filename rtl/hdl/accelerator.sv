/// tritforge accelerator: ternary convolutional networks in add/subtract PEs that skip zero groups.
///
/// AXI4-Lite for registers, program memories and patches; one AXI4-Stream brings images, one takes results. One clock;
/// the reset is synchronous.
module accelerator
  import tritforge_pkg::*;
  import tritforge_spaces_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  /// P: output pixels computed side by side; 4, 8, 16 or 32.
  parameter int unsigned Pes            = 16,
  /// C_g: channels of a PE group; 8 or 16.
  parameter int unsigned GroupChannels  = 16,
  /// A: bits of an activation; 8 or 16.
  parameter int unsigned ActivationBits = 8,
  /// Output channels accumulated in one pass; 32, 64 or 128.
  parameter int unsigned PassOutputs    = 64,
  /// Depths of the memories, powers of two.
  parameter int unsigned Slots          = 4096,
  parameter int unsigned BitmapWords    = 1024,
  parameter int unsigned AffineChannels = 4096,
  parameter int unsigned Descriptors    = 64,
  parameter int unsigned FeatureWords   = 1024,
  parameter int unsigned PoolChannels   = 512,
  parameter int unsigned Staging        = 1024
) (
  input  logic clk_i,
  input  logic rst_i,
  output logic interrupt_o,

  input  logic        s_axil_awvalid,
  output logic        s_axil_awready,
  input  logic [19:0] s_axil_awaddr,
  input  logic [2:0]  s_axil_awprot,
  input  logic        s_axil_wvalid,
  output logic        s_axil_wready,
  input  logic [31:0] s_axil_wdata,
  input  logic [3:0]  s_axil_wstrb,
  output logic        s_axil_bvalid,
  input  logic        s_axil_bready,
  output logic [1:0]  s_axil_bresp,
  input  logic        s_axil_arvalid,
  output logic        s_axil_arready,
  input  logic [19:0] s_axil_araddr,
  input  logic [2:0]  s_axil_arprot,
  output logic        s_axil_rvalid,
  input  logic        s_axil_rready,
  output logic [31:0] s_axil_rdata,
  output logic [1:0]  s_axil_rresp,

  input  logic                        s_axis_tvalid,
  output logic                        s_axis_tready,
  input  logic [4*ActivationBits-1:0] s_axis_tdata,
  input  logic                        s_axis_tlast,

  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic [63:0] m_axis_tdata,
  output logic [7:0]  m_axis_tkeep,
  output logic        m_axis_tlast
);

  localparam int unsigned Rows       = tile_rows(Pes);
  localparam int unsigned Columns    = tile_columns(Pes);
  localparam int unsigned RowIdxBits = Rows > 1 ? $clog2(Rows) : 1;
  localparam int unsigned ColIdxBits = $clog2(Columns);
  localparam int unsigned WordBits   = GroupChannels * ActivationBits;

  // ---- Host. ----
  logic        prog_we;
  space_t      prog_space;
  logic [SpaceAddrBits-1:0] prog_addr;
  logic [SpaceWordBits-1:0] prog_wdata, prog_rdata;
  logic [7:0]  counter_addr;
  logic [31:0] counter_rdata;
  logic        start_allowed, busy, reload, program_ready, soft_reset, stream_enable, stream_flush;
  logic [31:0] version;
  logic [15:0] batch_images;
  logic        early_last, late_last, batch_done;
  logic        issued, stall_windows, stall_accumulators, stall_schedule, skipped_valid, image_start, image_done;
  logic [23:0] skipped;

  host_interface #(
    .Pes(Pes), .GroupChannels(GroupChannels), .ActivationBits(ActivationBits), .PassOutputs(PassOutputs),
    .Slots(Slots), .BitmapWords(BitmapWords), .AffineChannels(AffineChannels), .Descriptors(Descriptors),
    .FeatureWords(FeatureWords), .Staging(Staging)
  ) u_host (
    .clk_i, .rst_i,
    .s_axil_awvalid, .s_axil_awready, .s_axil_awaddr, .s_axil_awprot,
    .s_axil_wvalid, .s_axil_wready, .s_axil_wdata, .s_axil_wstrb,
    .s_axil_bvalid, .s_axil_bready, .s_axil_bresp,
    .s_axil_arvalid, .s_axil_arready, .s_axil_araddr, .s_axil_arprot,
    .s_axil_rvalid, .s_axil_rready, .s_axil_rdata, .s_axil_rresp,
    .interrupt_o,
    .prog_we_o(prog_we), .prog_space_o(prog_space), .prog_addr_o(prog_addr), .prog_wdata_o(prog_wdata),
    .prog_rdata_i(prog_rdata),
    .layer_counter_addr_o(counter_addr), .layer_counter_rdata_i(counter_rdata),
    .start_allowed_o(start_allowed), .array_busy_i(busy), .reload_o(reload), .program_ready_i(program_ready),
    .version_o(version), .soft_reset_o(soft_reset),
    .stream_enable_o(stream_enable), .stream_flush_o(stream_flush), .batch_images_o(batch_images),
    .early_last_i(early_last), .late_last_i(late_last), .batch_done_i(batch_done),
    .issue_i(issued), .skipped_valid_i(skipped_valid), .skipped_i(skipped), .stall_windows_i(stall_windows),
    .stall_accumulators_i(stall_accumulators), .stall_schedule_i(stall_schedule),
    .image_start_i(image_start), .image_done_i(image_done)
  );

  // A soft reset stops everything but the host side.
  logic rst;
  assign rst = rst_i || soft_reset;

  // ---- Program. ----
  logic [AddrBits-1:0]         desc_addr, bitmap_addr, affine_addr, slot_addr;
  logic [31:0]                 desc_rdata, bitmap_rdata;
  logic [3:0][63:0]            affine_rdata;
  logic [18*GroupChannels-1:0] slot_rdata;

  program_memories #(
    .GroupChannels(GroupChannels), .Slots(Slots), .BitmapWords(BitmapWords), .AffineChannels(AffineChannels),
    .Descriptors(Descriptors)
  ) u_memories (
    .clk_i, .prog_we_i(prog_we), .prog_space_i(prog_space), .prog_addr_i(prog_addr), .prog_wdata_i(prog_wdata),
    .prog_rdata_o(prog_rdata),
    .desc_addr_i(desc_addr[$clog2(FrameWords*Descriptors)-1:0]), .desc_rdata_o(desc_rdata),
    .bitmap_en_i(1'b1), .bitmap_addr_i(bitmap_addr[$clog2(BitmapWords)-1:0]), .bitmap_rdata_o(bitmap_rdata),
    .affine_addr_i(affine_addr[$clog2(AffineChannels)-3:0]), .affine_rdata_o(affine_rdata),
    .slot_en_i(1'b1), .slot_addr_i(slot_addr[$clog2(Slots)-1:0]), .slot_rdata_o(slot_rdata)
  );

  // The program's addresses have the width of the descriptors; lowering keeps them inside the memories.
  logic unused_addresses;
  assign unused_addresses = ^{desc_addr, bitmap_addr, affine_addr, slot_addr};

  // ---- Images in. ----
  header_t               header;
  logic [1:0]            image_full, image_last, image_free;
  logic                  pixel_valid, pixel_ready;
  logic [RowIdxBits-1:0] pixel_row;
  logic [ColIdxBits-1:0] pixel_column;
  logic [AddrBits-1:0]   pixel_addr;
  logic [WordBits-1:0]   pixel_data;

  image_input #(.Pes(Pes), .GroupChannels(GroupChannels), .ActivationBits(ActivationBits)) u_input (
    .clk_i, .rst_i(rst), .enable_i(stream_enable), .flush_i(stream_flush), .header_i(header),
    .batch_images_i(batch_images),
    .s_axis_tvalid, .s_axis_tready, .s_axis_tdata, .s_axis_tlast,
    .pixel_valid_o(pixel_valid), .pixel_ready_i(pixel_ready), .pixel_row_o(pixel_row),
    .pixel_column_o(pixel_column), .pixel_addr_o(pixel_addr), .pixel_data_o(pixel_data),
    .buffer_full_o(image_full), .buffer_last_o(image_last), .buffer_free_i(image_free),
    .early_last_o(early_last), .late_last_o(late_last)
  );

  // ---- Core. ----
  logic                      result_space, result_start, result_buffer, logits_valid;
  logic                      layer_enters, layer_slot, layer_done, done_slot, issue_slot, tile_end, tile_slot;
  logic [31:0]               result_sequence, image_version;
  logic [11:0]               result_count;
  logic [3:0][LogitBits-1:0] logits;
  logic [7:0]                layer_index;
  logic [23:0]               tile_groups;

  compute_core #(
    .Pes(Pes), .GroupChannels(GroupChannels), .ActivationBits(ActivationBits), .PassOutputs(PassOutputs),
    .FeatureWords(FeatureWords), .PoolChannels(PoolChannels)
  ) u_core (
    .clk_i, .rst_i(rst), .reload_i(reload), .program_ready_o(program_ready), .start_allowed_i(start_allowed),
    .busy_o(busy), .flush_i(stream_flush), .header_o(header),
    .desc_addr_o(desc_addr), .desc_rdata_i(desc_rdata), .bitmap_addr_o(bitmap_addr), .bitmap_rdata_i(bitmap_rdata),
    .affine_addr_o(affine_addr), .affine_rdata_i(affine_rdata), .slot_addr_o(slot_addr), .slot_rdata_i(slot_rdata),
    .image_full_i(image_full), .image_free_o(image_free),
    .pixel_valid_i(pixel_valid), .pixel_ready_o(pixel_ready), .pixel_row_i(pixel_row),
    .pixel_column_i(pixel_column), .pixel_addr_i(pixel_addr), .pixel_data_i(pixel_data),
    .result_space_i(result_space), .result_start_o(result_start), .result_sequence_o(result_sequence),
    .result_buffer_o(result_buffer), .result_count_o(result_count), .logits_valid_o(logits_valid), .logits_o(logits),
    .image_start_o(image_start), .image_done_o(image_done), 
    .layer_enters_o(layer_enters), .layer_slot_o(layer_slot), .layer_index_o(layer_index), .layer_done_o(layer_done),
    .done_slot_o(done_slot), .issue_slot_o(issue_slot), .issued_o(issued), .stall_windows_o(stall_windows),
    .stall_accumulators_o(stall_accumulators), .tile_end_o(tile_end), .tile_slot_o(tile_slot),
    .tile_groups_o(tile_groups)
  );

  // Layers beyond the 64th share counters with those that came 64 before.
  logic unused_index;
  assign unused_index = ^layer_index[7:6];

  assign stall_schedule = busy && !issued && !stall_windows && !stall_accumulators;

  layer_counters u_layer_counters (
    .clk_i, .rst_i(rst), .busy_i(busy), .layer_enters_i(layer_enters), .layer_slot_i(layer_slot),
    .layer_index_i(layer_index[5:0]), .layer_done_i(layer_done), .done_slot_i(done_slot),
    .issue_slot_i(issue_slot), .issued_i(issued), .stall_windows_i(stall_windows),
    .stall_accumulators_i(stall_accumulators), .tile_end_i(tile_end), .tile_slot_i(tile_slot),
    .tile_groups_i(tile_groups), .skipped_valid_o(skipped_valid), .skipped_o(skipped),
    .addr_i(counter_addr), .rdata_o(counter_rdata)
  );

  // ---- Results out, under the version that was in force when the image started: no program changes under images. ----
  always_ff @(posedge clk_i) begin
    if (image_start) image_version <= version;
  end

  result_output #(.PassOutputs(PassOutputs)) u_output (
    .clk_i, .rst_i(rst), .reserve_i(image_start),
    .start_valid_i(result_start), .start_sequence_i(result_sequence), .start_version_i(image_version),
    .start_count_i(result_count), .start_last_i(image_last[result_buffer]),
    .quad_valid_i(logits_valid), .quad_i(logits), .space_o(result_space),
    .m_axis_tvalid, .m_axis_tready, .m_axis_tdata, .m_axis_tkeep, .m_axis_tlast, .batch_done_o(batch_done)
  );

endmodule
