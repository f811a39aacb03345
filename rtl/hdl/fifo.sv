/// First-in first-out buffer with valid/ready on both sides; the head is visible while valid_o is high.
module fifo #(
  /// Bits of an entry.
  parameter int unsigned Width = 32,
  /// Entries; a power of two, at least 2.
  parameter int unsigned Depth = 16,
  localparam int unsigned CountWidth = $clog2(Depth) + 1
) (
  input  logic                  clk_i,
  input  logic                  rst_i,
  input  logic                  valid_i,
  output logic                  ready_o,
  input  logic [Width-1:0]      data_i,
  output logic                  valid_o,
  input  logic                  ready_i,
  output logic [Width-1:0]      data_o,
  /// Entries held.
  output logic [CountWidth-1:0] count_o
);

  localparam int unsigned AddrWidth = $clog2(Depth);

  logic [Width-1:0]     mem [Depth];
  logic [AddrWidth-1:0] read_q, write_q;
  logic                 push, pop;

  assign ready_o = count_o != CountWidth'(Depth);
  assign valid_o = count_o != '0;
  assign data_o  = mem[read_q];
  assign push    = valid_i && ready_o;
  assign pop     = valid_o && ready_i;

  always_ff @(posedge clk_i) begin
    if (push) mem[write_q] <= data_i;
    if (rst_i) begin
      read_q  <= '0;
      write_q <= '0;
      count_o <= '0;
    end else begin
      if (push) write_q <= write_q + 1'b1;
      if (pop) read_q <= read_q + 1'b1;
      if (push != pop) count_o <= push ? count_o + 1'b1 : count_o - 1'b1;
    end
  end

  initial begin
    assert (Depth >= 2 && Depth == 2 ** AddrWidth) else $fatal(1, "fifo: Depth %0d is no power of two", Depth);
  end

endmodule
