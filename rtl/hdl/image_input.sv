/// Images from the stream into the feature map's two image buffers, in turn.
///
/// A beat carries four channel lanes of a pixel, lane 0 lowest; pixels come in raster order, the channel blocks of a
/// pixel one after the other. In quad mode a beat is a pixel and is repeated in every quad of lanes. Pixel (y, x) lies
/// in bank ((y + 1) mod rows, (x + 1) mod columns) at base + ((y + 1) / rows) * row stride + ((x + 1) / columns) *
/// blocks + block; all of it is counted. Takes a beat a cycle while writes are granted.
module image_input
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  localparam int unsigned Rows       = tile_rows(Pes),
  localparam int unsigned Columns    = tile_columns(Pes),
  localparam int unsigned RowIdxBits = Rows > 1 ? $clog2(Rows) : 1,
  localparam int unsigned ColIdxBits = $clog2(Columns),
  localparam int unsigned BeatBits   = 4 * ActivationBits,
  localparam int unsigned WordBits   = GroupChannels * ActivationBits
) (
  input  logic clk_i,
  input  logic rst_i,

  /// A program is in force; its header.
  input  logic    enable_i,
  /// Drop every image that is here; held until header_i is in force, and header_i stays while it is low.
  input  logic    flush_i,
  input  header_t header_i,
  /// After how many images TLAST is due; 0: never.
  input  logic [15:0] batch_images_i,

  input  logic                s_axis_tvalid,
  output logic                s_axis_tready,
  input  logic [BeatBits-1:0] s_axis_tdata,
  input  logic                s_axis_tlast,

  /// A word for the feature map.
  output logic                  pixel_valid_o,
  input  logic                  pixel_ready_i,
  output logic [RowIdxBits-1:0] pixel_row_o,
  output logic [ColIdxBits-1:0] pixel_column_o,
  output logic [AddrBits-1:0]   pixel_addr_o,
  output logic [WordBits-1:0]   pixel_data_o,

  /// The buffer holds a whole image; the image carried TLAST.
  output logic [1:0] buffer_full_o,
  output logic [1:0] buffer_last_o,
  /// The array has read the image.
  input  logic [1:0] buffer_free_i,

  /// TLAST before the last beat of an image: the image is dropped.
  output logic       early_last_o,
  /// No TLAST on the last beat of a batch.
  output logic       late_last_o
);

  localparam int unsigned Quads    = GroupChannels / 4;
  localparam int unsigned QuadBits = $clog2(Quads);
  localparam int unsigned HeldBits = WordBits - BeatBits;
  // With one bank row, image row 0 lies in row chunk 1.
  localparam bit FirstChunk = Rows == 1;

  // Where the next beat belongs.
  logic [QuadBits-1:0]   quad_q;
  logic [7:0]            block_q;
  logic [11:0]           x_q, y_q;
  logic [7:0]            final_block_q;
  logic [11:0]           final_x_q, final_y_q;
  logic [RowIdxBits-1:0] row_q;
  logic [ColIdxBits-1:0] column_q;
  logic [AddrBits-1:0]   row_addr_q, chunk_addr_q;  // offsets of the row and of the pixel in the buffer
  logic                  buffer_q;
  logic [15:0]           images_q;

  logic [HeldBits-1:0] lanes_q;
  logic                         pixel_ends_image_q, pixel_tlast_q, pixel_buffer_q;

  logic beat, last_quad, last_block, last_column, last_row, image_end, batch_end, restart, next_buffer_full, word_ends;

  assign last_quad   = header_i.quad_input || quad_q == QuadBits'(Quads - 1);
  assign last_block  = block_q == final_block_q;
  assign last_column = x_q == final_x_q;
  assign last_row    = y_q == final_y_q;
  assign image_end   = last_quad && last_block && last_column && last_row;
  assign batch_end   = batch_images_i != '0 && images_q + 16'd1 >= batch_images_i;

  // An image that waits for its last write already has its buffer.
  assign next_buffer_full = buffer_full_o[buffer_q] || (pixel_valid_o && pixel_ends_image_q && pixel_buffer_q == buffer_q);
  assign s_axis_tready    = enable_i && !flush_i && !next_buffer_full && (!pixel_valid_o || pixel_ready_i || !last_quad);
  assign beat             = s_axis_tvalid && s_axis_tready;
  assign restart          = image_end || s_axis_tlast;

  always_ff @(posedge clk_i) begin
    early_last_o <= beat && s_axis_tlast && !image_end;
    late_last_o  <= beat && !s_axis_tlast && image_end && batch_end;
    if (rst_i || flush_i) begin
      early_last_o <= 1'b0;
      late_last_o  <= 1'b0;
      images_q     <= '0;
      buffer_q     <= 1'b0;
    end else if (beat && restart) begin
      if (s_axis_tlast || batch_end) images_q <= '0;
      else images_q <= images_q + 16'd1;
      if (image_end) buffer_q <= !buffer_q;
    end
  end

  // Counting through the image: quads, blocks, columns, rows.
  always_ff @(posedge clk_i) begin
    final_block_q <= header_i.input_blocks - 8'd1;
    final_x_q     <= header_i.input_width - 12'd1;
    final_y_q     <= header_i.input_height - 12'd1;
    if (beat) begin
      quad_q <= last_quad ? '0 : quad_q + 1'b1;
      if (last_quad) begin
        block_q <= last_block ? '0 : block_q + 8'd1;
        if (last_block) begin
          x_q      <= x_q + 12'd1;
          column_q <= column_q + 1'b1;
          if (column_q == '1) chunk_addr_q <= chunk_addr_q + AddrBits'(header_i.input_blocks);
          if (last_column) begin
            x_q      <= '0;
            column_q <= ColIdxBits'(1);
            y_q      <= y_q + 12'd1;
            if (32'(row_q) == Rows - 1) begin
              row_q        <= '0;
              row_addr_q   <= row_addr_q + header_i.input_row_stride;
              chunk_addr_q <= row_addr_q + header_i.input_row_stride;
            end else begin
              row_q        <= row_q + 1'b1;
              chunk_addr_q <= row_addr_q;
            end
          end
        end
      end
    end
    if (rst_i || flush_i || (beat && restart)) begin
      quad_q       <= '0;
      block_q      <= '0;
      x_q          <= '0;
      y_q          <= '0;
      column_q     <= ColIdxBits'(1);
      row_q        <= RowIdxBits'(Rows > 1);
      row_addr_q   <= FirstChunk ? header_i.input_row_stride : '0;
      chunk_addr_q <= FirstChunk ? header_i.input_row_stride : '0;
    end
  end

  // The word, collected from its beats; where they are repeated, each quad of lanes has its own select.
  assign word_ends = beat && last_quad;

  for (genvar n = 0; n < Quads; n++) begin : gen_quad
    logic [BeatBits-1:0] quad;
    if (n == Quads - 1) begin : gen_last
      assign quad = s_axis_tdata;
    end else begin : gen_held
      (* keep *) logic repeat_q;
      always_ff @(posedge clk_i) repeat_q <= header_i.quad_input;
      assign quad = repeat_q ? s_axis_tdata : lanes_q[n*BeatBits +: BeatBits];
    end
    always_ff @(posedge clk_i) begin
      if (word_ends) pixel_data_o[n*BeatBits +: BeatBits] <= quad;
    end
  end

  always_ff @(posedge clk_i) begin
    if (beat) lanes_q <= HeldBits'({s_axis_tdata, lanes_q} >> BeatBits);
    if (word_ends) begin
      pixel_row_o        <= row_q;
      pixel_column_o     <= column_q;
      pixel_addr_o       <= (buffer_q ? header_i.input_base_1 : header_i.input_base_0) + chunk_addr_q
                            + AddrBits'(block_q);
      pixel_ends_image_q <= image_end;
      pixel_tlast_q      <= s_axis_tlast;
      pixel_buffer_q     <= buffer_q;
    end
    if (rst_i || flush_i) pixel_valid_o <= 1'b0;
    else if (word_ends) pixel_valid_o <= image_end || !s_axis_tlast;
    else if (pixel_ready_i) pixel_valid_o <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned b = 0; b < 2; b++) begin
      if (rst_i || flush_i || buffer_free_i[b]) begin
        buffer_full_o[b] <= 1'b0;
      end else if (pixel_valid_o && pixel_ready_i && pixel_ends_image_q && pixel_buffer_q == 1'(b)) begin
        buffer_full_o[b] <= 1'b1;
        buffer_last_o[b] <= pixel_tlast_q;
      end
    end
  end

  initial begin
    assert (GroupChannels inside {8, 16} && ActivationBits inside {8, 16})
    else $fatal(1, "image_input: GroupChannels %0d, ActivationBits %0d are not supported", GroupChannels, ActivationBits);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i && !flush_i) begin
      assert ((buffer_free_i & ~buffer_full_o) == '0) else $error("image_input: an empty buffer was freed");
    end
  end

endmodule
