/// Reads the residual of each quad of channels while the quad leaves the accumulators, from the feature map's port B.
///
/// The banks' registers hold the word between its quads, so that a word is read once. Option A: the residual may sit
/// between zero channels, which are not read, and take every second pixel: each quad of such a layer is gathered in as
/// many reads as the tile's pixels have chunks.
///
/// A row of tiles reads its words in order: addresses are counted, not computed.
module residual_fetch
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  localparam int unsigned Rows     = tile_rows(Pes),
  localparam int unsigned Columns  = tile_columns(Pes),
  localparam int unsigned WordBits = GroupChannels * ActivationBits,
  localparam int unsigned Quads    = GroupChannels / DrainChannels,
  localparam int unsigned LaneBits = $clog2(Quads)
) (
  input  logic   clk_i,
  input  logic   rst_i,
  input  layer_t [LayerSlots-1:0] layers_i,
  /// By slot: the residual is still being written, by the layer in the other slot; so many rows of tiles are.
  input  logic   [LayerSlots-1:0] waits_i,
  input  logic   [11:0]           rows_written_i,

  /// The next pass is prepared; its residual may be read; it begins.
  input  pass_t next_i,
  input  logic  prepare_i,
  output logic  prepared_ready_o,
  input  logic  begin_i,
  /// A quad is wanted, which lies here in its block; it leaves with this cycle.
  input  logic                want_i,
  input  logic [LaneBits-1:0] lane_i,
  output logic                step_o,

  /// Reads in this cycle, in which no tile is written, in the tile's chunk and in the next one, by rows and by columns;
  /// data two cycles later.
  output logic                                       read_valid_o,
  input  logic                                       read_ready_i,
  output logic [1:0][1:0][AddrBits-1:0]              read_addr_o,
  input  logic [Rows-1:0][Columns-1:0][WordBits-1:0] read_data_i,

  /// Three cycles after the quad left: its residual, from the pixel's own bank or gathered; one or both are zero.
  output logic [Pes-1:0][DrainChannels-1:0][ActivationBits-1:0] straight_o,
  output logic [Pes-1:0][DrainChannels-1:0][ActivationBits-1:0] gathered_o
);

  // ---- The next pass: first word of its tile, rows that must be there. ----
  layer_t              next_layer, prepared_layer;
  logic                new_row, prepared_slot_q, new_tile_q;
  logic [AddrBits-1:0] row_q, tile_q, origin, distance, start;
  logic                waiting, waiting_q;
  logic [12:0]         last_row, last_row_q, due_row;

  assign next_layer     = layers_i[next_i.slot];
  assign prepared_layer = layers_i[prepared_slot_q];
  assign new_row        = next_i.tile_x == '0;
  assign waiting        = next_layer.residual && waits_i[next_i.slot];
  assign last_row       = next_layer.residual_stride_2 ? {next_i.tile_y, 1'b1} : 13'(next_i.tile_y);
  assign due_row        = prepare_i ? last_row : last_row_q;

  // Words count from the output's first channel, so that the zero blocks before the residual come off.
  assign origin   = next_i.first_tile ? next_layer.residual_base : new_row ? row_q : tile_q;
  assign distance = next_i.first_tile ? ~AddrBits'(next_layer.residual_offset) :
                    (new_row ? next_layer.residual_row_stride : AddrBits'(next_layer.residual_blocks))
                    << next_layer.residual_stride_2;
  assign start    = origin + distance + AddrBits'(next_i.first_tile && !next_layer.residual_half);

  always_ff @(posedge clk_i) begin
    if (prepare_i) begin
      prepared_slot_q <= next_i.slot;
      new_tile_q      <= next_i.index == '0;
      waiting_q       <= waiting;
      last_row_q      <= last_row;
      if (next_i.index == '0) begin
        tile_q <= start;
        if (new_row) row_q <= start;
      end
    end
    prepared_ready_o <= !(prepare_i ? waiting : waiting_q && waits_i[prepared_slot_q]) || 13'(rows_written_i) > due_row;
  end

  // ---- The quad: its word, its lane in that, and the part of the tile that is read. ----
  layer_t              layer;
  logic                slot_q, half_q, strided_q, in_range_q, reads_q, half_row_q, half_column_q;
  logic [AddrBits-1:0] pointer_q;
  logic signed [9:0]   source_q, source_after;
  logic [LaneBits-1:0] lane;
  logic                starts_in_range, in_range_after, moves, last_part;

  assign layer        = layers_i[slot_q];
  assign source_after = source_q + 1'b1;
  assign lane         = lane_i ^ LaneBits'(Quads / 2 * 32'(half_q));
  assign moves        = want_i && (!reads_q || read_ready_i);
  assign last_part    = !in_range_q || !strided_q || (half_row_q && half_column_q);
  assign step_o       = moves && last_part;

  assign read_valid_o = want_i && reads_q && read_ready_i;

  assign starts_in_range = prepared_layer.residual && prepared_layer.residual_offset == '0 &&
                           !prepared_layer.residual_half;
  assign in_range_after  = layer.residual && source_after >= 0 && source_after < 10'(layer.residual_blocks);

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      half_column_q <= 1'b0;
      half_row_q    <= Rows == 1;
    end else if (moves) begin
      half_column_q <= !last_part && !half_column_q;
      half_row_q    <= Rows == 1 || (!last_part && (half_row_q || half_column_q));
    end
    if (begin_i) begin
      slot_q    <= prepared_slot_q;
      half_q    <= prepared_layer.residual_half;
      strided_q <= prepared_layer.residual_stride_2;
    end
    if (begin_i && new_tile_q) begin
      pointer_q  <= tile_q;
      source_q   <= -10'(prepared_layer.residual_offset) - 10'(prepared_layer.residual_half);
      in_range_q <= starts_in_range;
      reads_q    <= starts_in_range;
    end else if (step_o && lane == '1) begin
      pointer_q  <= pointer_q + 1'b1;
      source_q   <= source_after;
      in_range_q <= in_range_after;
      reads_q    <= in_range_after;
    end else if (step_o) begin
      reads_q <= in_range_q && strided_q;
    end
  end

  // A pixel lies at its coordinates + 1, the last ones in the next chunk. With stride 2 all pixels of a part lie in one
  // chunk.
  always_comb begin
    for (int unsigned n = 0; n < 4; n++) begin
      read_addr_o[n/2][n%2] = pointer_q +
                              ((strided_q ? half_row_q : n / 2 == 1) ? layer.residual_row_stride : '0) +
                              ((strided_q ? half_column_q : n % 2 == 1) ? AddrBits'(layer.residual_blocks) : '0);
    end
  end

  // ---- Beside the memory: what the data will be. ----
  typedef struct packed {
    logic step;      // the quad is complete
    logic straight;
    logic gathered;
    logic half_row;
    logic half_column;
  } stage_t;

  stage_t              stage_q, stage2_q;
  logic [LaneBits-1:0] lane_q;

  always_ff @(posedge clk_i) begin
    stage_q <= '{step: step_o, straight: in_range_q && !strided_q, gathered: moves && in_range_q && strided_q,
                 half_row: half_row_q, half_column: half_column_q};
    lane_q   <= lane;
    stage2_q <= stage_q;
  end

  logic [Rows-1:0][Columns-1:0][DrainChannels*ActivationBits-1:0] quad;

  for (genvar r = 0; r < Rows; r++) begin : gen_row
    for (genvar c = 0; c < Columns; c++) begin : gen_column
      (* keep *) logic [LaneBits-1:0]                lane2_q;
      logic [Quads-1:0][DrainChannels*ActivationBits-1:0] word;
      always_ff @(posedge clk_i) lane2_q <= lane_q;
      assign word       = read_data_i[r][c];
      assign quad[r][c] = word[lane2_q];
    end
  end

  for (genvar p = 0; p < Pes; p++) begin : gen_pe
    localparam int unsigned I = p / Columns;
    localparam int unsigned J = p % Columns;
    localparam logic HalfRow    = Rows == 1 || I >= Rows / 2;
    localparam logic HalfColumn = J >= Columns / 2;

    always_ff @(posedge clk_i) begin
      if (!stage2_q.straight) straight_o[p] <= '0;
      else straight_o[p] <= quad[(I+1)%Rows][(J+1)%Columns];
      if (stage2_q.step && !stage2_q.gathered) gathered_o[p] <= '0;
      else if (stage2_q.gathered && stage2_q.half_row == HalfRow && stage2_q.half_column == HalfColumn)
        gathered_o[p] <= quad[(2*I+1)%Rows][(2*J+1)%Columns];
    end
  end

endmodule
