/// Reads the windows of a tile from the feature-map banks and hands them to the window registers.
///
/// 3x3 with stride 1 reads whole chunks, all banks at one address: every window register has one bank it ever loads
/// from. All else (stride 2, 1x1) gathers one tap a step: each bank has its own chunk, and a router brings each pixel
/// to the lane its register listens to. Registers, pads and routing follow the steps through a pipeline that stands
/// still while the shadow windows wait to be taken.
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
  input  layer_t layer_i,
  /// First bank word of the input map.
  input  logic [AddrBits-1:0] base_i,

  input  logic  load_valid_i,
  output logic  load_ready_o,
  input  load_t load_i,

  /// Feature-map banks: two cycles from address to data while read_en_o is high.
  output logic                                         read_en_o,
  output logic [Rows-1:0][Columns-1:0][AddrBits-1:0]   read_addr_o,
  input  logic [Rows-1:0][Columns-1:0][WordBits-1:0]   read_data_i,

  /// Window registers: what each lane brings, and which taps of which PE take it.
  output logic [Rows-1:0][Columns-1:0][WordBits-1:0]   lane_o,
  output logic [Pes-1:0][Taps-1:0]                     take_o,
  /// The shadow windows are complete and not yet taken.
  output logic windows_full_o,
  input  logic windows_take_i
);

  localparam int unsigned RowChunks  = (Rows + 2 + Rows - 1) / Rows;
  localparam int unsigned RowIdxBits = Rows > 1 ? $clog2(Rows) : 1;
  localparam int unsigned ColIdxBits = $clog2(Columns);
  localparam int unsigned Log2Rows   = $clog2(Rows);
  localparam int unsigned Log2Cols   = $clog2(Columns);

  // ---- A load is prepared: address of its first chunk, number of taps. ----
  logic                prepared_q, prepared_taken, multiply_q;
  logic [AddrBits-1:0] row_product_q, column_product_q, pointer_q;
  logic [12:0]         chunk_y_q, chunk_x_q;
  load_t               request_q;
  logic [3:0]          taps_q;
  logic                chunked;
  logic [7:0]          first_block;

  assign chunked     = !layer_i.pointwise && !layer_i.stride_2;
  assign first_block = layer_i.pointwise ? 8'(request_q.group * 8'(Taps)) : request_q.group;

  typedef enum logic [1:0] {PrepIdle, PrepMultiply, PrepAdd, PrepReady} prep_e;
  prep_e prep_q;

  assign load_ready_o = prep_q == PrepIdle;
  assign prepared_q   = prep_q == PrepReady;
  assign multiply_q   = prep_q == PrepMultiply;

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
    if (load_ready_o) request_q <= load_i;
    if (multiply_q) begin
      row_product_q    <= AddrBits'((AddrBits'(request_q.tile_y) << layer_i.stride_2) * layer_i.input_row_stride);
      column_product_q <= AddrBits'((AddrBits'(request_q.tile_x) << layer_i.stride_2) * AddrBits'(layer_i.input_blocks));
      chunk_y_q        <= 13'(request_q.tile_y) << layer_i.stride_2;
      chunk_x_q        <= 13'(request_q.tile_x) << layer_i.stride_2;
      taps_q           <= !layer_i.pointwise || layer_i.input_blocks - first_block >= 8'(Taps) ?
                          4'(Taps) : 4'(layer_i.input_blocks - first_block);
    end
    if (prep_q == PrepAdd) pointer_q <= base_i + row_product_q + column_product_q + AddrBits'(first_block);
  end

  // ---- Steps of a load. ----
  typedef struct packed {
    logic       chunked;
    logic [1:0] chunk_row;
    logic [1:0] chunk_column;
    logic [3:0] tap;
    logic       half_row;
    logic       half_column;
    logic       first;
    logic       last;
  } step_t;

  logic                stepping_q, advance;
  step_t               step_q, step_next;
  logic [AddrBits-1:0] step_pointer_q;
  logic [12:0]         step_y_q, step_x_q;
  logic [3:0]          step_taps_q;
  logic                last_column, last_row, last_half_column, last_half_row, last_tap, last_step;

  assign last_column      = step_q.chunk_column == 2'd1;
  assign last_row         = step_q.chunk_row == 2'(RowChunks - 1);
  assign last_half_column = !layer_i.stride_2 || step_q.half_column;
  assign last_half_row    = !layer_i.stride_2 || Rows == 1 || step_q.half_row;
  assign last_tap         = step_q.tap + 1'b1 == step_taps_q;
  assign last_step        = chunked ? last_column && last_row : last_half_column && last_half_row && last_tap;
  assign prepared_taken   = prepared_q && (!stepping_q || (advance && last_step));

  always_comb begin
    step_next = step_q;
    step_next.first = 1'b0;
    if (chunked) begin
      step_next.chunk_column = last_column ? '0 : step_q.chunk_column + 1'b1;
      if (last_column) step_next.chunk_row = step_q.chunk_row + 1'b1;
    end else begin
      step_next.half_column = !last_half_column;
      if (last_half_column) begin
        step_next.half_row = !last_half_row;
        if (last_half_row) step_next.tap = step_q.tap + 1'b1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_i) stepping_q <= 1'b0;
    else if (prepared_taken) stepping_q <= 1'b1;
    else if (advance && last_step) stepping_q <= 1'b0;
    if (prepared_taken) begin
      step_q         <= '0;
      step_q.chunked <= chunked;
      step_q.first   <= 1'b1;
      step_pointer_q <= pointer_q;
      step_y_q       <= chunk_y_q;
      step_x_q       <= chunk_x_q;
      step_taps_q    <= taps_q;
    end else if (advance && stepping_q) begin
      step_q <= step_next;
      // The taps of a 1x1 group are consecutive channel blocks.
      if (layer_i.pointwise && step_next.tap != step_q.tap) step_pointer_q <= step_pointer_q + 1'b1;
    end
  end

  // ---- Addresses and borders of a step. ----
  logic [1:0] tap_row, tap_column;
  assign tap_row    = step_q.tap >= 4'd6 ? 2'd2 : step_q.tap >= 4'd3 ? 2'd1 : 2'd0;
  assign tap_column = 2'(step_q.tap - 4'd3 * 4'(tap_row));

  logic [Rows-1:0][1:0]                gather_chunk_row, chunk_row;
  logic [Columns-1:0][1:0]             gather_chunk_column, chunk_column;
  logic [Rows-1:0][RowIdxBits-1:0]     row_bank;
  logic [Columns-1:0][ColIdxBits-1:0]  column_bank;
  logic [Rows-1:0]                     row_served;
  logic [Columns-1:0]                  column_served;

  gather_axis #(.Size(Rows)) u_rows (
    .stride_2_i(layer_i.stride_2), .offset_i(layer_i.pointwise ? 2'd1 : tap_row), .half_i(step_q.half_row),
    .chunk_o(gather_chunk_row), .bank_o(row_bank), .served_o(row_served)
  );

  gather_axis #(.Size(Columns)) u_columns (
    .stride_2_i(layer_i.stride_2), .offset_i(layer_i.pointwise ? 2'd1 : tap_column), .half_i(step_q.half_column),
    .chunk_o(gather_chunk_column), .bank_o(column_bank), .served_o(column_served)
  );

  logic [Rows-1:0]                 row_inside;
  logic [Columns-1:0]              column_inside;
  logic [Rows-1:0][AddrBits-1:0]    row_offset;
  logic [Columns-1:0][AddrBits-1:0] column_offset;

  always_comb begin
    for (int unsigned r = 0; r < Rows; r++) begin
      logic [15:0] y;
      chunk_row[r]  = step_q.chunked ? step_q.chunk_row : gather_chunk_row[r];
      y             = (16'(step_y_q + 13'(chunk_row[r])) << Log2Rows) + 16'(r);
      row_inside[r] = y != '0 && y <= 16'(layer_i.input_height);
      row_offset[r] = (chunk_row[r][0] ? layer_i.input_row_stride : '0) +
                      (chunk_row[r][1] ? layer_i.input_row_stride << 1 : '0);
    end
    for (int unsigned c = 0; c < Columns; c++) begin
      logic [15:0] x;
      chunk_column[c]  = step_q.chunked ? step_q.chunk_column : gather_chunk_column[c];
      x                = (16'(step_x_q + 13'(chunk_column[c])) << Log2Cols) + 16'(c);
      column_inside[c] = x != '0 && x <= 16'(layer_i.input_width);
      column_offset[c] = (chunk_column[c][0] ? AddrBits'(layer_i.input_blocks) : '0) +
                         (chunk_column[c][1] ? AddrBits'(layer_i.input_blocks) << 1 : '0);
    end
  end

  // ---- Pipeline beside the memory: address, memory, memory register, router, window registers. ----
  typedef struct packed {
    logic                               valid;
    step_t                              step;
    logic [1:0]                         tap_row;
    logic [1:0]                         tap_column;
    logic [Rows-1:0]                    row_inside;
    logic [Columns-1:0]                 column_inside;
    logic [Rows-1:0][RowIdxBits-1:0]    row_bank;
    logic [Columns-1:0][ColIdxBits-1:0] column_bank;
    logic [Rows-1:0]                    row_served;
    logic [Columns-1:0]                 column_served;
  } stage_t;

  stage_t stage_d, address_q, memory_q, output_q, router_q;

  always_comb begin
    stage_d.valid         = stepping_q;
    stage_d.step          = step_q;
    stage_d.step.last     = last_step;
    stage_d.tap_row       = tap_row;
    stage_d.tap_column    = tap_column;
    stage_d.row_inside    = row_inside;
    stage_d.column_inside = column_inside;
    stage_d.row_bank      = row_bank;
    stage_d.column_bank   = column_bank;
    stage_d.row_served    = row_served;
    stage_d.column_served = column_served;
  end

  assign advance   = !(router_q.valid && router_q.step.first && windows_full_o);
  assign read_en_o = advance;

  // Data of each bank with the padding in place, then brought to the lanes.
  logic [Rows-1:0][Columns-1:0][WordBits-1:0] padded, routed;
  logic [3:0][15:0] pad;
  assign pad = {layer_i.pad_3, layer_i.pad_2, layer_i.pad_1, layer_i.pad_0};

  always_comb begin
    for (int unsigned r = 0; r < Rows; r++) begin
      for (int unsigned c = 0; c < Columns; c++) begin
        padded[r][c] = read_data_i[r][c];
        if (!output_q.row_inside[r] || !output_q.column_inside[c]) begin
          for (int unsigned l = 0; l < GroupChannels; l++) begin
            padded[r][c][l*ActivationBits +: ActivationBits] = pad[l%4][ActivationBits-1:0];
          end
        end
      end
    end
    for (int unsigned r = 0; r < Rows; r++) begin
      for (int unsigned c = 0; c < Columns; c++) begin
        // The lane's pixel in the tile: where tap (row, column) of that pixel listens.
        logic [RowIdxBits-1:0] i;
        logic [ColIdxBits-1:0] j;
        i = RowIdxBits'((r + 2 * Rows - 32'(output_q.tap_row)) % Rows);
        j = ColIdxBits'((c + 2 * Columns - 32'(output_q.tap_column)) % Columns);
        routed[r][c] = output_q.step.chunked ? padded[r][c] : padded[output_q.row_bank[i]][output_q.column_bank[j]];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      address_q <= stage_d;
      memory_q  <= address_q;
      output_q  <= memory_q;
      router_q  <= output_q;
      lane_o    <= routed;
      for (int unsigned r = 0; r < Rows; r++) begin
        for (int unsigned c = 0; c < Columns; c++) begin
          read_addr_o[r][c] <= step_pointer_q + row_offset[r] + column_offset[c];
        end
      end
    end
    if (rst_i) begin
      address_q.valid <= 1'b0;
      memory_q.valid  <= 1'b0;
      output_q.valid  <= 1'b0;
      router_q.valid  <= 1'b0;
    end
  end

  // ---- Which window registers take their lane. ----
  for (genvar p = 0; p < Pes; p++) begin : gen_pe
    for (genvar t = 0; t < Taps; t++) begin : gen_tap
      localparam int unsigned I = p / Columns;
      localparam int unsigned J = p % Columns;
      logic chunk_hit, gather_hit;
      assign chunk_hit  = 32'(router_q.step.chunk_row) == (I + t / 3) / Rows &&
                          32'(router_q.step.chunk_column) == (J + t % 3) / Columns;
      assign gather_hit = 32'(router_q.step.tap) == t && router_q.row_served[I] && router_q.column_served[J];
      assign take_o[p][t] = router_q.valid && advance && (router_q.step.chunked ? chunk_hit : gather_hit);
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_i) windows_full_o <= 1'b0;
    else if (router_q.valid && advance && router_q.step.last) windows_full_o <= 1'b1;
    else if (windows_take_i) windows_full_o <= 1'b0;
    if (!rst_i) begin
      assert (!(windows_take_i && !windows_full_o)) else $error("window_loader: windows taken that are not there");
    end
  end

endmodule
