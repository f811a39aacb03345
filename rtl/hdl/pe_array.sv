/// The array: windows, processing elements and accumulators of all pixels of a tile, under one stream of groups.
///
/// Weights are broadcast: every PE applies the same group to its own pixel, so that a skipped group costs none of them
/// a cycle and no PE waits for another.
module pe_array
  import tritforge_pkg::*;
  import pe_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PassOutputs    = 64,
  localparam int unsigned Rows     = tile_rows(Pes),
  localparam int unsigned Columns  = tile_columns(Pes),
  localparam int unsigned WordBits = GroupChannels * ActivationBits,
  localparam int unsigned Words    = GroupChannels / 2,
  localparam int unsigned Quads    = GroupChannels / 4,
  localparam int unsigned AccBits  = acc_bits(ActivationBits),
  localparam int unsigned RingBits = $clog2(2 * PassOutputs),
  localparam int unsigned QuadBits = RingBits - $clog2(DrainChannels)
) (
  input  logic clk_i,
  input  logic rst_i,

  input  logic [Rows-1:0][Columns-1:0][WordBits-1:0] lane_i,
  input  logic [Pes-1:0][Taps-1:0]                   take_i,
  input  logic                                       move_i,

  /// Weights of a group and, beside them, what it is applied to.
  input  logic [18*GroupChannels-1:0] weights_i,
  input  logic                        apply_valid_i,
  input  logic [AccAddrBits-1:0]      apply_addr_i,
  input  logic [4:0]                  apply_shift_i,
  input  logic                        apply_quad_shift_i,
  input  logic                        apply_last_i,
  /// The sums of a pass are complete.
  output logic                        pass_done_o,

  /// The sums of a quad of channels leave in the next cycle, and are then empty for another pass. Of the channels that
  /// no group has touched the sum is zero, whatever stands there.
  input  logic                                                  read_valid_i,
  input  logic [QuadBits-1:0]                                   read_quad_i,
  output logic signed [Pes-1:0][DrainChannels-1:0][AccBits-1:0] acc_o,
  output logic [DrainChannels-1:0]                              touched_o
);

  // Tags beside the PE's stages; stage 0 stands beside the weights.
  typedef struct packed {
    logic                     first;  // in its pass to be added to this sum
    logic [DrainChannels-1:0] lane;   // channel modulo 4, none without a group
    logic [RingBits-1:0]      addr;
  } tag_t;

  // The upper half of a sum comes a cycle after the lower.
  localparam int unsigned SumLatency = PeLatency + 1;
  logic [PeLatency:0]  valid;
  logic [SumLatency:0] last;
  tag_t [PeLatency:0]  tag;

  // Channels of the quad that the group behind the weights belongs to, of which this pass has had a group before.
  logic [DrainChannels-1:0] touched;

  assign valid[0] = apply_valid_i;
  assign last[0]  = apply_last_i;

  always_ff @(posedge clk_i) begin
    valid[PeLatency:1] <= valid[PeLatency-1:0];
    last[SumLatency:1] <= last[SumLatency-1:0];
    tag[PeLatency:1]   <= tag[PeLatency-1:0];
    tag[2].first       <= (touched & tag[1].lane) == '0;
    pass_done_o        <= last[SumLatency];
    if (rst_i) begin
      valid[PeLatency:1] <= '0;
      last[SumLatency:1] <= '0;
      pass_done_o        <= 1'b0;
    end
  end

  // ---- Which sums have received a group in their pass. ----
  // Quads that have are known beside the weights; of those, which channels, a cycle later.
  logic [2**QuadBits-1:0]   live_q;
  logic [DrainChannels-1:0] touched_mem [2 ** QuadBits];
  logic                     quad_live_q;
  logic [QuadBits-1:0]      apply_quad, touch_quad;
  logic [DrainChannels-1:0] apply_lane;

  assign apply_quad = apply_addr_i[RingBits-1 -: QuadBits];
  assign apply_lane = DrainChannels'(1) << apply_addr_i[0 +: $clog2(DrainChannels)];
  assign tag[0]     = '{first: 1'b0, lane: apply_valid_i ? apply_lane : '0, addr: apply_addr_i[RingBits-1:0]};

  assign touch_quad = tag[1].addr[RingBits-1 -: QuadBits];
  assign touched    = quad_live_q ? touched_mem[touch_quad] : '0;

  always_ff @(posedge clk_i) begin
    quad_live_q <= live_q[apply_quad];
    touched_o   <= live_q[read_quad_i] ? touched_mem[read_quad_i] : '0;
    if (valid[1]) touched_mem[touch_quad] <= touched | tag[1].lane;
    if (read_valid_i) live_q[read_quad_i] <= 1'b0;
    if (apply_valid_i) live_q[apply_quad] <= 1'b1;
    if (rst_i) live_q <= '0;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      for (int unsigned l = 0; l <= PeLatency; l++) begin
        assert (!(read_valid_i && valid[l] && tag[l].addr[RingBits-1 -: QuadBits] == read_quad_i))
          else $error("pe_array: a sum leaves before all of it is there");
      end
      assert (!(apply_valid_i && apply_shift_i > 5'd7))
        else $error("pe_array: a plane's shift is %0d; allowed are 0 to 7", apply_shift_i);
    end
  end

  // ---- What steers the PEs, in copies, so that no register drives more than a few of them. ----
  localparam int unsigned PesPerCopy  = 4;
  localparam int unsigned PesPerSteer = 2;

  logic [Words-1:0][Taps-1:0][2:0]       pairs;
  logic [Quads-1:0][QuadRows-1:0]        relative;
  steering_t                             steering;
  logic [ActivationBits+ValueGrowth-1:0] offset;

  for (genvar w = 0; w < Words; w++) begin : gen_word
    for (genvar t = 0; t < Taps; t++) begin : gen_pair
      assign pairs[w][t] = weights_i[w*WeightWordBits+4*t +: 3];
    end
  end

  group_signs #(.GroupChannels(GroupChannels), .ActivationBits(ActivationBits)) u_signs (
    .clk_i, .weights_i, .quad_shift_i(apply_quad_shift_i), .shift_i(apply_shift_i[2:0]), .relative_o(relative),
    .steering_o(steering), .offset_o(offset)
  );

  for (genvar c = 0; c < (Pes + PesPerCopy - 1) / PesPerCopy; c++) begin : gen_copy
    (* keep *) logic [Words-1:0][Taps-1:0][2:0] pairs_q;
    (* keep *) logic [Quads-1:0][QuadRows-1:0]  relative_q;
    always_ff @(posedge clk_i) begin
      pairs_q    <= pairs;
      relative_q <= relative;
    end
  end

  for (genvar c = 0; c < (Pes + PesPerSteer - 1) / PesPerSteer; c++) begin : gen_steer
    (* keep *) steering_t steering_q;
    always_ff @(posedge clk_i) steering_q <= steering;
  end

  // The windows come a cycle later with the copies.
  logic [Rows-1:0][Columns-1:0][WordBits-1:0] lane_q;
  logic [Pes-1:0][Taps-1:0]                   take_q;
  logic                                       move_q;

  always_ff @(posedge clk_i) begin
    lane_q <= lane_i;
    take_q <= take_i;
    move_q <= move_i;
  end

  for (genvar p = 0; p < Pes; p++) begin : gen_pe
    logic [Taps-1:0][WordBits-1:0] lane, window;
    logic signed [AccBits-1:0]     partial;

    // A tap's lane is the bank of its coordinate: the pixel's place plus the tap's, modulo the tile.
    for (genvar t = 0; t < Taps; t++) begin : gen_tap
      assign lane[t] = lane_q[(p / Columns + t / 3) % Rows][(p % Columns + t % 3) % Columns];
    end

    window_buffer #(.WordBits(WordBits)) u_window (
      .clk_i, .lane_i(lane), .take_i(take_q[p]), .move_i(move_q), .window_o(window)
    );

    pe #(.GroupChannels(GroupChannels), .ActivationBits(ActivationBits)) u_pe (
      .clk_i, .window_i(window), .pairs_i(gen_copy[p/PesPerCopy].pairs_q),
      .relative_i(gen_copy[p/PesPerCopy].relative_q), .steering_i(gen_steer[p/PesPerSteer].steering_q),
      .offset_i(offset), .partial_o(partial)
    );

    accumulator #(.ActivationBits(ActivationBits), .PassOutputs(PassOutputs)) u_accumulator (
      .clk_i, .add_valid_i(valid[PeLatency-1]), .add_lane_i(tag[PeLatency-1].lane),
      .add_addr_i(tag[PeLatency-1].addr), .add_first_i(tag[PeLatency-1].first), .partial_i(partial),
      .read_quad_i, .quad_o(acc_o[p])
    );
  end

endmodule
