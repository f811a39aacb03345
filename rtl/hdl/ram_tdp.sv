/// True dual-port RAM in one clock: port A reads, port B reads or writes; both have registered outputs (two cycles).
///
/// A read on one port of a word that the other port writes in the same cycle gives the old word.
module ram_tdp #(
  /// Bits of a word.
  parameter int unsigned Width = 36,
  /// Words; a power of two.
  parameter int unsigned Depth = 1024,
  localparam int unsigned AddrWidth = $clog2(Depth)
) (
  input  logic                 clk_i,
  /// Port A moves on: address to RAM to output register.
  input  logic                 a_en_i,
  input  logic [AddrWidth-1:0] a_addr_i,
  output logic [Width-1:0]     a_rdata_o,
  input  logic                 b_we_i,
  input  logic [AddrWidth-1:0] b_addr_i,
  input  logic [Width-1:0]     b_wdata_i,
  output logic [Width-1:0]     b_rdata_o
);

  logic [Width-1:0] mem [Depth];
  logic [Width-1:0] a_q, b_q;

  always_ff @(posedge clk_i) begin
    if (a_en_i) begin
      a_q       <= mem[a_addr_i];
      a_rdata_o <= a_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (b_we_i) mem[b_addr_i] <= b_wdata_i;
    b_q       <= mem[b_addr_i];
    b_rdata_o <= b_q;
  end

  initial begin
    assert (Depth == 2 ** AddrWidth) else $fatal(1, "ram_tdp: Depth %0d is no power of two", Depth);
  end

endmodule
