/// Fetches the residual of each output block of a pass, two blocks ahead of the drain.
///
/// Option A: the residual may take every second pixel and sit between zero channels. Where the zeros end in the middle
/// of a block, an output block takes the upper half of one residual block and the lower half of the next.
module residual_fetch
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PassOutputs    = 64,
  localparam int unsigned Rows     = tile_rows(Pes),
  localparam int unsigned Columns  = tile_columns(Pes),
  localparam int unsigned WordBits = GroupChannels * ActivationBits
) (
  input  logic   clk_i,
  input  logic   rst_i,
  input  layer_t layer_i,
  /// First bank word of the residual map.
  input  logic [AddrBits-1:0] base_i,

  input  logic  pass_valid_i,
  output logic  pass_ready_o,
  input  pass_t pass_i,

  output logic                                       read_valid_o,
  input  logic                                       read_ready_i,
  output logic [Rows-1:0][Columns-1:0][AddrBits-1:0] read_addr_o,
  /// Two cycles after the handshake.
  input  logic [Rows-1:0][Columns-1:0][WordBits-1:0] read_data_i,

  /// A block is there that no claim has taken.
  output logic                            block_valid_o,
  input  logic                            block_claim_i,
  /// The oldest claimed block, and its return.
  output logic [Pes-1:0][WordBits-1:0]    block_o,
  input  logic                            block_release_i
);

  localparam int unsigned PassWords  = PassOutputs / GroupChannels;
  localparam int unsigned HalfBits   = WordBits / 2;
  localparam int unsigned RowIdxBits = Rows > 1 ? $clog2(Rows) : 1;
  localparam int unsigned ColIdxBits = $clog2(Columns);

  // ---- Position: pass, output block, part, half tile. ----
  typedef enum logic [2:0] {Idle, Multiply, Add, Clear, Read} state_e;
  state_e              state_q;
  pass_t               pass_q;
  logic [AddrBits-1:0] row_product_q, column_product_q, pointer_q;
  logic [7:0]          block_q;
  logic                part_q, half_row_q, half_column_q;
  logic [1:0]          allocated_q;

  logic signed [9:0] source;
  logic              in_range, last_block, last_step, last_half_row, last_half_column, moves;

  assign source = 10'(pass_q.index * 8'(PassWords)) + 10'(block_q) - 10'(layer_i.residual_offset) -
                  10'(layer_i.residual_half && !part_q);
  assign in_range         = source >= 0 && source < 10'(layer_i.residual_blocks);
  assign last_half_column = !layer_i.residual_stride_2 || half_column_q;
  assign last_half_row    = !layer_i.residual_stride_2 || Rows == 1 || half_row_q;
  assign last_step        = last_half_column && last_half_row && part_q;
  assign last_block       = block_q + 1'b1 == (pass_q.last_of_tile ? layer_i.last_words : 8'(PassWords));
  assign pass_ready_o     = state_q == Idle;
  assign read_valid_o     = state_q == Read && in_range;
  assign moves            = state_q == Read && (!in_range || read_ready_i);

  logic clears;
  assign clears = state_q == Clear && allocated_q != 2'd2;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle:     if (pass_valid_i) state_q <= Multiply;
        Multiply: state_q <= Add;
        Add:      state_q <= Clear;
        Clear:    if (clears) state_q <= Read;
        default:  if (moves && last_step) state_q <= last_block ? Idle : Clear;
      endcase
    end
    if (pass_ready_o) begin
      pass_q  <= pass_i;
      block_q <= '0;
    end
    if (state_q == Multiply) begin
      row_product_q    <= AddrBits'((AddrBits'(pass_q.tile_y) << layer_i.residual_stride_2) * layer_i.residual_row_stride);
      column_product_q <= AddrBits'((AddrBits'(pass_q.tile_x) << layer_i.residual_stride_2) * AddrBits'(layer_i.residual_blocks));
    end
    if (state_q == Add) pointer_q <= base_i + row_product_q + column_product_q;
    if (state_q == Clear) begin
      part_q        <= !layer_i.residual_half;
      half_row_q    <= 1'b0;
      half_column_q <= 1'b0;
    end
    if (moves) begin
      half_column_q <= !last_half_column;
      if (last_half_column) begin
        half_row_q <= !last_half_row;
        if (last_half_row) part_q <= 1'b1;
      end
      if (last_step) block_q <= block_q + 1'b1;
    end
  end

  // ---- Addresses: the pixel itself, coordinate + 1 in the banks. ----
  logic [Rows-1:0][1:0]                chunk_row;
  logic [Columns-1:0][1:0]             chunk_column;
  logic [Rows-1:0][RowIdxBits-1:0]     row_bank;
  logic [Columns-1:0][ColIdxBits-1:0]  column_bank;
  logic [Rows-1:0]                     row_served;
  logic [Columns-1:0]                  column_served;

  gather_axis #(.Size(Rows)) u_rows (
    .stride_2_i(layer_i.residual_stride_2), .offset_i(2'd1), .half_i(half_row_q),
    .chunk_o(chunk_row), .bank_o(row_bank), .served_o(row_served)
  );

  gather_axis #(.Size(Columns)) u_columns (
    .stride_2_i(layer_i.residual_stride_2), .offset_i(2'd1), .half_i(half_column_q),
    .chunk_o(chunk_column), .bank_o(column_bank), .served_o(column_served)
  );

  always_comb begin
    for (int unsigned r = 0; r < Rows; r++) begin
      for (int unsigned c = 0; c < Columns; c++) begin
        read_addr_o[r][c] = pointer_q + AddrBits'(source) +
                            (chunk_row[r][0] ? layer_i.residual_row_stride : '0) +
                            (chunk_row[r][1] ? layer_i.residual_row_stride << 1 : '0) +
                            (chunk_column[c][0] ? AddrBits'(layer_i.residual_blocks) : '0) +
                            (chunk_column[c][1] ? AddrBits'(layer_i.residual_blocks) << 1 : '0);
      end
    end
  end

  // ---- Beside the memory: what the data will be. ----
  typedef struct packed {
    logic                               clear;
    logic                               read;
    logic                               last;
    logic                               entry;
    logic                               part;
    logic [Rows-1:0][RowIdxBits-1:0]    row_bank;
    logic [Columns-1:0][ColIdxBits-1:0] column_bank;
    logic [Rows-1:0]                    row_served;
    logic [Columns-1:0]                 column_served;
  } stage_t;

  stage_t stage_d, memory_q, output_q;
  logic   fill_entry_q;

  always_comb begin
    stage_d.clear         = clears;
    stage_d.read          = read_valid_o && read_ready_i;
    stage_d.last          = moves && last_step;
    stage_d.entry         = fill_entry_q;
    stage_d.part          = part_q;
    stage_d.row_bank      = row_bank;
    stage_d.column_bank   = column_bank;
    stage_d.row_served    = row_served;
    stage_d.column_served = column_served;
  end

  always_ff @(posedge clk_i) begin
    memory_q <= stage_d;
    output_q <= memory_q;
    if (rst_i) begin
      memory_q     <= '0;
      output_q     <= '0;
      fill_entry_q <= 1'b0;
    end else if (moves && last_step) begin
      fill_entry_q <= !fill_entry_q;
    end
  end

  // ---- Two blocks of residual. ----
  logic [1:0][Pes-1:0][WordBits-1:0] entry_q;
  logic                              head_q;
  logic [1:0]                        ready_q;

  for (genvar p = 0; p < Pes; p++) begin : gen_pe
    localparam int unsigned I = p / Columns;
    localparam int unsigned J = p % Columns;
    logic [WordBits-1:0] data;
    assign data = read_data_i[output_q.row_bank[I]][output_q.column_bank[J]];
    for (genvar e = 0; e < 2; e++) begin : gen_entry
      always_ff @(posedge clk_i) begin
        if (output_q.entry == e[0]) begin
          if (output_q.clear) begin
            entry_q[e][p] <= '0;
          end else if (output_q.read && output_q.row_served[I] && output_q.column_served[J]) begin
            if (!layer_i.residual_half) entry_q[e][p] <= data;
            else if (output_q.part) entry_q[e][p][WordBits-1:HalfBits] <= data[HalfBits-1:0];
            else entry_q[e][p][HalfBits-1:0] <= data[WordBits-1:HalfBits];
          end
        end
      end
    end
  end

  assign block_o       = entry_q[head_q];
  assign block_valid_o = ready_q != '0;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      head_q      <= 1'b0;
      ready_q     <= '0;
      allocated_q <= '0;
    end else begin
      head_q      <= head_q ^ block_release_i;
      ready_q     <= ready_q + 2'(output_q.last) - 2'(block_claim_i);
      allocated_q <= allocated_q + 2'(clears) - 2'(block_release_i);
      assert (!(block_claim_i && ready_q == '0)) else $error("residual_fetch: claim of a block that is not there");
      assert (!(block_release_i && allocated_q == '0)) else $error("residual_fetch: release without a block");
    end
  end

endmodule
