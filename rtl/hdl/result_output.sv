/// Results to the stream: a beat {version, sequence number}, then each logit sign-extended to 64 bits.
///
/// An image that starts reserves room for its result: a start and up to PassOutputs logits. The result is announced by
/// start_valid_i; its logits follow in quads, in order. None of them is ever refused.
module result_output
  import tritforge_pkg::*;
#(
  /// Output channels of a pass.
  parameter int unsigned PassOutputs = 64
) (
  input  logic clk_i,
  input  logic rst_i,

  /// An image starts, where there was space since the one before it started: space does not go away before that,
  /// although space_o may, when logits of the image before begin to come.
  input  logic reserve_i,
  output logic space_o,

  input  logic        start_valid_i,
  input  logic [31:0] start_sequence_i,
  input  logic [31:0] start_version_i,
  /// Logits of the result, 1 to PassOutputs.
  input  logic [11:0] start_count_i,
  /// The image carried TLAST: the result closes the batch.
  input  logic        start_last_i,

  /// Lowest channel first; what is left over of a result's last quad is dropped.
  input  logic                                    quad_valid_i,
  input  logic [DrainChannels-1:0][LogitBits-1:0] quad_i,

  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic [63:0] m_axis_tdata,
  output logic [7:0]  m_axis_tkeep,
  output logic        m_axis_tlast,

  /// A beat with TLAST left.
  output logic        batch_done_o
);

  // Two results, so that one can be collected while the one before leaves.
  localparam int unsigned Images     = 2;
  localparam int unsigned ImageQuads = PassOutputs / DrainChannels;
  localparam int unsigned Quads      = Images * ImageQuads;
  localparam int unsigned Starts     = 4;
  localparam int unsigned Halves     = 2;
  localparam int unsigned HalfLanes  = DrainChannels / Halves;
  localparam int unsigned HeldBits   = $clog2(Quads) + 1;
  localparam int unsigned IndexBits  = $clog2(PassOutputs);
  localparam int unsigned LaneBits   = $clog2(DrainChannels);
  localparam int unsigned HeaderBits = 65 + IndexBits;

  logic                      start_ready, start_valid, start_pop;
  logic [$clog2(Starts):0]   starts_held;
  logic [Halves-1:0]               half_ready, half_valid, half_pop;
  logic [Halves-1:0][HeldBits-1:0] half_held;
  logic [Halves-1:0][HalfLanes-1:0][LogitBits-1:0] half;
  logic [31:0]               sequence_number, version;
  logic [IndexBits-1:0]      last_index;
  logic                      closes;

  fifo #(.Width(HeaderBits), .Depth(Starts)) u_starts (
    .clk_i,
    .rst_i,
    .valid_i(start_valid_i),
    .ready_o(start_ready),
    .data_i({start_last_i, IndexBits'(start_count_i - 1'b1), start_version_i, start_sequence_i}),
    .valid_o(start_valid),
    .ready_i(start_pop),
    .data_o({closes, last_index, version, sequence_number}),
    .count_o(starts_held)
  );

  // Each half of a quad leaves by itself, so that no address reaches all of the memory.
  for (genvar h = 0; h < Halves; h++) begin : gen_half
    fifo #(.Width(HalfLanes * LogitBits), .Depth(Quads)) u_logits (
      .clk_i,
      .rst_i,
      .valid_i(quad_valid_i),
      .ready_o(half_ready[h]),
      .data_i(quad_i[h*HalfLanes +: HalfLanes]),
      .valid_o(half_valid[h]),
      .ready_i(half_pop[h]),
      .data_o(half[h]),
      .count_o(half_held[h])
    );
  end

  // ---- Room: what is held, and the results whose logits are still to come. ----
  localparam int unsigned CountBits = IndexBits - LaneBits;
  logic [1:0]           reserved_q;
  logic [$clog2(Starts):0] starts_q;  // reserved or held
  logic [CountBits-1:0] arrived_q, last_quad;
  logic                 counts_ready, counts_valid, complete;
  logic [$clog2(Images):0] counts_held;

  fifo #(.Width(CountBits), .Depth(Images)) u_counts (
    .clk_i,
    .rst_i,
    .valid_i(start_valid_i),
    .ready_o(counts_ready),
    .data_i(CountBits'((start_count_i - 1'b1) / 12'(DrainChannels))),
    .valid_o(counts_valid),
    .ready_i(complete),
    .data_o(last_quad),
    .count_o(counts_held)
  );

  assign complete = quad_valid_i && arrived_q == last_quad;
  assign space_o  = starts_q != ($clog2(Starts) + 1)'(Starts) &&
                    (reserved_q == 2'd0 ? half_held[Halves-1] <= HeldBits'(ImageQuads)
                                        : reserved_q == 2'd1 && half_held[Halves-1] == '0);

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      reserved_q <= '0;
      starts_q   <= '0;
      arrived_q  <= '0;
    end else begin
      reserved_q <= reserved_q + 2'(reserve_i) - 2'(complete);
      starts_q   <= starts_q + ($clog2(Starts) + 1)'(reserve_i) - ($clog2(Starts) + 1)'(start_pop);
      if (quad_valid_i) arrived_q <= complete ? '0 : arrived_q + 1'b1;
    end
  end

  // ---- The result that leaves: first its header, then logit index_q. ----
  // Two selects, one for the lower half of the beat.
  (* keep *) logic        in_logits_q, low_logits_q;
  logic                   beat, last_logit;
  logic [IndexBits-1:0]   index_q;
  logic [LaneBits-1:0]    lane;
  logic [63:0]            logit, header;

  assign lane          = index_q[LaneBits-1:0];
  assign logit         = 64'(signed'(half[32'(lane) / HalfLanes][32'(lane) % HalfLanes]));
  assign header        = {version, sequence_number};
  assign last_logit    = in_logits_q && index_q == last_index;
  assign m_axis_tvalid = in_logits_q ? half_valid[32'(lane) / HalfLanes] : start_valid;
  assign m_axis_tdata  = {in_logits_q ? logit[63:32] : header[63:32], low_logits_q ? logit[31:0] : header[31:0]};
  assign m_axis_tkeep  = '1;
  assign m_axis_tlast  = last_logit && closes;
  assign beat          = m_axis_tvalid && m_axis_tready;
  assign start_pop     = beat && last_logit;

  // A half leaves with its last logit, or unread with the result's.
  always_comb begin
    for (int unsigned h = 0; h < Halves; h++) begin
      half_pop[h] = beat && in_logits_q && (32'(lane) == (h + 1) * HalfLanes - 1 ||
                                            (last_logit && 32'(lane) < (h + 1) * HalfLanes));
    end
  end

  always_ff @(posedge clk_i) begin
    batch_done_o <= beat && m_axis_tlast && !rst_i;
    if (rst_i) begin
      in_logits_q  <= 1'b0;
      low_logits_q <= 1'b0;
      index_q      <= '0;
    end else if (beat) begin
      in_logits_q  <= !last_logit;
      low_logits_q <= !last_logit;
      index_q      <= in_logits_q && !last_logit ? index_q + 1'b1 : '0;
    end
  end

  initial begin
    assert (PassOutputs >= 8) else $fatal(1, "result_output: PassOutputs is %0d; at least 8 are needed", PassOutputs);
  end

  // Room for the next image was there; the other images' logits lie in their own.
  logic room_q;
  always_ff @(posedge clk_i) room_q <= (room_q || space_o) && !reserve_i && !rst_i;

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (32'(starts_q) == 32'(starts_held) + 32'(reserved_q) - 32'(counts_held))
      else $error("result_output: room for results is not what is held and reserved");
      assert (!reserve_i || room_q || space_o) else $error("result_output: an image started without space");
      assert (32'(half_held[Halves-1]) + 32'(reserved_q) * ImageQuads - 32'(arrived_q) <= Quads)
      else $error("result_output: more logits may come than there is room for");
      assert (!start_valid_i || (start_ready && counts_ready && 32'(reserved_q) > 32'(counts_held)))
      else $error("result_output: a result was started that was not reserved");
      assert (!quad_valid_i || (half_ready == '1 && counts_valid))
      else $error("result_output: logits without a result");
      assert (!start_valid_i || (start_count_i != '0 && 32'(start_count_i) <= PassOutputs))
      else $error("result_output: a result of %0d logits", start_count_i);
    end
  end

endmodule
