/// Counters of each layer in the last image: cycles, groups issued, stalls for windows, stalls for accumulators; and the
/// groups that skipping saved, when a layer ends.
///
/// Layers overlap: a layer's cycles are those from the end of the layer before, or from where the core was idle, to its
/// own end, so that the layers of an image add up to its time. Groups and stalls belong to the layer whose group it was.
module layer_counters
  import tritforge_pkg::*;
#(
  /// Counters of up to this many layers.
  parameter int unsigned Layers = 64,
  localparam int unsigned IdxBits = $clog2(Layers)
) (
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic       busy_i,
  /// A layer entered the core, in this slot; its place in the network.
  input  logic               layer_enters_i,
  input  logic               layer_slot_i,
  input  logic [IdxBits-1:0] layer_index_i,
  /// The layer in this slot ended.
  input  logic               layer_done_i,
  input  logic               done_slot_i,
  /// Of the layer in this slot.
  input  logic       issue_slot_i,
  input  logic       issued_i,
  input  logic       stall_windows_i,
  input  logic       stall_accumulators_i,
  /// A tile was scheduled; this many groups would be issued for it without skipping.
  input  logic        tile_end_i,
  input  logic        tile_slot_i,
  input  logic [23:0] tile_groups_i,

  /// Groups of the layer's shape that were not issued.
  output logic        skipped_valid_o,
  output logic [23:0] skipped_o,

  /// {layer, counter}: data one cycle after the address.
  input  logic [IdxBits+1:0] addr_i,
  output logic [31:0]        rdata_o
);

  typedef struct packed {
    logic [IdxBits-1:0] index;
    logic [23:0]        shape;
    logic [2:0][31:0]   count;  // issued, stalls for windows, stalls for accumulators
  } layer_counts_t;

  layer_counts_t [LayerSlots-1:0] layer_q;
  logic [31:0]                    cycles_q;
  logic [3:0][31:0]               mem [Layers];

  always_ff @(posedge clk_i) begin
    cycles_q <= rst_i || layer_done_i || !busy_i ? '0 : cycles_q + 1'b1;
    for (int unsigned s = 0; s < LayerSlots; s++) begin
      if (32'(issue_slot_i) == s) begin
        layer_q[s].count[0] <= layer_q[s].count[0] + 32'(issued_i);
        layer_q[s].count[1] <= layer_q[s].count[1] + 32'(stall_windows_i);
        layer_q[s].count[2] <= layer_q[s].count[2] + 32'(stall_accumulators_i);
      end
      if (tile_end_i && 32'(tile_slot_i) == s) layer_q[s].shape <= layer_q[s].shape + tile_groups_i;
      if (layer_enters_i && 32'(layer_slot_i) == s) layer_q[s] <= '{index: layer_index_i, default: '0};
    end
  end

  layer_counts_t done;
  assign done            = layer_q[done_slot_i];
  assign skipped_valid_o = layer_done_i;
  assign skipped_o       = done.shape - done.count[0][23:0];

  always_ff @(posedge clk_i) begin
    // The cycle of the end counts as well.
    if (layer_done_i) mem[done.index] <= {done.count, cycles_q + 1'b1};
    rdata_o <= mem[addr_i[IdxBits+1:2]][addr_i[1:0]];
  end

endmodule
