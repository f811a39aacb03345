/// Leads finished passes out of the accumulators, a channel pair of all pixels a cycle.
///
/// A pass drains block by block; a block starts when its residual is there, and then runs without a stop. Room for the
/// logits of an image is made sure of before the image starts. Addresses of the affine table leave two cycles before the accumulators are read.
module drain_sequencer
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  parameter int unsigned Pes           = 16,
  parameter int unsigned GroupChannels = 16,
  parameter int unsigned PassOutputs   = 64,
  localparam int unsigned Rows         = tile_rows(Pes),
  localparam int unsigned Columns      = tile_columns(Pes),
  localparam int unsigned PairBits     = $clog2(PassOutputs),
  localparam int unsigned LaneBits     = $clog2(GroupChannels) - 1
) (
  input  logic   clk_i,
  input  logic   rst_i,
  /// Starts a layer.
  input  logic   start_i,
  input  layer_t layer_i,

  input  logic  pass_valid_i,
  output logic  pass_ready_o,
  input  pass_t pass_i,
  /// A pass has left the PE array: its sums are complete.
  input  logic  pass_done_i,

  /// Residual of the next block, where the layer has one.
  input  logic residual_valid_i,
  output logic residual_claim_o,

  /// Affine table: pair of channels, two cycles ahead of step_o.
  output logic [AddrBits-1:0] affine_addr_o,

  /// A step: read this pair of channels now.
  output logic                step_valid_o,
  output logic [PairBits-1:0] step_pair_o,
  /// The pair in its block, and in the layer.
  output logic [LaneBits-1:0] step_lane_o,
  output logic [AddrBits-1:0] step_layer_pair_o,
  output logic                step_block_end_o,
  output logic                step_buffer_end_o,
  output logic                step_layer_end_o,
  output logic                step_first_tile_o,
  /// Where the block goes: first bank word, and which pixels of the tile lie on the map.
  output logic [AddrBits-1:0] step_pointer_o,
  output logic [Rows-1:0]     step_rows_o,
  output logic [Columns-1:0]  step_columns_o
);

  localparam int unsigned PassWords = PassOutputs / GroupChannels;

  // ---- The next pass is prepared while the current one drains. ----
  typedef enum logic [1:0] {PrepIdle, PrepMultiply, PrepAdd, PrepReady} prep_e;
  typedef struct packed {
    pass_t               info;
    logic [AddrBits-1:0] pointer;
    logic [Rows-1:0]     rows;
    logic [Columns-1:0]  columns;
  } tile_t;

  prep_e               prep_q;
  tile_t               next_q, tile_q;
  logic [AddrBits-1:0] row_product_q, column_product_q;
  logic                begins;

  assign pass_ready_o = prep_q == PrepIdle;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      prep_q <= PrepIdle;
    end else begin
      unique case (prep_q)
        PrepIdle:     if (pass_valid_i) prep_q <= PrepMultiply;
        PrepMultiply: prep_q <= PrepAdd;
        PrepAdd:      prep_q <= PrepReady;
        default:      if (begins) prep_q <= PrepIdle;
      endcase
    end
    if (pass_ready_o) next_q.info <= pass_i;
    if (prep_q == PrepMultiply) begin
      row_product_q    <= AddrBits'(next_q.info.tile_y * layer_i.output_row_stride);
      column_product_q <= AddrBits'(next_q.info.tile_x * AddrBits'(layer_i.output_blocks));
      for (int unsigned r = 0; r < Rows; r++) begin
        next_q.rows[r] <= 16'(next_q.info.tile_y) * 16'(Rows) + 16'(r) < 16'(layer_i.output_height);
      end
      for (int unsigned c = 0; c < Columns; c++) begin
        next_q.columns[c] <= 16'(next_q.info.tile_x) * 16'(Columns) + 16'(c) < 16'(layer_i.output_width);
      end
    end
    if (prep_q == PrepAdd) begin
      next_q.pointer <= layer_i.output_base + row_product_q + column_product_q +
                        AddrBits'(next_q.info.index) * AddrBits'(PassWords);
    end
  end

  // ---- Steps. ----
  localparam int unsigned CountBits = $clog2(2 * PassWords) + 1;
  logic                 running_q;
  logic [PairBits-1:0]  base_q;
  logic [CountBits-1:0] done_q;
  logic [7:0]          block_q;
  logic [LaneBits-1:0] lane_q;
  logic                starts_block, may_start, step, last_lane, last_block, ends;

  assign starts_block = lane_q == '0;
  assign may_start    = !layer_i.residual || residual_valid_i;
  assign step         = running_q && (!starts_block || may_start);
  assign last_lane    = lane_q == '1;
  assign last_block   = block_q + 1'b1 == (tile_q.info.last_of_tile ? layer_i.last_words : 8'(PassWords));
  assign ends         = step && last_lane && last_block;
  assign begins       = prep_q == PrepReady && done_q != '0 && (!running_q || ends);

  assign residual_claim_o = step && starts_block && layer_i.residual;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      running_q <= 1'b0;
      done_q    <= '0;
    end else begin
      if (begins) running_q <= 1'b1;
      else if (ends) running_q <= 1'b0;
      done_q <= done_q + CountBits'(pass_done_i) - CountBits'(begins);
      assert (!(pass_done_i && done_q == CountBits'(2 * PassWords)))
        else $error("drain_sequencer: more passes done than buffers");
    end
    if (start_i) base_q <= '0;
    else if (ends) base_q <= base_q + (PairBits'(GroupChannels / 2) << layer_i.buffer_log2);
    if (begins) begin
      tile_q  <= next_q;
      block_q <= '0;
      lane_q  <= '0;
    end else if (step) begin
      lane_q <= lane_q + 1'b1;
      if (last_lane) block_q <= block_q + 1'b1;
    end
  end

  // ---- Two cycles of the affine table. ----
  typedef struct packed {
    logic                valid;
    logic [PairBits-1:0] pair_index;
    logic [LaneBits-1:0] lane;
    logic [AddrBits-1:0] layer_pair;
    logic                block_end;
    logic                buffer_end;
    logic                layer_end;
    logic                first_tile;
    logic [AddrBits-1:0] pointer;
    logic [Rows-1:0]     rows;
    logic [Columns-1:0]  columns;
  } step_t;

  step_t step_d, step_q, step2_q;

  always_comb begin
    step_d.valid      = step;
    step_d.pair_index = base_q | PairBits'({block_q, lane_q});
    step_d.lane       = lane_q;
    step_d.layer_pair = AddrBits'(tile_q.info.index) * AddrBits'(PassOutputs / 2) + AddrBits'({block_q, lane_q});
    step_d.block_end  = last_lane;
    step_d.buffer_end = last_lane && last_block;
    step_d.layer_end  = last_lane && last_block && tile_q.info.last;
    step_d.first_tile = tile_q.info.first_tile;
    step_d.pointer    = tile_q.pointer + AddrBits'(block_q);
    step_d.rows       = tile_q.rows;
    step_d.columns    = tile_q.columns;
  end

  assign affine_addr_o = (layer_i.affine_base >> 1) + step_d.layer_pair;

  always_ff @(posedge clk_i) begin
    step_q  <= step_d;
    step2_q <= step_q;
    if (rst_i) begin
      step_q.valid  <= 1'b0;
      step2_q.valid <= 1'b0;
    end
  end

  assign step_valid_o      = step2_q.valid;
  assign step_pair_o       = step2_q.pair_index;
  assign step_lane_o       = step2_q.lane;
  assign step_layer_pair_o = step2_q.layer_pair;
  assign step_block_end_o  = step2_q.valid && step2_q.block_end;
  assign step_buffer_end_o = step2_q.valid && step2_q.buffer_end;
  assign step_layer_end_o  = step2_q.valid && step2_q.layer_end;
  assign step_first_tile_o = step2_q.first_tile;
  assign step_pointer_o    = step2_q.pointer;
  assign step_rows_o       = step2_q.rows;
  assign step_columns_o    = step2_q.columns;

endmodule
