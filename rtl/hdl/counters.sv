/// Performance counters, and their snapshot: all copied at one instant, so that they can be read one by one.
///
/// Events count one cycle late. A counter's upper half follows its lower one by a cycle, in counting, in clearing and
/// in the snapshot, which stands two cycles after snapshot_i.
module counters #(
  /// Bits of the lower half.
  parameter int unsigned LowBits = 16,
  localparam int unsigned HighBits = 32 - LowBits
) (
  input  logic clk_i,
  input  logic rst_i,
  input  logic clear_i,
  input  logic snapshot_i,

  input  logic        busy_i,
  input  logic        issue_i,
  input  logic        skipped_valid_i,
  input  logic [23:0] skipped_i,
  input  logic        stall_windows_i,
  input  logic        stall_accumulators_i,
  input  logic        stall_schedule_i,
  /// Images start and end in the same order; up to four may be on their way.
  input  logic        image_start_i,
  input  logic        image_done_i,

  /// Of the snapshot, in the register map's order: data two cycles after the address. Cycles, busy cycles, groups issued
  /// and skipped, stalls for windows, for accumulators and for the schedule, images started and done, and cycles from
  /// the last image's image_start_i to its image_done_i.
  input  logic [3:0]  addr_i,
  output logic [31:0] rdata_o
);

  localparam int unsigned Count = 9;

  typedef struct packed {
    logic [HighBits-1:0] high;
    logic [LowBits-1:0]  low;
  } halves_t;

  logic        busy_q, issue_q, stall_windows_q, stall_accumulators_q, stall_schedule_q, image_start_q, image_done_q;
  logic [23:0] skipped_q;

  always_ff @(posedge clk_i) begin
    {busy_q, issue_q, image_start_q, image_done_q} <= {busy_i, issue_i, image_start_i, image_done_i};
    {stall_windows_q, stall_accumulators_q, stall_schedule_q} <= {
      stall_windows_i, stall_accumulators_i, stall_schedule_i
    };
    skipped_q <= skipped_valid_i ? skipped_i : '0;
    if (rst_i) begin
      {busy_q, issue_q, image_start_q, image_done_q}            <= '0;
      {stall_windows_q, stall_accumulators_q, stall_schedule_q} <= '0;
      skipped_q                                                 <= '0;
    end
  end

  halves_t [Count-1:0]               step, count_q, snapshot_q;
  logic    [Count-1:0][HighBits-1:0] step_high_q;
  logic    [Count-1:0]               carry_q;
  logic                              clear_q, take_q;

  assign step = {
    32'(image_done_q),
    32'(image_start_q),
    32'(stall_schedule_q),
    32'(stall_accumulators_q),
    32'(stall_windows_q),
    32'(skipped_q),
    32'(issue_q),
    32'(busy_q),
    32'd1
  };

  always_ff @(posedge clk_i) begin
    clear_q <= clear_i;
    take_q  <= snapshot_i;
    for (int unsigned i = 0; i < Count; i++) begin
      {carry_q[i], count_q[i].low} <= {1'b0, count_q[i].low} + {1'b0, step[i].low};
      step_high_q[i]               <= step[i].high;
      count_q[i].high              <= count_q[i].high + step_high_q[i] + HighBits'(carry_q[i]);
      if (snapshot_i) snapshot_q[i].low <= count_q[i].low;
      if (take_q) snapshot_q[i].high <= count_q[i].high;
      if (clear_i) count_q[i].low <= '0;
      if (clear_q) count_q[i].high <= '0;
    end
    if (rst_i) begin
      clear_q     <= 1'b0;
      take_q      <= 1'b0;
      carry_q     <= '0;
      step_high_q <= '0;
      count_q     <= '0;
      snapshot_q  <= '0;
    end
  end

  // The time, a cycle late, so that both halves are of one instant; latencies in halves again.
  halves_t             now, start_time, latency_q, latency_snapshot_q;
  logic [LowBits-1:0]  time_q;
  logic [HighBits-1:0] high_difference_q;
  logic                time_carry_q, borrow_q, ended_q;

  always_ff @(posedge clk_i) begin
    {time_carry_q, time_q} <= {1'b0, time_q} + 1'b1;
    now.low                <= time_q;
    now.high               <= now.high + HighBits'(time_carry_q);
    ended_q                <= image_done_q;
    if (image_done_q) {borrow_q, latency_q.low} <= {1'b0, now.low} - {1'b0, start_time.low};
    high_difference_q <= now.high - start_time.high;
    if (ended_q) latency_q.high <= high_difference_q - HighBits'(borrow_q);
    if (snapshot_i) latency_snapshot_q.low <= latency_q.low;
    if (take_q) latency_snapshot_q.high <= latency_q.high;
    if (clear_i) latency_q.low <= '0;
    if (clear_q) latency_q.high <= '0;
    if (rst_i) begin
      {time_carry_q, time_q} <= '0;
      now                    <= '0;
      ended_q                <= 1'b0;
      latency_q              <= '0;
      latency_snapshot_q     <= '0;
    end
  end

  // ---- Reading, half a word by half a word. ----
  logic [Count:0][1:0][15:0] words;

  assign words = {latency_snapshot_q, snapshot_q};

  for (genvar h = 0; h < 2; h++) begin : gen_half
    (* keep *) logic [3:0] addr_q;
    always_ff @(posedge clk_i) begin
      addr_q              <= addr_i;
      rdata_o[16*h +: 16] <= words[addr_q][h];
    end
  end

  logic       started, room;
  logic [2:0] on_their_way;

  fifo #(.Width(32), .Depth(4)) u_start_times (
    .clk_i,
    .rst_i,
    .valid_i(image_start_q),
    .ready_o(room),
    .data_i(now),
    .valid_o(started),
    .ready_i(image_done_q),
    .data_o(start_time),
    .count_o(on_their_way)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (!image_start_q || room) else $error("counters: %0d images are on their way already", on_their_way);
      assert (!image_done_q || started) else $error("counters: an image ended that had not started");
    end
  end

endmodule
