/// Counters of each layer in the last image: cycles, groups issued, stalls for windows, stalls for accumulators; and the
/// groups that skipping saved, when a layer ends.
///
/// Layers overlap: a layer's cycles are those from the end of the layer before, or from where the core was idle, to its
/// own end, so that the layers of an image add up to its time. Groups and stalls belong to the layer whose group it was.
/// All of them are counted modulo 2**24, one cycle late. A layer that ended is written in the seven cycles after
/// layer_done_i, and layers end at least four cycles apart.
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

  /// Groups of the layer's shape that were not issued; two cycles after layer_done_i.
  output logic        skipped_valid_o,
  output logic [23:0] skipped_o,

  /// {layer, counter}: data one cycle after the address.
  input  logic [IdxBits+1:0] addr_i,
  output logic [31:0]        rdata_o
);

  localparam int unsigned Bits = 24;

  typedef struct packed {
    logic [Bits-1:0]      shape;
    logic [2:0][Bits-1:0] count;  // issued, stalls for windows, stalls for accumulators
  } layer_counts_t;

  logic               busy_q, enters_q, enters_slot_q, done_q, issue_slot_q, tile_end_q, tile_slot_q;
  logic               issued_q, stall_windows_q, stall_accumulators_q;
  logic [IdxBits-1:0] enters_index_q;
  logic [Bits-1:0]    tile_groups_q;

  always_ff @(posedge clk_i) begin
    {busy_q, enters_q, done_q, tile_end_q} <= rst_i ? '0 : {busy_i, layer_enters_i, layer_done_i, tile_end_i};
    {enters_slot_q, enters_index_q}        <= {layer_slot_i, layer_index_i};
    {issue_slot_q, issued_q}               <= {issue_slot_i, issued_i};
    {stall_windows_q, stall_accumulators_q} <= {stall_windows_i, stall_accumulators_i};
    {tile_slot_q, tile_groups_q}           <= {tile_slot_i, tile_groups_i};
  end

  layer_counts_t [LayerSlots-1:0]              layer_q;
  logic          [LayerSlots-1:0][IdxBits-1:0] index_q;
  logic          [Bits-1:0]                    cycles_q;

  always_ff @(posedge clk_i) begin
    // The cycle of the end counts as well.
    cycles_q <= rst_i || done_q || !busy_q ? Bits'(1) : cycles_q + 1'b1;
    for (int unsigned s = 0; s < LayerSlots; s++) begin
      if (32'(issue_slot_q) == s) begin
        layer_q[s].count[0] <= layer_q[s].count[0] + Bits'(issued_q);
        layer_q[s].count[1] <= layer_q[s].count[1] + Bits'(stall_windows_q);
        layer_q[s].count[2] <= layer_q[s].count[2] + Bits'(stall_accumulators_q);
      end
      if (tile_end_q && 32'(tile_slot_q) == s) layer_q[s].shape <= layer_q[s].shape + tile_groups_q;
      if (enters_q && 32'(enters_slot_q) == s) begin
        layer_q[s] <= '0;
        index_q[s] <= enters_index_q;
      end
    end
  end

  // A layer that ended: what it counted is held while it is written, two words a cycle: layers of
  // one small tile can end two cycles apart. Each half has its own select.
  layer_counts_t        done_counts_q;
  logic [Bits-1:0]      done_cycles_q;
  logic [IdxBits-1:0]   done_index_q;
  logic [1:0]           pair_q;  // the higher bit: nothing is written
  (* keep *) logic      shape_slot_q, stalls_slot_q;

  assign skipped_o = done_counts_q.shape - done_counts_q.count[0];

  always_ff @(posedge clk_i) begin
    {shape_slot_q, stalls_slot_q} <= {2{done_slot_i}};
    skipped_valid_o               <= done_q && !rst_i;
    if (done_q) begin
      {done_counts_q.shape, done_counts_q.count[0]}    <= {layer_q[shape_slot_q].shape, layer_q[shape_slot_q].count[0]};
      {done_counts_q.count[2], done_counts_q.count[1]} <= layer_q[stalls_slot_q].count[2:1];
      done_index_q                                     <= index_q[stalls_slot_q];
      done_cycles_q                                    <= cycles_q;
    end
    if (rst_i) pair_q <= 2'd2;
    else if (done_q) pair_q <= '0;
    else if (!pair_q[1]) pair_q <= pair_q + 2'd1;
  end

  (* ram_style = "block" *) logic [2*Bits-1:0] mem [2 * Layers];
  logic [1:0][2*Bits-1:0] pairs;
  logic [1:0][Bits-1:0]   rdata_q;
  logic                   odd_q;

  assign pairs   = {done_counts_q.count, done_cycles_q};
  assign rdata_o = 32'(rdata_q[odd_q]);

  always_ff @(posedge clk_i) begin
    if (!pair_q[1]) mem[{done_index_q, pair_q[0]}] <= pairs[pair_q[0]];
    rdata_q <= mem[addr_i[IdxBits+1:1]];
    odd_q   <= addr_i[0];
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (!done_q || pair_q != '0) else $error("layer_counters: a layer ended while the last one is written");
    end
  end

endmodule
