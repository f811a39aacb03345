/// Leads finished passes out of the accumulators, a quad of channels of all pixels a cycle.
///
/// The next pass is prepared while one drains, so that passes, also of different layers, follow each other without a
/// gap. A pass begins when its sums are complete and its residual is written; the pass of a pool begins when the layer
/// before is done. Each quad waits for the reads of its residual.
///
/// Accumulators are a ring of blocks of GroupChannels. A pass takes 2**buffer_log2 blocks from the ring's position,
/// rounded up to a multiple of that, on; the blocks that it skips belong to it.
module drain_sequencer
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  parameter int unsigned Pes           = 16,
  parameter int unsigned GroupChannels = 16,
  parameter int unsigned PassOutputs   = 64,
  localparam int unsigned Rows        = tile_rows(Pes),
  localparam int unsigned Columns     = tile_columns(Pes),
  localparam int unsigned LaneBits    = $clog2(GroupChannels / DrainChannels),
  localparam int unsigned RingBits    = $clog2(2 * PassOutputs / DrainChannels),
  localparam int unsigned BlockBits   = RingBits - LaneBits,
  localparam int unsigned ReleaseBits = BlockBits + 1
) (
  input  logic   clk_i,
  input  logic   rst_i,
  /// No layer is in the core: the ring begins anew.
  input  logic   idle_i,
  input  layer_t [LayerSlots-1:0] layers_i,

  input  logic  pass_valid_i,
  output logic  pass_ready_o,
  input  pass_t pass_i,
  /// A pass has left the PE array: its sums are complete.
  input  logic  pass_done_i,
  /// The oldest layer is written.
  input  logic  layer_done_i,

  /// The next pass is prepared; its residual may be read; it begins.
  output pass_t next_o,
  output logic  prepare_o,
  input  logic  prepared_ready_i,
  output logic  begin_o,
  /// A quad is wanted, which lies here in its block; it leaves with this cycle.
  output logic                want_o,
  output logic [LaneBits-1:0] lane_o,
  input  logic                step_i,
  /// Its quad in the affine table.
  output logic [AddrBits-1:0] affine_addr_o,

  /// One cycle after the quad left: the quad among the accumulators, in its block, in its layer.
  output logic                   step_valid_o,
  output logic                   step_slot_o,
  output logic [RingBits-1:0]    step_quad_o,
  output logic [LaneBits-1:0]    step_lane_o,
  output logic [9:0]             step_layer_quad_o,
  /// It ends a row of tiles, its layer; it is of the block that begins a row of tiles, of the layer's first tile.
  output logic                   step_row_end_o,
  output logic                   step_layer_end_o,
  output logic                   step_row_start_o,
  output logic                   step_first_tile_o,
  /// The tile reaches over the lower, the right edge of the map.
  output logic                   step_lower_o,
  output logic                   step_right_o,
  /// Blocks of the ring that are free again: not 0 at the end of a pass.
  output logic [ReleaseBits-1:0] release_o
);

  localparam int unsigned PassWords    = PassOutputs / GroupChannels;
  localparam int unsigned PassQuadBits = RingBits - 1;

  // ---- The next pass: its place in the ring, its quads, where it lies on the map. ----
  typedef struct packed {
    logic                    slot;
    logic                    last;
    logic                    first_tile;
    logic                    row_start;
    logic                    row_end;
    logic                    lower;
    logic                    right;
    logic [BlockBits-1:0]    base;
    logic [ReleaseBits-1:0]  taken;
    logic [PassQuadBits-1:0] last_quad;
  } drained_t;

  pass_t                  next_q;
  (* keep *) logic        layer_slot_q, edge_slot_q, next_slot_q;  // the slot selects fields here and in residual_fetch
  layer_t                 layer, edge_layer;  // of the next pass, where the map ends
  logic                   next_valid_q, prepared_valid_q, new_tile_q, pool_q, prepare, begins, ends;
  logic [AddrBits-1:0]    first_affine_q;
  logic [BlockBits-1:0]   position_q, mask, base;
  drained_t               prepared_q, drained_q;

  assign layer        = layers_i[layer_slot_q];
  assign edge_layer   = layers_i[edge_slot_q];
  assign mask         = BlockBits'((ReleaseBits'(1) << layer.buffer_log2) - 1'b1);
  assign base         = (position_q + mask) & ~mask;
  assign prepare      = next_valid_q && !prepared_valid_q;
  assign pass_ready_o = !next_valid_q;
  always_comb begin
    next_o      = next_q;
    next_o.slot = next_slot_q;
  end
  assign prepare_o    = prepare;
  assign begin_o      = begins;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      next_valid_q     <= 1'b0;
      prepared_valid_q <= 1'b0;
      position_q       <= '0;
    end else begin
      next_valid_q     <= next_valid_q ? !prepare : pass_valid_i;
      prepared_valid_q <= prepare || (prepared_valid_q && !begins);
      if (idle_i) position_q <= '0;
      else if (prepare) position_q <= base + mask + 1'b1;
    end
    if (pass_ready_o) next_q <= pass_i;
    if (pass_ready_o) {layer_slot_q, edge_slot_q, next_slot_q} <= {3{pass_i.slot}};
    if (prepare) begin
      new_tile_q     <= next_q.index == '0;
      pool_q         <= layer.kind == KindAveragePool;
      first_affine_q <= AddrBits'(layer.affine_base / 16'(DrainChannels));
      prepared_q     <= '{
        slot: next_q.slot, last: next_q.last, first_tile: next_q.first_tile,
        row_start: next_q.index == '0 && next_q.tile_x == '0,
        row_end: next_q.last_of_tile && next_q.tile_x + 1'b1 == layer.tiles_x,
        lower: next_q.tile_y == 12'(edge_layer.output_height / 12'(Rows)),
        right: next_q.tile_x == 12'(edge_layer.output_width / 12'(Columns)),
        base: base, taken: ReleaseBits'(BlockBits'(base - position_q)) + ReleaseBits'(mask) + 1'b1,
        last_quad: {(PassQuadBits-LaneBits)'((next_q.last_of_tile ? layer.last_words : 8'(PassWords)) - 1'b1),
                    {LaneBits{1'b1}}}
      };
    end
  end

  // ---- The pass that drains. ----
  localparam int unsigned CountBits = BlockBits + 1;
  logic                    running_q, last_step_q, step;
  logic [PassQuadBits-1:0] quad_q;
  logic [CountBits-1:0]    done_q;
  logic [1:0]              open_q;  // layers whose steps have ended and that are not done
  logic [AddrBits-1:0]     affine_q;
  logic [9:0]              layer_quad_q;

  assign step      = running_q && step_i;
  assign ends      = step && last_step_q;
  assign begins    = prepared_valid_q && prepared_ready_i && (done_q != '0 || pass_done_i) &&
                     !(pool_q && (running_q || open_q != '0)) && (!running_q || ends);

  assign want_o        = running_q;
  assign lane_o        = quad_q[LaneBits-1:0];
  assign affine_addr_o = affine_q;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      running_q <= 1'b0;
      done_q    <= '0;
      open_q    <= '0;
    end else begin
      running_q <= begins || (running_q && !ends);
      done_q    <= done_q + CountBits'(pass_done_i) - CountBits'(begins);
      open_q    <= open_q + 2'(ends && drained_q.last) - 2'(layer_done_i);
      assert (!(pass_done_i && done_q == CountBits'(2 * PassWords)))
        else $error("drain_sequencer: more passes done than buffers");
    end
    if (begins) drained_q <= prepared_q;
    if (begins) begin
      quad_q      <= '0;
      last_step_q <= 1'b0;  // a block has two quads at least
    end else if (step) begin
      quad_q      <= quad_q + 1'b1;
      last_step_q <= quad_q + 1'b1 == drained_q.last_quad;
    end
    if (begins && new_tile_q) begin
      affine_q     <= first_affine_q;
      layer_quad_q <= '0;
    end else if (step) begin
      affine_q     <= affine_q + 1'b1;
      layer_quad_q <= layer_quad_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    step_valid_o      <= step && !rst_i;
    step_slot_o       <= drained_q.slot;
    step_quad_o       <= {drained_q.base, LaneBits'(0)} | RingBits'(quad_q);
    step_lane_o       <= quad_q[LaneBits-1:0];
    step_layer_quad_o <= layer_quad_q;
    step_row_end_o    <= last_step_q && drained_q.row_end;
    step_layer_end_o  <= last_step_q && drained_q.last;
    step_row_start_o  <= drained_q.row_start && quad_q[PassQuadBits-1:LaneBits] == '0;
    step_first_tile_o <= drained_q.first_tile;
    step_lower_o      <= drained_q.lower;
    step_right_o      <= drained_q.right;
    release_o         <= ends && !rst_i ? drained_q.taken : '0;
  end

endmodule
