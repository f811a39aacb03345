/// True dual-port RAM in one clock: each port reads or writes in a cycle; reads take two cycles, by an output register.
///
/// A port that writes keeps what it read last. A read of a word that the other port writes in the same cycle gives
/// nothing that can be relied on.
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
  input  logic                 a_we_i,
  input  logic [AddrWidth-1:0] a_addr_i,
  input  logic [Width-1:0]     a_wdata_i,
  output logic [Width-1:0]     a_rdata_o,
  /// Port B reads; its output register follows in every cycle.
  input  logic                 b_en_i,
  input  logic                 b_we_i,
  input  logic [AddrWidth-1:0] b_addr_i,
  input  logic [Width-1:0]     b_wdata_i,
  output logic [Width-1:0]     b_rdata_o
);

  (* no_rw_check *) logic [Width-1:0] mem [Depth];
  logic [Width-1:0] a_q, b_q;

  // A process for each port: in one process for both, writes would have an order, which block RAM does not give.
  always @(posedge clk_i) begin
    if (a_we_i) mem[a_addr_i] <= a_wdata_i;
    else if (a_en_i) a_q <= mem[a_addr_i];
    if (a_en_i) a_rdata_o <= a_q;
  end

  always @(posedge clk_i) begin
    if (b_we_i) mem[b_addr_i] <= b_wdata_i;
    else if (b_en_i) b_q <= mem[b_addr_i];
    b_rdata_o <= b_q;
  end

  initial begin
    assert (Depth == 2 ** AddrWidth) else $fatal(1, "ram_tdp: Depth %0d is no power of two", Depth);
  end

endmodule
