/// Half of the bits of a PE's sums: added to in place, and read a quad of channels at a time.
module accumulator_half
  import tritforge_pkg::*;
#(
  parameter int unsigned Width    = 13,
  parameter int unsigned RingBits = 7,
  localparam int unsigned LaneBits = $clog2(DrainChannels),
  localparam int unsigned QuadBits = RingBits - LaneBits
) (
  input  logic                     clk_i,
  /// The sum at this address, of a channel of these modulo 4, becomes the partial sum and, unless first, itself.
  input  logic                     valid_i,
  input  logic [DrainChannels-1:0] lane_i,
  input  logic                     first_i,
  input  logic [RingBits-1:0]      addr_i,
  input  logic [Width-1:0]         partial_i,
  input  logic                     carry_i,
  output logic                     carry_o,

  input  logic [QuadBits-1:0]                 read_quad_i,
  output logic [DrainChannels-1:0][Width-1:0] quad_o
);

  (* ram_style = "distributed" *) logic [Width-1:0] ring_mem [2 ** RingBits];
  logic [Width-1:0] sum_before, sum_after;

  assign sum_before = first_i ? '0 : ring_mem[addr_i];

  carry_chain #(.Width(Width)) u_add (
    .carry_i, .propagate_i(sum_before ^ partial_i), .generate_i(partial_i), .sum_o(sum_after), .carry_o
  );

  always_ff @(posedge clk_i) begin
    if (valid_i) ring_mem[addr_i] <= sum_after;
  end

  for (genvar k = 0; k < DrainChannels; k++) begin : gen_lane
    (* ram_style = "distributed" *) logic [Width-1:0] lane_mem [2 ** QuadBits];

    always_ff @(posedge clk_i) begin
      if (lane_i[k]) lane_mem[addr_i[RingBits-1:LaneBits]] <= sum_after;
    end

    assign quad_o[k] = lane_mem[read_quad_i];
  end

endmodule
