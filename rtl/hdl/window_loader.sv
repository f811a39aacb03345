/// Reads the windows of a tile from the feature-map banks and hands them to the window registers.
///
/// Every window register listens to one fixed lane, and the lanes take what a step brings:
/// * 3x3, stride 1: a step is a chunk, all banks at one address, straight to the lanes of the same number.
/// * 3x3, stride 2: a step is a tap column for half of the tile's pixel columns, and as many tap rows as lanes are free
///   for. Lane l takes bank column 2 l - c, whichever half it is; rows are copied or rotated. The steps of the rows:
///   with one row of PEs a tap row each; with two rows (rows 0 and 1), (row 2 to both), (rows 3 and 4); with four rows
///   of PEs one row of PEs each.
/// * 1x1: a step is a channel block of one pixel of the tile, on all lanes at once.
/// Registers, pads and routing follow the steps through a pipeline that stands still while the shadow windows wait to
/// be taken. A load waits until the rows of the map that it reads have been written.
module window_loader
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  localparam int unsigned Rows     = tile_rows(Pes),
  localparam int unsigned Columns  = tile_columns(Pes),
  localparam int unsigned WordBits = GroupChannels * ActivationBits
) (
  input  logic   clk_i,
  input  logic   rst_i,
  input  layer_t [LayerSlots-1:0] layers_i,
  /// By slot: the input map is still being written, by the layer in the other slot; so many rows of tiles are.
  input  logic   [LayerSlots-1:0] input_waits_i,
  input  logic   [11:0]           rows_written_i,

  input  logic  load_valid_i,
  output logic  load_ready_o,
  input  load_t load_i,

  /// Feature-map banks: two cycles from address to data, while read_en_o is high; nothing is read in this cycle.
  /// Addresses of the rows from half of them on (0) and of those before (1), of columns from 1 on (0) and of column 0
  /// (1).
  output logic                                         read_en_o,
  output logic                                         read_idle_o,
  output logic [1:0][1:0][AddrBits-1:0]                read_addr_o,
  input  logic [Rows-1:0][Columns-1:0][WordBits-1:0]   read_data_i,

  /// Window registers: what each lane brings, and which taps of which PE take it.
  output logic [Rows-1:0][Columns-1:0][WordBits-1:0]   lane_o,
  output logic [Pes-1:0][Taps-1:0]                     take_o,
  /// The shadow windows are complete, or become so with this cycle's step, and are not yet taken.
  output logic windows_full_o,
  input  logic windows_take_i
);

  localparam int unsigned RowChunks  = (Rows + 2 + Rows - 1) / Rows;
  localparam int unsigned RowSteps   = Rows == 4 ? 4 : 3;  // of the rows of a 3x3 window with stride 2
  localparam int unsigned RowIdxBits = Rows > 1 ? $clog2(Rows) : 1;
  localparam int unsigned ColIdxBits = $clog2(Columns);
  localparam int unsigned Log2Rows   = $clog2(Rows);
  localparam int unsigned HalfRows   = (Rows + 1) / 2;
  localparam int unsigned Log2Cols   = $clog2(Columns);

  typedef enum logic [1:0] {Chunk, Strided, Pixel} mode_e;

  // ---- A load is prepared: address of its first chunk, number of taps, rows that must be there. ----
  typedef enum logic [1:0] {PrepIdle, PrepMultiply, PrepAdd, PrepReady} prep_e;

  prep_e               prep_q;
  load_t               request_q;
  (* keep *) logic     layer_slot_q, place_slot_q;  // the slot selects fields for two stages: a register for each
  layer_t              request_layer, place_layer;
  logic                prepared_taken, rows_ready_q, last_tile_row_q, last_tile_column_q;
  logic [AddrBits-1:0] row_product_q, column_product_q, pointer_q;
  logic [12:0]         chunk_y_q, chunk_x_q, rows_needed_q;
  logic [3:0]          taps_q;
  logic [7:0]          first_block;
  logic [RowIdxBits-1:0] last_i_q;
  logic [ColIdxBits-1:0] last_j_q;
  mode_e                 mode;

  assign request_layer = layers_i[layer_slot_q];
  assign place_layer   = layers_i[place_slot_q];
  assign mode         = request_layer.pointwise ? Pixel : request_layer.stride_2 ? Strided : Chunk;
  assign first_block  = request_layer.pointwise ? 8'(request_q.group * 8'(Taps)) : request_q.group;
  assign load_ready_o = prep_q == PrepIdle;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      prep_q <= PrepIdle;
    end else begin
      unique case (prep_q)
        PrepIdle:     if (load_valid_i) prep_q <= PrepMultiply;
        PrepMultiply: prep_q <= PrepAdd;
        PrepAdd:      prep_q <= PrepReady;
        default:      if (prepared_taken) prep_q <= PrepIdle;
      endcase
    end
    if (load_ready_o) begin
      request_q                    <= load_i;
      {layer_slot_q, place_slot_q} <= {2{load_i.slot}};
    end
    if (prep_q == PrepMultiply) begin
      row_product_q    <= AddrBits'((AddrBits'(request_q.tile_y) << request_layer.stride_2) * request_layer.input_row_stride);
      column_product_q <= AddrBits'((AddrBits'(request_q.tile_x) << request_layer.stride_2) * AddrBits'(request_layer.input_blocks));
      chunk_y_q        <= 13'(request_q.tile_y) << request_layer.stride_2;
      chunk_x_q        <= 13'(request_q.tile_x) << request_layer.stride_2;
      taps_q           <= request_layer.input_blocks - first_block >= 8'(Taps) ? 4'(Taps) :
                                                                             4'(request_layer.input_blocks - first_block);
      rows_needed_q    <= request_layer.stride_2 ? {request_q.tile_y, 1'b0} + 13'd2 :
                                               13'(request_q.tile_y) + (request_layer.pointwise ? 13'd1 : 13'd2);
      last_tile_row_q    <= request_q.tile_y + 1'b1 == request_layer.tiles_y;
      last_tile_column_q <= request_q.tile_x + 1'b1 == request_layer.tiles_x;
    end
    if (prep_q == PrepAdd) begin
      // Pixels of the tile that lie on the map.
      last_i_q  <= Rows == 1 ? '0 : last_tile_row_q ? RowIdxBits'(place_layer.output_height - 12'd1) : '1;
      last_j_q  <= last_tile_column_q ? ColIdxBits'(place_layer.output_width - 12'd1) : '1;
      pointer_q <= place_layer.input_base + row_product_q + column_product_q + AddrBits'(first_block);
    end
    rows_ready_q <= !input_waits_i[request_q.slot] || 13'(rows_written_i) >= rows_needed_q;
  end

  // ---- Steps of a load. ----
  typedef struct packed {
    mode_e                 mode;
    logic [1:0]            row;     // Chunk: of rows; Strided: step of the rows
    logic [1:0]            column;  // Chunk: of columns; Strided: tap column
    logic                  half;    // Strided: half of the pixel columns
    logic [3:0]            tap;     // Pixel: tap that takes the channel block
    logic [RowIdxBits-1:0] i;       // Pixel: which one of the tile
    logic [ColIdxBits-1:0] j;
    logic                  first;
    logic                  last;
  } step_t;

  logic                  stepping_q, advance, full_q, stride_2_q;
  // Registers of their own for what the slot and the mode select in addresses, and for the size of the map.
  (* keep *) logic       step_slot_q, size_slot_q;
  (* keep *) mode_e      chunk_mode_q;
  step_t                 step_q, step_next;
  layer_t                layer, size_layer;
  logic [AddrBits-1:0]   step_pointer_q;
  logic [12:0]           step_y_q, step_x_q;
  logic [3:0]            last_tap_q;
  logic [RowIdxBits-1:0] step_last_i_q;
  logic [ColIdxBits-1:0] step_last_j_q;
  logic                  last_column, last_row, last_i, last_j;

  assign layer          = layers_i[step_slot_q];
  assign size_layer     = layers_i[size_slot_q];
  assign last_column    = step_q.column == (step_q.mode == Chunk ? 2'd1 : 2'd2);
  assign last_row       = step_q.row == (step_q.mode == Chunk ? 2'(RowChunks - 1) : 2'(RowSteps - 1));
  assign last_j         = step_q.j == step_last_j_q;
  assign last_i         = step_q.i == step_last_i_q;
  assign prepared_taken = prep_q == PrepReady && rows_ready_q && (!stepping_q || (advance && step_q.last));

  always_comb begin
    step_next = step_q;
    step_next.first = 1'b0;
    if (step_q.mode == Pixel) begin
      step_next.j = last_j ? '0 : step_q.j + 1'b1;
      if (last_j) begin
        step_next.i = last_i ? '0 : step_q.i + 1'b1;
        if (last_i) step_next.tap = step_q.tap + 1'b1;
      end
    end else begin
      step_next.column = last_column ? '0 : step_q.column + 1'b1;
      if (last_column) begin
        step_next.row = last_row ? '0 : step_q.row + 1'b1;
        if (last_row) step_next.half = 1'b1;
      end
    end
    unique case (step_q.mode)
      Chunk:   step_next.last = step_next.column == 2'd1 && step_next.row == 2'(RowChunks - 1);
      Strided: step_next.last = step_next.column == 2'd2 && step_next.row == 2'(RowSteps - 1) && step_next.half;
      default: step_next.last = step_next.tap == last_tap_q && step_next.i == step_last_i_q &&
                                step_next.j == step_last_j_q;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (rst_i) stepping_q <= 1'b0;
    else if (prepared_taken) stepping_q <= 1'b1;
    else if (advance && step_q.last) stepping_q <= 1'b0;
    if (prepared_taken) begin
      step_q         <= '0;
      step_q.mode    <= mode;
      step_q.first   <= 1'b1;
      step_q.last    <= mode == Pixel && taps_q == 4'd1 && last_i_q == '0 && last_j_q == '0;
      chunk_mode_q   <= mode;
      step_slot_q    <= request_q.slot;
      size_slot_q    <= request_q.slot;
      stride_2_q     <= request_layer.stride_2;
      step_pointer_q <= pointer_q;
      step_y_q       <= chunk_y_q;
      step_x_q       <= chunk_x_q;
      last_tap_q     <= taps_q - 1'b1;
      step_last_i_q  <= last_i_q;
      step_last_j_q  <= last_j_q;
    end else if (advance && stepping_q) begin
      step_q <= step_next;
      // The taps of a 1x1 group are consecutive channel blocks.
      if (step_q.mode == Pixel && last_i && last_j) step_pointer_q <= step_pointer_q + 1'b1;
    end
  end

  // ---- Addresses and borders of a step: the chunk of each half of the bank rows, of column 0 and the others. ----
  logic [RowIdxBits+2:0]            pixel_y;  // coordinate + 1 in the banks, counted from the tile's first chunk
  logic [ColIdxBits+2:0]            pixel_x;
  logic [1:0][1:0]                  chunk_row, chunk_column;
  logic [1:0][AddrBits-1:0]         row_offset, column_offset;

  assign pixel_y = ((RowIdxBits+3)'(step_q.i) << stride_2_q) + 1'b1;
  assign pixel_x = ((ColIdxBits+3)'(step_q.j) << stride_2_q) + 1'b1;

  always_comb begin
    for (int unsigned n = 0; n < 2; n++) begin
      unique case (chunk_mode_q)
        Chunk:   chunk_row[n] = step_q.row;
        Strided: chunk_row[n] = Rows == 4 ? 2'((3'(step_q.row) + 3'(n)) >> 1) : step_q.row >> (1 - n);
        default: chunk_row[n] = 2'(pixel_y >> Log2Rows);
      endcase
      unique case (chunk_mode_q)
        Chunk:   chunk_column[n] = step_q.column;
        // The last pixel column's tap column 2 lies in the first bank of the next chunk.
        Strided: chunk_column[n] = 2'(step_q.half) + 2'(n == 1 && step_q.column == 2'd2);
        default: chunk_column[n] = 2'(pixel_x >> Log2Cols);
      endcase
      row_offset[n]    = (chunk_row[n][0] ? layer.input_row_stride : '0) +
                         (chunk_row[n][1] ? layer.input_row_stride << 1 : '0);
      column_offset[n] = (chunk_column[n][0] ? AddrBits'(layer.input_blocks) : '0) +
                         (chunk_column[n][1] ? AddrBits'(layer.input_blocks) << 1 : '0);
    end
  end

  // ---- Pipeline beside the memory: address, memory, memory register, alignment, router, window registers. ----
  typedef struct packed {
    logic                  valid;
    logic                  slot;
    step_t                 step;
    logic [RowIdxBits-1:0] pixel_row;
    logic [ColIdxBits-1:0] pixel_column;
  } stage_t;

  stage_t stage_d, address_q, memory_q, output_q, aligned_q, router_q;

  always_comb begin
    stage_d.valid         = stepping_q;
    stage_d.slot          = step_slot_q;
    stage_d.step          = step_q;
    stage_d.pixel_row     = RowIdxBits'(pixel_y & (RowIdxBits+3)'(Rows - 1));
    stage_d.pixel_column  = ColIdxBits'(pixel_x & (ColIdxBits+3)'(Columns - 1));
  end

  // What of a step lies on the map, found while its address goes to the memory.
  logic [1:0][12:0]   step_chunk_y_q, step_chunk_x_q;
  logic [11:0]        height_q, width_q;
  logic [Rows-1:0]    row_inside_q;
  logic [Columns-1:0] column_inside_q;

  function automatic logic on_map(logic [15:0] coordinate, logic [11:0] length);
    return coordinate != '0 && coordinate <= 16'(length);  // coordinate + 1
  endfunction

  always_ff @(posedge clk_i) begin
    if (advance) begin
      height_q <= size_layer.input_height;
      width_q  <= size_layer.input_width;
      for (int unsigned n = 0; n < 2; n++) begin
        step_chunk_y_q[n] <= step_y_q + 13'(chunk_row[n]);
        step_chunk_x_q[n] <= step_x_q + 13'(chunk_column[n]);
      end
      for (int unsigned r = 0; r < Rows; r++) begin
        row_inside_q[r] <= on_map(16'(step_chunk_y_q[r < HalfRows]) << Log2Rows | 16'(r), height_q);
      end
      for (int unsigned c = 0; c < Columns; c++) begin
        column_inside_q[c] <= on_map(16'(step_chunk_x_q[c == 0]) << Log2Cols | 16'(c), width_q);
      end
    end
  end

  assign advance      = !(router_q.valid && router_q.step.first && full_q);
  assign read_en_o    = advance;
  assign read_idle_o  = !(advance && address_q.valid);

  always_ff @(posedge clk_i) begin
    if (advance) begin
      address_q <= stage_d;
      memory_q  <= address_q;
      output_q  <= memory_q;
      aligned_q <= output_q;
      router_q  <= aligned_q;
      for (int unsigned n = 0; n < 4; n++) begin
        read_addr_o[n/2][n%2] <= step_pointer_q + row_offset[n/2] + column_offset[n%2];
      end
    end
    if (rst_i) begin
      address_q.valid <= 1'b0;
      memory_q.valid  <= 1'b0;
      output_q.valid  <= 1'b0;
      aligned_q.valid <= 1'b0;
      router_q.valid  <= 1'b0;
    end
  end

  // ---- Alignment: for each lane row and bank column a row of banks, padding, or the pixel that all lanes get. ----
  localparam int unsigned Pad = Rows, Everywhere = Rows + 1;
  localparam int unsigned SourceBits = $clog2(Rows + 2);

  // The choices are made while the memory reads, and kept once for every 64 bits that they choose.
  localparam int unsigned Copies = (WordBits + 63) / 64;
  localparam int unsigned CopyBits = WordBits / Copies;
  logic [Rows-1:0][Columns-1:0][SourceBits-1:0] source_d;

  always_comb begin
    for (int unsigned m = 0; m < Rows; m++) begin
      logic [RowIdxBits-1:0] row;
      row = RowIdxBits'(m);
      if (memory_q.step.mode == Strided) begin
        if (Rows == 1) row = '0;
        else if (Rows == 4) row = RowIdxBits'(m) + RowIdxBits'(memory_q.step.row);
        else row = memory_q.step.row == 2'd1 ? '0 : RowIdxBits'(m) ^ RowIdxBits'(memory_q.step.row[1]);
      end
      for (int unsigned c = 0; c < Columns; c++) begin
        if (memory_q.step.mode == Pixel) source_d[m][c] = SourceBits'(Everywhere);
        else if (row_inside_q[row] && column_inside_q[c]) source_d[m][c] = SourceBits'(row);
        else source_d[m][c] = SourceBits'(Pad);
      end
    end
  end

  logic [3:0][15:0] pad;
  logic [WordBits-1:0] pad_word, pixel;
  assign pad = {layers_i[output_q.slot].pad_3, layers_i[output_q.slot].pad_2, layers_i[output_q.slot].pad_1,
                layers_i[output_q.slot].pad_0};

  always_comb begin
    for (int unsigned l = 0; l < GroupChannels; l++) begin
      pad_word[l*ActivationBits +: ActivationBits] = pad[l%4][ActivationBits-1:0];
    end
  end

  // The pixel that all lanes get, sixteen bits by sixteen.
  for (genvar s = 0; s < WordBits / 16; s++) begin : gen_pixel
    (* keep *) logic [RowIdxBits-1:0] row_q;
    (* keep *) logic [ColIdxBits-1:0] column_q;
    logic [Rows-1:0][Columns-1:0][15:0] slice;
    always_ff @(posedge clk_i) begin
      if (advance) begin
        row_q    <= memory_q.pixel_row;
        column_q <= memory_q.pixel_column;
      end
    end
    for (genvar r = 0; r < Rows; r++) begin : gen_row
      for (genvar c = 0; c < Columns; c++) begin : gen_column
        assign slice[r][c] = read_data_i[r][c][16*s +: 16];
      end
    end
    assign pixel[16*s +: 16] = slice[row_q][column_q];
  end

  logic [Rows-1:0][Columns-1:0][WordBits-1:0] aligned_data_q;

  for (genvar m = 0; m < Rows; m++) begin : gen_lane_row
    for (genvar l = 0; l < Columns; l++) begin : gen_lane
      for (genvar k = 0; k < Copies; k++) begin : gen_copy
        (* keep *) logic [SourceBits-1:0] source_q;
        // ---- Router: its own bank column (0) or, with stride 2, that of tap column 0, 1, 2 (1, 2, 3). ----
        (* keep *) logic [1:0]            route_q;
        logic [CopyBits-1:0]              aligned, routed;

        always_comb begin
          aligned = source_q == SourceBits'(Pad) ? pad_word[CopyBits*k +: CopyBits] : pixel[CopyBits*k +: CopyBits];
          for (int unsigned r = 0; r < Rows; r++) begin
            if (source_q == SourceBits'(r)) aligned = read_data_i[r][l][CopyBits*k +: CopyBits];
          end
          unique case (route_q)
            2'd0: routed = aligned_data_q[m][l][CopyBits*k +: CopyBits];
            2'd1: routed = aligned_data_q[m][2*l%Columns][CopyBits*k +: CopyBits];
            2'd2: routed = aligned_data_q[m][(2*l+Columns-1)%Columns][CopyBits*k +: CopyBits];
            2'd3: routed = aligned_data_q[m][(2*l+Columns-2)%Columns][CopyBits*k +: CopyBits];
          endcase
        end

        always_ff @(posedge clk_i) begin
          if (advance) begin
            source_q <= source_d[m][l];
            route_q  <= output_q.step.mode == Strided ? output_q.step.column + 1'b1 : '0;
            aligned_data_q[m][l][CopyBits*k +: CopyBits] <= aligned;
            lane_o[m][l][CopyBits*k +: CopyBits]         <= routed;
          end
        end
      end
    end
  end

  // ---- Which window registers take their lane, with registers of their own for every four PEs. ----
  logic [Pes/4-1:0] go;

  for (genvar n = 0; n < Pes / 4; n++) begin : gen_four
    (* keep *) logic valid_q, first_q, full_copy_q;
    always_ff @(posedge clk_i) begin
      if (advance) {valid_q, first_q} <= {aligned_q.valid, aligned_q.step.first};
      full_copy_q <= windows_full_o && !windows_take_i;
      if (rst_i) {valid_q, full_copy_q} <= '0;
    end
    assign go[n] = valid_q && !(first_q && full_copy_q);
  end

  for (genvar p = 0; p < Pes; p++) begin : gen_pe
    for (genvar t = 0; t < Taps; t++) begin : gen_tap
      localparam int unsigned I = p / Columns;
      localparam int unsigned J = p % Columns;
      localparam int unsigned R = t / 3;
      localparam int unsigned C = t % 3;
      // The step of the rows that brings tap row R of PE row I.
      localparam int unsigned Row = 2 * I + R;
      localparam int unsigned RowStep = Rows == 1 ? R : Rows == 4 ? I : Row < 2 ? 0 : Row == 2 ? 1 : 2;
      logic hit;
      always_comb begin
        unique case (router_q.step.mode)
          Chunk:   hit = 32'(router_q.step.row) == (I + R) / Rows && 32'(router_q.step.column) == (J + C) / Columns;
          Strided: hit = 32'(router_q.step.row) == RowStep && 32'(router_q.step.column) == C &&
                         32'(router_q.step.half) == J / (Columns / 2);
          default: hit = 32'(router_q.step.tap) == t && 32'(router_q.step.i) == I && 32'(router_q.step.j) == J;
        endcase
      end
      assign take_o[p][t] = go[p/4] && hit;
    end
  end

  // ---- The shadow windows. ----
  assign windows_full_o = full_q || (router_q.valid && advance && router_q.step.last);

  always_ff @(posedge clk_i) begin
    if (rst_i) full_q <= 1'b0;
    else full_q <= windows_full_o && !windows_take_i;
    if (!rst_i) begin
      assert (!(windows_take_i && !windows_full_o)) else $error("window_loader: windows taken that are not there");
    end
  end

endmodule
