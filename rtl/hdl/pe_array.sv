/// The array: windows, processing elements and accumulators of all pixels of a tile, under one stream of groups.
///
/// Weights are broadcast: every PE applies the same group to its own pixel, so that a skipped group costs none of them
/// a cycle and no PE waits for another.
module pe_array
  import tritforge_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PassOutputs    = 64,
  localparam int unsigned Rows     = tile_rows(Pes),
  localparam int unsigned Columns  = tile_columns(Pes),
  localparam int unsigned WordBits = GroupChannels * ActivationBits,
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

  /// The sums of a quad of channels leave, and are empty for the next pass.
  input  logic                                                  read_valid_i,
  input  logic [QuadBits-1:0]                                   read_quad_i,
  output logic signed [Pes-1:0][DrainChannels-1:0][AccBits-1:0] acc_o
);

  typedef struct packed {
    logic [RingBits-1:0] addr;
    logic [2:0]          shift;
    logic                quad_shift;
  } tag_t;

  // Tags beside the PE's stages; stage 0 stands beside the weights.
  logic [PeLatency:0] valid, last;
  tag_t [PeLatency:0] tag;

  assign valid[0] = apply_valid_i;
  assign last[0]  = apply_last_i;
  assign tag[0]   = '{addr: apply_addr_i[RingBits-1:0], shift: apply_shift_i[2:0], quad_shift: apply_quad_shift_i};

  always_ff @(posedge clk_i) begin
    valid[PeLatency:1] <= valid[PeLatency-1:0];
    last[PeLatency:1]  <= last[PeLatency-1:0];
    tag[PeLatency:1]   <= tag[PeLatency-1:0];
    if (rst_i) begin
      valid[PeLatency:1] <= '0;
      last[PeLatency:1]  <= '0;
    end
  end

  // Which sums have received a group in their pass; the others are zero.
  logic [2*PassOutputs-1:0]    touched_q;
  tag_t                        add;
  logic                        add_valid;

  assign add       = tag[PeLatency];
  assign add_valid = valid[PeLatency];

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      touched_q   <= '0;
      pass_done_o <= 1'b0;
    end else begin
      if (read_valid_i) touched_q[read_quad_i*DrainChannels +: DrainChannels] <= '0;
      if (add_valid) touched_q[add.addr] <= 1'b1;
      pass_done_o <= last[PeLatency];
      assert (!(read_valid_i && add_valid && add.addr[RingBits-1 -: QuadBits] == read_quad_i))
        else $error("pe_array: a sum is added to while it leaves");
      assert (!(apply_valid_i && apply_shift_i > 5'd7))
        else $error("pe_array: a plane's shift is %0d; allowed are 0 to 7", apply_shift_i);
    end
  end

  for (genvar p = 0; p < Pes; p++) begin : gen_pe
    logic [Taps-1:0][WordBits-1:0]                lane, window;
    logic signed [AccBits-1:0]                    partial;
    logic signed [DrainChannels-1:0][AccBits-1:0] quad;

    // A tap's lane is the bank of its coordinate: the pixel's place plus the tap's, modulo the tile.
    for (genvar t = 0; t < Taps; t++) begin : gen_tap
      assign lane[t] = lane_i[(p / Columns + t / 3) % Rows][(p % Columns + t % 3) % Columns];
    end

    window_buffer #(.WordBits(WordBits)) u_window (
      .clk_i, .lane_i(lane), .take_i(take_i[p]), .move_i, .window_o(window)
    );

    pe #(.GroupChannels(GroupChannels), .ActivationBits(ActivationBits)) u_pe (
      .clk_i, .en_i(valid[PeLatency-1:0]), .window_i(window), .weights_i,
      .quad_shift_i(tag[PeLatency-3].quad_shift), .shift_i(tag[PeLatency-1].shift), .partial_o(partial)
    );

    accumulator #(.ActivationBits(ActivationBits), .PassOutputs(PassOutputs)) u_accumulator (
      .clk_i,
      .add_valid_i(add_valid), .add_addr_i(add.addr), .add_first_i(!touched_q[add.addr]), .partial_i(partial),
      .read_quad_i, .quad_o(quad)
    );

    for (genvar k = 0; k < DrainChannels; k++) begin : gen_lane
      assign acc_o[p][k] = touched_q[read_quad_i*DrainChannels+k] ? quad[k] : '0;
    end
  end

endmodule
