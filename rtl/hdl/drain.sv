/// The way of a finished pass: accumulators or pool sums, requantisers, tile of feature-map words, logits.
module drain
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PassOutputs    = 64,
  parameter int unsigned PoolChannels   = 512,
  localparam int unsigned Rows     = tile_rows(Pes),
  localparam int unsigned Columns  = tile_columns(Pes),
  localparam int unsigned WordBits = GroupChannels * ActivationBits,
  localparam int unsigned PairBits = $clog2(PassOutputs),
  localparam int unsigned LaneBits = $clog2(GroupChannels) - 1
) (
  input  logic   clk_i,
  input  logic   rst_i,
  /// Starts a layer.
  input  logic   start_i,
  input  layer_t layer_i,

  input  logic  pass_valid_i,
  output logic  pass_ready_o,
  input  pass_t pass_i,
  input  logic  pass_done_i,

  /// Accumulators of all PEs, read in the cycle of the address.
  output logic                                       acc_valid_o,
  output logic [PairBits-1:0]                        acc_pair_o,
  input  logic signed [Pes-1:0][1:0][AccBits-1:0]    acc_i,
  /// The buffer is empty.
  output logic                                       acc_release_o,

  /// Affine table: even and odd channel, {M, B}.
  output logic [AddrBits-1:0] affine_addr_o,
  input  logic [1:0][63:0]    affine_i,

  input  logic                         residual_valid_i,
  output logic                         residual_claim_o,
  input  logic [Pes-1:0][WordBits-1:0] residual_i,
  output logic                         residual_release_o,

  output logic                                       tile_valid_o,
  output logic [Rows-1:0][Columns-1:0]               tile_mask_o,
  output logic [Rows-1:0][Columns-1:0][AddrBits-1:0] tile_addr_o,
  output logic [Rows-1:0][Columns-1:0][WordBits-1:0] tile_data_o,

  output logic                      logits_valid_o,
  output logic [1:0][LogitBits-1:0] logits_o,

  /// All results of the layer are written.
  output logic layer_done_o
);

  localparam int unsigned PoolPairBits = $clog2(PoolChannels) - 1;
  /// Cycles from the accumulators to a logit, and to an activation.
  localparam int unsigned LogitDelay      = 4;
  localparam int unsigned ActivationDelay = 5;
  /// Cycles after the last activation until pool sums and feature map are written.
  localparam int unsigned WriteDelay = $clog2(Pes) + 2;

  logic                step_valid, step_block_end, step_buffer_end, step_layer_end, step_first_tile;
  logic [LaneBits-1:0] step_lane;
  logic [AddrBits-1:0] step_layer_pair, step_pointer;
  logic [Rows-1:0]     step_rows;
  logic [Columns-1:0]  step_columns;

  drain_sequencer #(.Pes(Pes), .GroupChannels(GroupChannels), .PassOutputs(PassOutputs)) u_sequencer (
    .clk_i, .rst_i, .start_i, .layer_i,
    .pass_valid_i, .pass_ready_o, .pass_i, .pass_done_i,
    .residual_valid_i, .residual_claim_o, .affine_addr_o,
    .step_valid_o(step_valid), .step_pair_o(acc_pair_o), .step_lane_o(step_lane),
    .step_layer_pair_o(step_layer_pair), .step_block_end_o(step_block_end), .step_buffer_end_o(step_buffer_end),
    .step_layer_end_o(step_layer_end), .step_first_tile_o(step_first_tile), .step_pointer_o(step_pointer),
    .step_rows_o(step_rows), .step_columns_o(step_columns)
  );

  assign acc_valid_o        = step_valid;
  assign acc_release_o      = step_buffer_end;
  assign residual_release_o = step_block_end && layer_i.residual;

  // ---- Requantisers: even and odd channel of every pixel. ----
  logic signed [1:0][AccBits-1:0]            pool;
  logic [Pes-1:0][1:0][ActivationBits-1:0]   activation;
  logic [Pes-1:0][1:0][LogitBits-1:0]        logit;
  logic                                      pooled;

  assign pooled = layer_i.kind == KindPool;

  for (genvar p = 0; p < Pes; p++) begin : gen_pixel
    logic [GroupChannels/2-1:0][1:0][ActivationBits-1:0] residual;
    assign residual = residual_i[p];
    for (genvar k = 0; k < 2; k++) begin : gen_channel
      requantiser #(.ActivationBits(ActivationBits)) u_requantiser (
        .clk_i,
        .acc_i(pooled ? (p == 0 ? pool[k] : '0) : acc_i[p][k]),
        .multiplier_i(affine_i[k][63:48]),
        .bias_i(affine_i[k][47:0]),
        .residual_i(layer_i.residual ? residual[step_lane][k] : '0),
        .residual_multiplier_i(layer_i.residual_multiplier),
        .shift_i(layer_i.shift),
        .logit_o(logit[p][k]),
        .activation_o(activation[p][k])
      );
    end
  end

  // ---- What belongs to a pair, beside the requantisers. ----
  typedef struct packed {
    logic                valid;
    logic                block_end;
    logic                layer_end;
    logic                first_tile;
    logic [LaneBits-1:0] lane;
    logic [AddrBits-1:0] layer_pair;
    logic [AddrBits-1:0] pointer;
    logic [Rows-1:0]     rows;
    logic [Columns-1:0]  columns;
  } tag_t;

  tag_t [ActivationDelay:0] tag;

  always_comb begin
    tag[0].valid      = step_valid;
    tag[0].block_end  = step_block_end;
    tag[0].layer_end  = step_layer_end;
    tag[0].first_tile = step_first_tile;
    tag[0].lane       = step_lane;
    tag[0].layer_pair = step_layer_pair;
    tag[0].pointer    = step_pointer;
    tag[0].rows       = step_rows;
    tag[0].columns    = step_columns;
  end

  for (genvar i = 1; i <= ActivationDelay; i++) begin : gen_tag
    always_ff @(posedge clk_i) begin
      tag[i] <= tag[i-1];
      if (rst_i) tag[i].valid <= 1'b0;
    end
  end

  // ---- Logits: pixel 0, as many pairs as there are classes. ----
  tag_t logit_tag, activation_tag;
  assign logit_tag      = tag[LogitDelay];
  assign activation_tag = tag[ActivationDelay];
  assign logits_o       = logit[0];
  assign logits_valid_o = logit_tag.valid && layer_i.logits &&
                          {logit_tag.layer_pair, 1'b0} < (AddrBits+1)'(layer_i.outputs);

  // ---- Activations: to the feature map, and into the pool sums. ----
  output_tile #(.Pes(Pes), .GroupChannels(GroupChannels), .ActivationBits(ActivationBits)) u_output (
    .clk_i, .rst_i,
    .row_stride_i(layer_i.output_row_stride), .blocks_i(layer_i.output_blocks),
    .pair_valid_i(activation_tag.valid && !layer_i.logits), .pair_lane_i(activation_tag.lane), .pair_i(activation),
    .block_end_i(activation_tag.block_end), .pointer_i(activation_tag.pointer),
    .rows_i(activation_tag.rows), .columns_i(activation_tag.columns),
    .tile_valid_o, .tile_mask_o, .tile_addr_o, .tile_data_o
  );

  average_pool #(.Pes(Pes), .ActivationBits(ActivationBits), .PoolChannels(PoolChannels)) u_pool (
    .clk_i,
    .pair_valid_i(activation_tag.valid && layer_i.pool_outputs), .first_tile_i(activation_tag.first_tile),
    .pair_index_i(activation_tag.layer_pair[PoolPairBits-1:0]),
    .rows_i(activation_tag.rows), .columns_i(activation_tag.columns), .pair_i(activation),
    .read_pair_i(step_layer_pair[PoolPairBits-1:0]), .even_o(pool[0]), .odd_o(pool[1])
  );

  logic [WriteDelay-1:0] done_q;

  always_ff @(posedge clk_i) begin
    if (rst_i) done_q <= '0;
    else done_q <= {done_q[WriteDelay-2:0], activation_tag.valid && activation_tag.layer_end};
  end

  assign layer_done_o = done_q[WriteDelay-1];

endmodule
