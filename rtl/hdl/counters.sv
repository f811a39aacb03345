/// Performance counters, and their snapshot: all copied at one instant, so that they can be read one by one.
module counters (
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

  output logic [31:0] cycles_o,
  output logic [31:0] busy_cycles_o,
  output logic [31:0] groups_issued_o,
  output logic [31:0] groups_skipped_o,
  output logic [31:0] stall_windows_o,
  output logic [31:0] stall_accumulators_o,
  output logic [31:0] stall_schedule_o,
  output logic [31:0] images_started_o,
  output logic [31:0] images_done_o,
  /// Cycles from the last image's image_start_i to its image_done_i.
  output logic [31:0] last_latency_o
);

  localparam int unsigned Count = 9;

  logic [Count-1:0][31:0] step, count_q, snapshot_q;
  logic [31:0]            time_q, start_time, latency_q, latency_snapshot_q;

  assign step = {
    32'(image_done_i),
    32'(image_start_i),
    32'(stall_schedule_i),
    32'(stall_accumulators_i),
    32'(stall_windows_i),
    skipped_valid_i ? 32'(skipped_i) : 32'd0,
    32'(issue_i),
    32'(busy_i),
    32'd1
  };

  assign {images_done_o, images_started_o, stall_schedule_o, stall_accumulators_o, stall_windows_o, groups_skipped_o,
          groups_issued_o, busy_cycles_o, cycles_o} = snapshot_q;
  assign last_latency_o = latency_snapshot_q;

  always_ff @(posedge clk_i) begin
    time_q <= time_q + 32'd1;
    if (image_done_i) latency_q <= time_q - start_time;
    for (int unsigned i = 0; i < Count; i++) count_q[i] <= count_q[i] + step[i];
    if (snapshot_i) begin
      snapshot_q         <= count_q;
      latency_snapshot_q <= latency_q;
    end
    if (clear_i) begin
      count_q   <= '0;
      latency_q <= '0;
    end
    if (rst_i) begin
      time_q             <= '0;
      count_q            <= '0;
      latency_q          <= '0;
      snapshot_q         <= '0;
      latency_snapshot_q <= '0;
    end
  end

  logic       started, room;
  logic [2:0] on_their_way;

  fifo #(.Width(32), .Depth(4)) u_start_times (
    .clk_i,
    .rst_i,
    .valid_i(image_start_i),
    .ready_o(room),
    .data_i(time_q),
    .valid_o(started),
    .ready_i(image_done_i),
    .data_o(start_time),
    .count_o(on_their_way)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (!image_start_i || room) else $error("counters: %0d images are on their way already", on_their_way);
      assert (!image_done_i || started) else $error("counters: an image ended that had not started");
    end
  end

endmodule
