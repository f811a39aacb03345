/// What a FIFO has to do: entries leave in the order in which they came, each once and unchanged.
///
/// The entries are kept a second time, in a row that shifts. INVARIANTS ties the memory to that row.
module fifo_proof #(
  parameter int unsigned Width = 32,
  parameter int unsigned Depth = 16,
  localparam int unsigned CountWidth = $clog2(Depth) + 1,
  localparam int unsigned AddrWidth  = $clog2(Depth)
) (
  input logic                  clk_i,
  input logic                  rst_i,
  input logic                  valid_i,
  input logic                  ready_o,
  input logic [Width-1:0]      data_i,
  input logic                  valid_o,
  input logic                  ready_i,
  input logic [Width-1:0]      data_o,
  input logic [CountWidth-1:0] count_o,

  // For the invariants alone.
  input logic [Width-1:0]      mem [Depth],
  input logic [AddrWidth-1:0]  read_q,
  input logic [AddrWidth-1:0]  write_q
);

  logic [Width-1:0]      row_q [Depth+1];
  logic [CountWidth-1:0] held_q;
  logic                  begun_q = 1'b0;
  logic                  push, pop;

  assign push = valid_i && ready_o;
  assign pop  = valid_o && ready_i;

  always_ff @(posedge clk_i) begin
    begun_q <= 1'b1;
    if (rst_i) begin
      held_q <= '0;
    end else begin
      held_q <= held_q + CountWidth'(push) - CountWidth'(pop);
      if (pop) for (int i = 0; i < int'(Depth); i++) row_q[i] <= row_q[i+1];
      for (int i = 0; i < int'(Depth); i++) begin
        if (push && CountWidth'(i) == held_q - CountWidth'(pop)) row_q[i] <= data_i;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    assume (begun_q || rst_i);
    if (begun_q && !rst_i) begin
      assert (count_o == held_q && int'(held_q) <= int'(Depth));
      assert (ready_o == (int'(held_q) < int'(Depth)) && valid_o == (held_q != '0));
      assert (!valid_o || data_o == row_q[0]);
    end
  end

`ifdef INVARIANTS
  always_ff @(posedge clk_i) begin
    if (begun_q && !rst_i) begin
      assert (write_q == AddrWidth'(read_q + AddrWidth'(held_q)));
      for (int i = 0; i < int'(Depth); i++) begin
        if (i < int'(held_q)) assert (mem[AddrWidth'(read_q + AddrWidth'(i))] == row_q[i]);
      end
    end
  end
`endif

endmodule

bind fifo fifo_proof #(.Width(Width), .Depth(Depth)) u_proof (.*);
