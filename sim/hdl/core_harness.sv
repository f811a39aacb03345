/// The compute core with its program memories, for benches that write programs and pixels directly.
module core_harness
  import tritforge_pkg::*;
  import tritforge_spaces_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PassOutputs    = 64,
  parameter int unsigned Slots          = 2048,
  parameter int unsigned BitmapWords    = 1024,
  parameter int unsigned AffineChannels = 2048,
  parameter int unsigned Descriptors    = 128,
  parameter int unsigned FeatureWords   = 1024,
  parameter int unsigned PoolChannels   = 512,
  parameter int unsigned Staging        = 1024,
  localparam int unsigned Rows       = tile_rows(Pes),
  localparam int unsigned Columns    = tile_columns(Pes),
  localparam int unsigned RowIdxBits = Rows > 1 ? $clog2(Rows) : 1,
  localparam int unsigned ColIdxBits = $clog2(Columns)
) (
  input  logic clk_i,
  input  logic rst_i,

  input  logic                     prog_we_i,
  input  space_t                   prog_space_i,
  input  logic [SpaceAddrBits-1:0] prog_addr_i,
  input  logic [SpaceWordBits-1:0] prog_wdata_i,

  input  logic reload_i,
  output logic program_ready_o,
  input  logic start_allowed_i,
  input  logic [1:0] image_full_i,
  output logic [1:0] image_free_o,
  input  logic                                    pixel_valid_i,
  output logic                                    pixel_ready_o,
  input  logic [RowIdxBits-1:0]                   pixel_row_i,
  input  logic [ColIdxBits-1:0]                   pixel_column_i,
  input  logic [15:0]                             pixel_addr_i,
  input  logic [GroupChannels*ActivationBits-1:0] pixel_data_i,

  output logic        image_start_o,
  output logic        image_done_o,
  output logic        image_event_o,
  output logic [31:0] cycles_o,
  output logic [31:0] issued_o,
  output logic [31:0] stall_windows_o,
  output logic [31:0] stall_accumulators_o
);

  logic [AddrBits-1:0]         desc_addr, bitmap_addr, affine_addr, slot_addr;
  logic [31:0]                 desc_rdata, bitmap_rdata;
  logic [3:0][63:0]            affine_rdata;
  logic [18*GroupChannels-1:0] slot_rdata;
  logic                        issued, stall_windows, stall_accumulators, busy;

  program_memories #(
    .GroupChannels(GroupChannels), .Slots(Slots), .BitmapWords(BitmapWords), .AffineChannels(AffineChannels),
    .Descriptors(Descriptors)
  ) u_memories (
    .clk_i, .prog_we_i, .prog_space_i, .prog_addr_i, .prog_wdata_i, .prog_rdata_o(),
    .desc_addr_i(desc_addr[$clog2(32*Descriptors)-1:0]), .desc_rdata_o(desc_rdata),
    .bitmap_en_i(1'b1), .bitmap_addr_i(bitmap_addr[$clog2(BitmapWords)-1:0]), .bitmap_rdata_o(bitmap_rdata),
    .affine_addr_i(affine_addr[$clog2(AffineChannels)-3:0]), .affine_rdata_o(affine_rdata),
    .slot_en_i(1'b1), .slot_addr_i(slot_addr[$clog2(Slots)-1:0]), .slot_rdata_o(slot_rdata)
  );

  compute_core #(
    .Pes(Pes), .GroupChannels(GroupChannels), .ActivationBits(ActivationBits), .PassOutputs(PassOutputs),
    .FeatureWords(FeatureWords), .PoolChannels(PoolChannels)
  ) u_core (
    .clk_i, .rst_i, .reload_i, .program_ready_o, .start_allowed_i, .busy_o(busy), .flush_i(1'b0), .header_o(),
    .desc_addr_o(desc_addr), .desc_rdata_i(desc_rdata), .bitmap_addr_o(bitmap_addr), .bitmap_rdata_i(bitmap_rdata),
    .affine_addr_o(affine_addr), .affine_rdata_i(affine_rdata), .slot_addr_o(slot_addr), .slot_rdata_i(slot_rdata),
    .image_full_i, .image_free_o,
    .pixel_valid_i, .pixel_ready_o, .pixel_row_i, .pixel_column_i, .pixel_addr_i, .pixel_data_i,
    .result_space_i(1'b1), .result_start_o(), .result_sequence_o(), .result_buffer_o(),
    .result_count_o(),
    .logits_valid_o(), .logits_o(),
    .image_start_o, .image_done_o, .layer_enters_o(), .layer_slot_o(), .layer_index_o(), .layer_done_o(),
    .done_slot_o(), .issue_slot_o(), .issued_o(issued), .stall_windows_o(stall_windows),
    .stall_accumulators_o(stall_accumulators), .tile_end_o(), .tile_slot_o(), .tile_groups_o()
  );

  // Counters since the start of the simulation.
  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      cycles_o             <= '0;
      issued_o             <= '0;
      stall_windows_o      <= '0;
      stall_accumulators_o <= '0;
    end else begin
      cycles_o             <= cycles_o + 1'b1;
      issued_o             <= issued_o + 32'(issued);
      stall_windows_o      <= stall_windows_o + 32'(stall_windows);
      stall_accumulators_o <= stall_accumulators_o + 32'(stall_accumulators);
    end
  end

  assign image_event_o = image_start_o || image_done_o;

  logic unused;
  assign unused = busy;

endmodule
