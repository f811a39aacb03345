/// Staging memory, and the copier that writes its entries to the program memories, one a cycle.
///
/// The host may write and read entries while nothing is copied. A copy of n entries takes n + 2 cycles.
module staging_commit
  import tritforge_spaces_pkg::*;
#(
  /// Entries; a power of two.
  parameter int unsigned Staging = 1024,
  localparam int unsigned AddrBits = $clog2(Staging),
  localparam int unsigned EntryBits = $bits(entry_t)
) (
  input  logic clk_i,
  input  logic rst_i,

  /// Host; read data two cycles after the address.
  input  logic                entry_we_i,
  input  logic [AddrBits-1:0] entry_addr_i,
  input  entry_t              entry_wdata_i,
  output entry_t              entry_rdata_o,

  /// Copy entries 0 to entries_i - 1; at most Staging.
  input  logic        start_i,
  input  logic [15:0] entries_i,
  /// From the cycle after start_i to that of done_o.
  output logic        busy_o,
  /// The copy's last cycle.
  output logic        done_o,

  output logic                     prog_we_o,
  output space_t                   prog_space_o,
  output logic [SpaceAddrBits-1:0] prog_addr_o,
  output logic [SpaceWordBits-1:0] prog_wdata_o
);

  logic        reading_q;
  logic [1:0]  valid_q, last_q;
  logic [15:0] index_q, entries_q;
  logic        last;

  assign last   = index_q + 16'd1 >= entries_q;
  assign busy_o = reading_q || last_q != '0;
  assign done_o = last_q[1];

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      reading_q <= 1'b0;
      valid_q   <= '0;
      last_q    <= '0;
    end else begin
      reading_q <= start_i || (reading_q && !last);
      valid_q   <= {valid_q[0], reading_q && entries_q != '0};
      last_q    <= {last_q[0], reading_q && last};
    end
    index_q <= start_i ? '0 : index_q + 16'd1;
    if (start_i) entries_q <= entries_i;
  end

  ram_tdp #(.Width(EntryBits), .Depth(Staging)) u_entries (
    .clk_i,
    .a_en_i(1'b1),
    .a_we_i(1'b0),
    .a_addr_i(index_q[AddrBits-1:0]),
    .a_wdata_i('0),
    .a_rdata_o({prog_space_o, prog_addr_o, prog_wdata_o}),
    .b_en_i(1'b1),
    .b_we_i(entry_we_i),
    .b_addr_i(entry_addr_i),
    .b_wdata_i(entry_wdata_i),
    .b_rdata_o(entry_rdata_o)
  );

  assign prog_we_o = valid_q[1];

  initial begin
    assert (Staging <= 4096) else $fatal(1, "staging_commit: Staging is %0d; at most 4096 fit its window", Staging);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (!(start_i && busy_o)) else $error("staging_commit: started while it copies");
      assert (!(start_i && 32'(entries_i) > Staging)) else $error("staging_commit: more entries than the memory has");
      assert (!(entry_we_i && busy_o)) else $error("staging_commit: entry written while it copies");
    end
  end

endmodule
