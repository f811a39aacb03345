/// The way of a finished pass: accumulators or pool sums, requantisers, tile of feature-map words, logits.
///
/// Layers follow each other without a gap; what a stage needs of the layer it takes from the slot that comes along.
module drain
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PassOutputs    = 64,
  parameter int unsigned PoolChannels   = 512,
  localparam int unsigned Rows        = tile_rows(Pes),
  localparam int unsigned Columns     = tile_columns(Pes),
  localparam int unsigned WordBits    = GroupChannels * ActivationBits,
  localparam int unsigned AccBits     = acc_bits(ActivationBits),
  localparam int unsigned RingBits    = $clog2(2 * PassOutputs / DrainChannels),
  localparam int unsigned LaneBits    = $clog2(GroupChannels / DrainChannels),
  localparam int unsigned ReleaseBits = RingBits - LaneBits + 1
) (
  input  logic   clk_i,
  input  logic   rst_i,
  /// No layer is in the core.
  input  logic   idle_i,
  /// Constant from a layer's first pass to its end.
  input  layer_t [LayerSlots-1:0] layers_i,

  input  logic  pass_valid_i,
  output logic  pass_ready_o,
  input  pass_t pass_i,
  input  logic  pass_done_i,

  /// Accumulators of all PEs, one cycle from address to sums, and which of the channels have any.
  output logic                                                  acc_valid_o,
  output logic [RingBits-1:0]                                   acc_quad_o,
  input  logic signed [Pes-1:0][DrainChannels-1:0][AccBits-1:0] acc_i,
  input  logic [DrainChannels-1:0]                              acc_touched_i,
  /// Blocks of the accumulators' ring that are free again: not 0 at the end of a pass.
  output logic [ReleaseBits-1:0]                                acc_release_o,

  /// Affine table, two cycles from address to data: the channels of a quad, {M, B}.
  output logic [AddrBits-1:0]            affine_addr_o,
  input  logic [DrainChannels-1:0][63:0] affine_i,

  /// By slot: the residual is still being written, by the layer in the other slot.
  input  logic [LayerSlots-1:0]                      residual_waits_i,
  /// Feature map, two cycles from address to data; never in the cycle of a tile.
  output logic                                       residual_valid_o,
  output logic [1:0][1:0][AddrBits-1:0]              residual_addr_o,
  input  logic [Rows-1:0][Columns-1:0][WordBits-1:0] residual_data_i,

  output logic                                       tile_valid_o,
  output logic [Rows-1:0][Columns-1:0]               tile_mask_o,
  output logic [1:0][1:0][AddrBits-1:0]              tile_addr_o,
  output logic [Rows-1:0][Columns-1:0][WordBits-1:0] tile_data_o,

  output logic                                logits_valid_o,
  output logic [DrainChannels-1:0][LogitBits-1:0] logits_o,

  /// Rows of tiles of the oldest layer that are written, the one of this cycle's tile among them.
  output logic [11:0] rows_written_o,
  /// All results of the oldest layer are written.
  output logic        layer_done_o
);

  localparam int unsigned PoolQuadBits = $clog2(PoolChannels / DrainChannels);
  /// Cycles from a step to the sum, the activation, the tile, the pool's sum.
  localparam int unsigned SumStage   = 6;
  localparam int unsigned ActStage   = 7;
  localparam int unsigned TileStage  = 8;
  localparam int unsigned PoolStage  = ActStage + $clog2(Pes);

  // ---- Steps. ----
  typedef struct packed {
    logic                valid;
    logic                slot;
    logic                row_end;
    logic                layer_end;
    logic                row_start;
    logic                first_tile;
    logic                lower;
    logic                right;
    logic [LaneBits-1:0] lane;
    logic [9:0]          layer_quad;
  } tag_t;

  tag_t [ActStage:1]                                       tag;  // by cycles since the step
  pass_t                                                   next;
  logic                                                    prepare, prepared_ready, begins, want, step;
  logic [LaneBits-1:0]                                     want_lane;
  logic [Pes-1:0][DrainChannels-1:0][ActivationBits-1:0]   straight, gathered;

  drain_sequencer #(.Pes(Pes), .GroupChannels(GroupChannels), .PassOutputs(PassOutputs)) u_sequencer (
    .clk_i, .rst_i, .idle_i, .layers_i,
    .pass_valid_i, .pass_ready_o, .pass_i, .pass_done_i, .layer_done_i(layer_done_o),
    .next_o(next), .prepare_o(prepare), .prepared_ready_i(prepared_ready), .begin_o(begins),
    .want_o(want), .lane_o(want_lane), .step_i(step), .affine_addr_o,
    .step_valid_o(tag[1].valid), .step_slot_o(tag[1].slot), .step_quad_o(acc_quad_o), .step_lane_o(tag[1].lane),
    .step_layer_quad_o(tag[1].layer_quad), .step_row_end_o(tag[1].row_end), .step_layer_end_o(tag[1].layer_end),
    .step_row_start_o(tag[1].row_start), .step_first_tile_o(tag[1].first_tile), .step_lower_o(tag[1].lower),
    .step_right_o(tag[1].right), .release_o(acc_release_o)
  );

  residual_fetch #(.Pes(Pes), .GroupChannels(GroupChannels), .ActivationBits(ActivationBits)) u_residual (
    .clk_i, .rst_i, .layers_i, .waits_i(residual_waits_i), .rows_written_i(rows_written_o),
    .next_i(next), .prepare_i(prepare), .prepared_ready_o(prepared_ready), .begin_i(begins),
    .want_i(want), .lane_i(want_lane), .step_o(step),
    .read_valid_o(residual_valid_o), .read_ready_i(!tile_valid_o), .read_addr_o(residual_addr_o),
    .read_data_i(residual_data_i), .straight_o(straight), .gathered_o(gathered)
  );

  for (genvar i = 2; i <= ActStage; i++) begin : gen_tag
    always_ff @(posedge clk_i) begin
      tag[i] <= tag[i-1];
      if (rst_i) tag[i].valid <= 1'b0;
    end
  end

  assign acc_valid_o = tag[1].valid;

  // ---- Of the layer, for the stages of the requantisers. ----
  logic [31:0]                half_q;
  logic [15:0]                residual_multiplier_q;
  logic [4:0]                 shift_q;
  logic [Rows-1:0]            rows_q, rows2_q;
  logic [Columns-1:0]         columns_q, columns2_q;
  layer_t                     sum_layer;

  assign sum_layer = layers_i[tag[SumStage-1].slot];

  always_ff @(posedge clk_i) begin
    half_q                <= (32'd1 << layers_i[tag[1].slot].shift) >> 1;
    residual_multiplier_q <= layers_i[tag[2].slot].residual_multiplier;
    shift_q               <= layers_i[tag[4].slot].shift;
    for (int unsigned r = 0; r < Rows; r++) begin
      rows_q[r] <= !tag[SumStage-1].lower || 12'(r) < sum_layer.output_height % 12'(Rows);
    end
    for (int unsigned c = 0; c < Columns; c++) begin
      columns_q[c] <= !tag[SumStage-1].right || 12'(c) < sum_layer.output_width % 12'(Columns);
    end
    rows2_q    <= rows_q;
    columns2_q <= columns_q;
  end

  // ---- B + h of each channel, in two cycles; whether its sum is the pool's. ----
  logic signed [DrainChannels-1:0][47:0] bias_q;
  logic [DrainChannels-1:0]              pooled;

  for (genvar k = 0; k < DrainChannels; k++) begin : gen_bias
    logic [23:0] low_q, high_q;
    logic [7:0]  half_high_q;
    logic [1:0]  top_q;  // highest bits that were added
    logic        carry;

    // From the sum's bit and those that were added, or the chain would be a bit longer.
    assign carry = top_q == 2'b11 || (top_q != '0 && !low_q[23]);

    always_ff @(posedge clk_i) begin
      low_q       <= affine_i[k][23:0] + half_q[23:0];
      top_q       <= {affine_i[k][23], half_q[23]};
      high_q      <= affine_i[k][47:24];
      half_high_q <= half_q[31:24];
      bias_q[k]   <= {high_q + 24'(half_high_q) + 24'(carry), low_q};
    end

    (* keep *) logic pooled_q;
    always_ff @(posedge clk_i) pooled_q <= layers_i[tag[1].slot].kind == KindAveragePool;
    assign pooled[k] = pooled_q;
  end

  // ---- Requantisers: the channels of a quad of every pixel. ----
  logic signed [DrainChannels-1:0][AccBits-1:0]          pool;
  logic [Pes-1:0][DrainChannels-1:0][ActivationBits-1:0] activation;
  logic [Pes-1:0][DrainChannels-1:0][LogitBits-1:0]      logit;

  for (genvar p = 0; p < Pes; p++) begin : gen_pixel
    for (genvar k = 0; k < DrainChannels; k++) begin : gen_channel
      requantiser #(.ActivationBits(ActivationBits)) u_requantiser (
        .clk_i,
        .acc_i(p == 0 && pooled[k] ? pool[k] : acc_i[p][k]),
        .empty_i(!acc_touched_i[k] && !(p == 0 && pooled[k])),
        .multiplier_i(affine_i[k][63:48]),
        .residual_i({gathered[p][k], straight[p][k]}),
        .residual_multiplier_i(residual_multiplier_q),
        .bias_i(bias_q[k]),
        .shift_i(shift_q),
        .beside_i(!(rows_q[p/Columns] && columns_q[p%Columns])),
        .logit_o(logit[p][k]),
        .activation_o(activation[p][k])
      );
    end
  end

  // ---- Logits: pixel 0, as many quads as there are classes. ----
  assign logits_o = logit[0];

  always_ff @(posedge clk_i) begin
    logits_valid_o <= tag[SumStage-1].valid && sum_layer.logits && !rst_i &&
                      {tag[SumStage-1].layer_quad, 2'd0} < sum_layer.outputs;
  end

  // ---- Activations: to the feature map, and into the pool sums. ----
  tag_t   act;
  layer_t act_layer;
  assign act       = tag[ActStage];
  assign act_layer = layers_i[act.slot];

  output_tile #(.Pes(Pes), .GroupChannels(GroupChannels), .ActivationBits(ActivationBits)) u_output (
    .clk_i, .rst_i,
    .quad_valid_i(act.valid && !act_layer.logits), .base_i(act_layer.output_base),
    .row_stride_i(act_layer.output_row_stride), .blocks_i(act_layer.output_blocks),
    .row_start_i(act.row_start), .first_tile_i(act.first_tile), .lane_i(act.lane),
    .rows_i(rows2_q), .columns_i(columns2_q), .quad_i(activation),
    .tile_valid_o, .tile_mask_o, .tile_addr_o, .tile_data_o
  );

  average_pool #(.Pes(Pes), .ActivationBits(ActivationBits), .PoolChannels(PoolChannels)) u_pool (
    .clk_i,
    .quad_valid_i(act.valid && act_layer.pool_outputs), .first_tile_i(act.first_tile),
    .quad_index_i(act.layer_quad[PoolQuadBits-1:0]), .quad_i(activation),
    .read_quad_i(tag[1].layer_quad[PoolQuadBits-1:0]), .sums_o(pool)
  );

  // ---- The end of a layer: with its last tile, or when its sums for the pool, which comes next, are complete. ----
  logic [PoolStage-1:TileStage] sums_q;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      layer_done_o   <= 1'b0;
      sums_q         <= '0;
      rows_written_o <= '0;
    end else begin
      sums_q       <= sums_q << 1 | (PoolStage-TileStage)'(act.valid && act.layer_end && act_layer.pool_outputs);
      layer_done_o <= act.valid && act.layer_end && !act_layer.pool_outputs || sums_q[PoolStage-1];
      if (layer_done_o) rows_written_o <= '0;
      else if (act.valid && act.row_end) rows_written_o <= rows_written_o + 1'b1;
    end
  end

endmodule
