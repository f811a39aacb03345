/// Counters of each layer in the last image: cycles, groups issued, stalls for windows, stalls for accumulators; and the
/// groups that skipping saved, when a layer ends.
module layer_counters #(
  /// Counters of up to this many layers.
  parameter int unsigned Layers = 64,
  localparam int unsigned IdxBits = $clog2(Layers)
) (
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic       layer_start_i,
  input  logic       layer_done_i,
  input  logic [IdxBits-1:0] layer_index_i,
  input  logic       issued_i,
  input  logic       stall_windows_i,
  input  logic       stall_accumulators_i,
  /// A tile was scheduled; this many groups would be issued for it without skipping.
  input  logic        tile_end_i,
  input  logic [23:0] tile_groups_i,

  /// Groups of the layer's shape that were not issued.
  output logic        skipped_valid_o,
  output logic [23:0] skipped_o,

  /// {layer, counter}: data one cycle after the address.
  input  logic [IdxBits+1:0] addr_i,
  output logic [31:0]        rdata_o
);

  logic [3:0][31:0] count_q, kept_q;
  logic             running_q;
  logic [2:0]       write_q;
  logic [IdxBits-1:0] index_q;
  logic [31:0]      mem [4*Layers];
  logic [23:0]      shape_q;

  always_ff @(posedge clk_i) begin
    if (rst_i) running_q <= 1'b0;
    else if (layer_start_i) running_q <= 1'b1;
    else if (layer_done_i) running_q <= 1'b0;
    if (layer_start_i) shape_q <= '0;
    else if (tile_end_i) shape_q <= shape_q + tile_groups_i;
    if (layer_start_i) begin
      count_q <= '0;
    end else if (running_q) begin
      count_q[0] <= count_q[0] + 1'b1;
      count_q[1] <= count_q[1] + 32'(issued_i);
      count_q[2] <= count_q[2] + 32'(stall_windows_i);
      count_q[3] <= count_q[3] + 32'(stall_accumulators_i);
    end
  end

  assign skipped_valid_o = layer_done_i && running_q;
  assign skipped_o       = shape_q - count_q[1][23:0];

  // One counter a cycle goes to the memory when a layer has ended.
  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      write_q <= '0;
    end else if (layer_done_i && running_q) begin
      write_q <= 3'd4;
    end else if (write_q != '0) begin
      write_q <= write_q - 1'b1;
    end
    if (layer_done_i) begin
      kept_q  <= count_q;
      index_q <= layer_index_i;
    end
    if (write_q != '0) mem[{index_q, 2'(write_q - 3'd1)}] <= kept_q[2'(write_q - 3'd1)];
    rdata_o <= mem[addr_i];
  end

endmodule
