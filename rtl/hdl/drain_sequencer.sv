/// Leads finished passes out of the accumulators, a quad of channels of all pixels a cycle.
///
/// The next pass waits in a register while one drains, so that passes, also of different layers, follow each other
/// without a gap. A pass begins when its sums are complete and its residual is written; the pass of a pool begins when
/// the layer before is done. Each quad waits for the reads of its residual.
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

  /// The next pass; whether its residual may be read; it begins.
  output pass_t next_o,
  input  logic  next_ready_i,
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

  // ---- The next pass: its place in the ring, its quads. ----
  pass_t                   next_q;
  layer_t                  layer;  // of the next pass
  logic                    next_valid_q, begins, ends, new_tile;
  logic [BlockBits-1:0]    position_q, mask, base;
  logic [PassQuadBits-1:0] last_quad;

  assign layer        = layers_i[next_q.slot];
  assign new_tile     = next_q.index == '0;
  assign mask         = BlockBits'((ReleaseBits'(1) << layer.buffer_log2) - 1'b1);
  assign base         = (position_q + mask) & ~mask;
  assign last_quad    = {(PassQuadBits-LaneBits)'((next_q.last_of_tile ? layer.last_words : 8'(PassWords)) - 1'b1),
                         {LaneBits{1'b1}}};
  assign pass_ready_o = !next_valid_q || begins;
  assign next_o       = next_q;
  assign begin_o      = begins;

  always_ff @(posedge clk_i) begin
    if (rst_i) next_valid_q <= 1'b0;
    else if (pass_ready_o) next_valid_q <= pass_valid_i;
    if (pass_ready_o) next_q <= pass_i;
  end

  // ---- The pass that drains. ----
  localparam int unsigned CountBits = BlockBits + 1;
  logic                    running_q, slot_q, last_q, first_tile_q, row_start_q, row_end_q, lower_q, right_q;
  logic                    step, last_step, pool_waits;
  logic [PassQuadBits-1:0] quad_q, last_quad_q;
  logic [BlockBits-1:0]    base_q;
  logic [ReleaseBits-1:0]  taken_q;
  logic [CountBits-1:0]    done_q;
  logic [1:0]              open_q;  // layers whose steps have ended and that are not done
  logic [AddrBits-1:0]     affine_q;
  logic [9:0]              layer_quad_q;

  assign step       = running_q && step_i;
  assign last_step  = quad_q == last_quad_q;
  assign ends       = step && last_step;
  assign pool_waits = layer.kind == KindPool && (running_q || open_q != '0);
  assign begins     = next_valid_q && (done_q != '0 || pass_done_i) && next_ready_i && (!running_q || ends) &&
                      !pool_waits;

  assign want_o        = running_q;
  assign lane_o        = quad_q[LaneBits-1:0];
  assign affine_addr_o = affine_q;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      running_q  <= 1'b0;
      done_q     <= '0;
      open_q     <= '0;
      position_q <= '0;
    end else begin
      if (begins) running_q <= 1'b1;
      else if (ends) running_q <= 1'b0;
      if (idle_i) position_q <= '0;
      else if (begins) position_q <= base + mask + 1'b1;
      done_q <= done_q + CountBits'(pass_done_i) - CountBits'(begins);
      open_q <= open_q + 2'(ends && last_q) - 2'(layer_done_i);
      assert (!(pass_done_i && done_q == CountBits'(2 * PassWords)))
        else $error("drain_sequencer: more passes done than buffers");
    end
    if (begins) begin
      slot_q       <= next_q.slot;
      last_q       <= next_q.last;
      first_tile_q <= next_q.first_tile;
      row_start_q  <= new_tile && next_q.tile_x == '0;
      row_end_q    <= next_q.last_of_tile && next_q.tile_x + 1'b1 == layer.tiles_x;
      lower_q      <= next_q.tile_y == 12'(layer.output_height / 12'(Rows));
      right_q      <= next_q.tile_x == 12'(layer.output_width / 12'(Columns));
      base_q       <= base;
      taken_q      <= ReleaseBits'(BlockBits'(base - position_q)) + ReleaseBits'(mask) + 1'b1;
      last_quad_q  <= last_quad;
      quad_q       <= '0;
    end else if (step) begin
      quad_q <= quad_q + 1'b1;
    end
    if (begins && new_tile) begin
      affine_q     <= AddrBits'(layer.affine_base / 16'(DrainChannels));
      layer_quad_q <= '0;
    end else if (step) begin
      affine_q     <= affine_q + 1'b1;
      layer_quad_q <= layer_quad_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    step_valid_o      <= step && !rst_i;
    step_slot_o       <= slot_q;
    step_quad_o       <= {base_q, LaneBits'(0)} | RingBits'(quad_q);
    step_lane_o       <= quad_q[LaneBits-1:0];
    step_layer_quad_o <= layer_quad_q;
    step_row_end_o    <= last_step && row_end_q;
    step_layer_end_o  <= last_step && last_q;
    step_row_start_o  <= row_start_q && quad_q[PassQuadBits-1:LaneBits] == '0;
    step_first_tile_o <= first_tile_q;
    step_lower_o      <= lower_q;
    step_right_o      <= right_q;
    release_o         <= ends && !rst_i ? taken_q : '0;
  end

endmodule
