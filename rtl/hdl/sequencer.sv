/// Leads images through the layers of the program.
///
/// The descriptor of the next layer is read while the current one runs. An image starts when one is there, the host
/// allows it and its result has room; sequence number and network version are latched then.
module sequencer
  import tritforge_pkg::*;
  import tritforge_descriptor_pkg::*;
(
  input  logic clk_i,
  input  logic rst_i,

  /// Fetch header and first layer anew; program_ready_o falls until they are there.
  input  logic reload_i,
  output logic program_ready_o,
  input  logic start_allowed_i,
  output logic busy_o,
  /// Images that have not started are dropped; the next one comes in buffer 0. Only while no image is in the array.
  input  logic flush_i,

  /// Descriptor memory, two cycles from address to data.
  output logic [AddrBits-1:0] desc_addr_o,
  input  logic [31:0]         desc_rdata_i,

  output header_t header_o,

  /// Image buffers, used in turn.
  input  logic [1:0] image_full_i,
  output logic [1:0] image_free_o,
  output logic       image_select_o,

  /// A layer: descriptor constant from start to done.
  output layer_t     layer_o,
  output logic [7:0] layer_index_o,
  output logic       layer_start_o,
  input  logic       layer_done_i,

  /// A result opens when the layer that gives the logits starts.
  input  logic        result_space_i,
  output logic        result_start_o,
  output logic [31:0] result_sequence_o,
  output logic        image_start_o,
  output logic        image_done_o
);

  localparam int unsigned WordIdxBits = $clog2(UsedWords);

  typedef enum logic [2:0] {Empty, Header, Idle, Start, Run, Next} state_e;
  state_e state_q;

  // ---- Descriptor fetch. ----
  logic                         fetching_q, fetch_header_q, fetch_start;
  logic [WordIdxBits:0]         word_q;
  logic [1:0]                   arriving_q;
  logic [1:0][WordIdxBits-1:0]  arriving_word_q;
  logic [7:0]                   fetch_frame_q, fetch_frame;
  logic                         next_ready_q;
  logic [UsedWords-1:0][31:0]   frame_q;
  logic                         frame_done;

  assign desc_addr_o = AddrBits'(fetch_frame_q) * AddrBits'(FrameWords) + AddrBits'(word_q);
  assign frame_done  = arriving_q[1] && arriving_word_q[1] == WordIdxBits'(UsedWords - 1);

  // ---- Where we are. ----
  logic [7:0]  index_q;
  logic        select_q;
  logic [31:0] sequence_q;
  logic        last_layer, starts_image, layer_begins;

  assign last_layer   = index_q + 1'b1 == header_o.layers;
  assign starts_image = state_q == Idle && next_ready_q && start_allowed_i && image_full_i[select_q] && result_space_i;
  assign layer_begins = state_q == Start && next_ready_q;

  always_comb begin
    fetch_start = 1'b0;
    fetch_frame = '0;
    if (reload_i) begin
      fetch_start = 1'b1;
    end else if (state_q == Header && frame_done) begin
      fetch_start = 1'b1;
      fetch_frame = 8'd1;
    end else if (layer_begins) begin
      // After the last layer comes the first one of the next image.
      fetch_start = 1'b1;
      fetch_frame = last_layer ? 8'd1 : index_q + 8'd2;
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      fetching_q   <= 1'b0;
      arriving_q   <= '0;
      next_ready_q <= 1'b0;
    end else begin
      if (fetch_start) begin
        fetching_q    <= 1'b1;
        fetch_frame_q <= fetch_frame;
        word_q        <= '0;
      end else if (fetching_q) begin
        word_q <= word_q + 1'b1;
        if (word_q == (WordIdxBits+1)'(UsedWords - 1)) fetching_q <= 1'b0;
      end
      arriving_q <= fetch_start ? 2'b00 : {arriving_q[0], fetching_q};
      if (fetch_start) next_ready_q <= 1'b0;
      else if (frame_done && !fetch_header_q) next_ready_q <= 1'b1;
    end
    if (fetch_start) fetch_header_q <= reload_i;
    arriving_word_q <= {arriving_word_q[0], word_q[WordIdxBits-1:0]};
    if (arriving_q[1]) frame_q[arriving_word_q[1]] <= desc_rdata_i;
  end

  // The last word of the header arrives together with the decision to keep the frame.
  always_ff @(posedge clk_i) begin
    if (state_q == Header && frame_done) header_o <= header_t'({desc_rdata_i, frame_q[UsedWords-2:0]});
    if (layer_begins) layer_o <= layer_t'(frame_q);
  end

  always_ff @(posedge clk_i) begin
    layer_start_o <= 1'b0;
    image_start_o <= 1'b0;
    image_done_o  <= 1'b0;
    image_free_o  <= '0;
    if (rst_i) begin
      state_q    <= Empty;
      index_q    <= '0;
      select_q   <= 1'b0;
      sequence_q <= '0;
    end else if (reload_i) begin
      state_q <= Header;
      if (flush_i) select_q <= 1'b0;
    end else begin
      if (flush_i) select_q <= 1'b0;
      unique case (state_q)
        Empty: ;
        Header: if (frame_done) state_q <= Idle;
        Idle: begin
          if (starts_image) begin
            state_q       <= Start;
            index_q       <= '0;
            image_start_o <= 1'b1;
          end
        end
        Start: begin
          if (layer_begins) begin
            state_q       <= Run;
            layer_start_o <= 1'b1;
          end
        end
        Run: if (layer_done_i) state_q <= Next;
        default: begin
          index_q <= index_q + 1'b1;
          state_q <= Start;
          if (last_layer) begin
            state_q                <= Idle;
            image_done_o           <= 1'b1;
            image_free_o[select_q] <= 1'b1;
            select_q               <= !select_q;
            sequence_q             <= sequence_q + 1'b1;
          end
        end
      endcase
      assert (!(flush_i && busy_o)) else $error("sequencer: images dropped under one that is in the array");
      assert (!(reload_i && busy_o)) else $error("sequencer: program reloaded under an image");
    end
  end

  assign program_ready_o   = state_q == Idle && next_ready_q;
  assign busy_o            = state_q == Start || state_q == Run || state_q == Next;
  assign image_select_o    = select_q;
  assign layer_index_o     = index_q;
  assign result_start_o    = layer_start_o && layer_o.logits;
  assign result_sequence_o = sequence_q;

endmodule
