/// Results to the stream: a beat {version, sequence number}, then each logit sign-extended to 64 bits.
///
/// A result is announced by start_valid_i; its logits follow in pairs, in order. Both are never refused, so the core
/// asks space_o before it computes logits: room for one more result's start and PassOutputs logits.
module result_output #(
  /// Output channels of a pass.
  parameter int unsigned PassOutputs = 64,
  localparam int unsigned LogitBits = tritforge_pkg::LogitBits
) (
  input  logic clk_i,
  input  logic rst_i,

  input  logic        start_valid_i,
  input  logic [31:0] start_sequence_i,
  input  logic [31:0] start_version_i,
  /// Logits of the result, at least 1.
  input  logic [11:0] start_count_i,
  /// The image carried TLAST: the result closes the batch.
  input  logic        start_last_i,

  /// Even channel first; the second of the last pair is dropped when the count is odd.
  input  logic                       pair_valid_i,
  input  logic [1:0][LogitBits-1:0]  pair_i,
  output logic                       space_o,

  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic [63:0] m_axis_tdata,
  output logic [7:0]  m_axis_tkeep,
  output logic        m_axis_tlast,

  /// A beat with TLAST left.
  output logic        batch_done_o
);

  // Two passes, so that one can be collected while the one before leaves.
  localparam int unsigned Pairs      = PassOutputs;
  localparam int unsigned Starts     = 4;
  localparam int unsigned CountBits  = $clog2(Pairs) + 1;
  localparam int unsigned HeaderBits = 77;

  logic                      start_ready, start_valid, start_pop, pair_ready, pair_valid, pair_pop;
  logic [$clog2(Starts):0]   starts_held;
  logic [CountBits-1:0]      pairs_held;
  logic [1:0][LogitBits-1:0] pair;
  logic [31:0]               sequence_number, version;
  logic [11:0]               count;
  logic                      closes;

  fifo #(.Width(HeaderBits), .Depth(Starts)) u_starts (
    .clk_i,
    .rst_i,
    .valid_i(start_valid_i),
    .ready_o(start_ready),
    .data_i({start_last_i, start_count_i, start_version_i, start_sequence_i}),
    .valid_o(start_valid),
    .ready_i(start_pop),
    .data_o({closes, count, version, sequence_number}),
    .count_o(starts_held)
  );

  fifo #(.Width(2 * LogitBits), .Depth(Pairs)) u_pairs (
    .clk_i,
    .rst_i,
    .valid_i(pair_valid_i),
    .ready_o(pair_ready),
    .data_i(pair_i),
    .valid_o(pair_valid),
    .ready_i(pair_pop),
    .data_o(pair),
    .count_o(pairs_held)
  );

  assign space_o = 32'(starts_held) < Starts && 32'(pairs_held) + PassOutputs / 2 <= Pairs;

  // The result that leaves: first its header, then logit index_q.
  logic        in_logits_q, beat, last_logit;
  logic [11:0] index_q;
  logic [LogitBits-1:0] logit;

  assign logit         = pair[index_q[0]];
  assign last_logit    = in_logits_q && index_q + 12'd1 == count;
  assign m_axis_tvalid = in_logits_q ? pair_valid : start_valid;
  assign m_axis_tdata  = in_logits_q ? {{(64 - LogitBits){logit[LogitBits-1]}}, logit} : {version, sequence_number};
  assign m_axis_tkeep  = '1;
  assign m_axis_tlast  = last_logit && closes;
  assign beat          = m_axis_tvalid && m_axis_tready;
  assign pair_pop      = beat && in_logits_q && (index_q[0] || last_logit);
  assign start_pop     = beat && last_logit;

  always_ff @(posedge clk_i) begin
    batch_done_o <= beat && m_axis_tlast && !rst_i;
    if (rst_i) begin
      in_logits_q <= 1'b0;
      index_q     <= '0;
    end else if (beat) begin
      in_logits_q <= !last_logit;
      index_q     <= in_logits_q && !last_logit ? index_q + 12'd1 : '0;
    end
  end

  initial begin
    assert (PassOutputs >= 4) else $fatal(1, "result_output: PassOutputs is %0d; at least 4 are needed", PassOutputs);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (!start_valid_i || start_ready) else $error("result_output: a result was started without space");
      assert (!pair_valid_i || pair_ready) else $error("result_output: logits came without space");
      assert (!start_valid_i || start_count_i != '0) else $error("result_output: a result without logits");
    end
  end

endmodule
