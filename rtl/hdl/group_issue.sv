/// Lets a group into the array as soon as its windows are loaded and an accumulator buffer is free.
///
/// The accumulators are a ring of 2 * PassOutputs sums; a pass takes a buffer of as many channel blocks as it needs, so
/// that layers of few channels, whose passes are short, have many buffers to cover the way through PEs and drain. A
/// buffer begins at a multiple of its size; blocks that are skipped for that, where larger buffers follow smaller ones,
/// are taken and released with it. A stage before the issue, the first group of a pass takes the buffer.
///
/// The weight memory answers two cycles after the issue; tags for the array leave at that time. The windows move one
/// cycle earlier, so that they stand beside the weights.
module group_issue
  import tritforge_pkg::*;
#(
  parameter int unsigned GroupChannels = 16,
  parameter int unsigned PassOutputs   = 64,
  localparam int unsigned Blocks    = 2 * PassOutputs / GroupChannels,
  localparam int unsigned CountBits = $clog2(Blocks) + 1
) (
  input  logic clk_i,
  input  logic rst_i,
  /// No layer is in the core: the ring begins anew, so that an image takes as long whatever came before.
  input  logic idle_i,

  input  logic   group_valid_i,
  output logic   group_ready_o,
  input  group_t group_i,

  /// The shadow windows are complete; they are taken when a group that loads is issued.
  input  logic windows_full_i,
  output logic windows_take_o,
  /// Copy shadow windows to the array.
  output logic windows_move_o,

  /// Weight memory.
  output logic [AddrBits-1:0] slot_o,

  /// Drained channel blocks come back.
  input  logic [CountBits-1:0] release_i,

  /// Beside the weights: a group is added to this accumulator.
  output logic                   apply_valid_o,
  output logic [AccAddrBits-1:0] apply_addr_o,
  output logic [4:0]             apply_shift_o,
  output logic                   apply_quad_shift_o,
  /// Beside the weights: the pass ends here.
  output logic       apply_last_o,

  /// This cycle: a group was issued, or what it waited for; the slot of its layer.
  output logic layer_slot_o,
  output logic issued_o,
  output logic stall_windows_o,
  output logic stall_accumulators_o
);

  localparam int unsigned BlockBits = $clog2(Blocks);
  // A buffer has 2**size channel blocks.
  localparam int unsigned Sizes    = BlockBits;
  localparam int unsigned SizeBits = $clog2(Sizes) > 0 ? $clog2(Sizes) : 1;

  // ---- A pass takes its buffer: from the ring's position, rounded up to the buffer's size, on. ----
  logic                            first_q;
  logic [BlockBits-1:0]            position_q, base_q;
  logic [CountBits-1:0]            free_q;
  logic [Sizes-1:0][BlockBits-1:0] base;
  logic [Sizes-1:0][CountBits-1:0] needed;
  logic [Sizes-1:0]                fits;
  logic [SizeBits-1:0]             size;
  logic                            has_buffer, moves, takes, begins;

  always_comb begin
    for (int unsigned s = 0; s < Sizes; s++) begin
      base[s]   = (position_q + BlockBits'((1 << s) - 1)) & ~BlockBits'((1 << s) - 1);
      needed[s] = CountBits'(BlockBits'(base[s] - position_q)) + CountBits'(1 << s);
      fits[s]   = free_q >= needed[s];
    end
  end

  assign size          = SizeBits'(group_i.layer.buffer_log2);
  assign has_buffer    = !first_q || fits[size];
  assign group_ready_o = has_buffer && moves;
  assign takes         = group_valid_i && group_ready_o;
  assign begins        = takes && first_q;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      first_q    <= 1'b1;
      position_q <= '0;
      free_q     <= CountBits'(Blocks);
    end else begin
      if (takes) first_q <= group_i.last;
      if (idle_i) position_q <= '0;
      else if (begins) position_q <= base[size] + BlockBits'(1 << size);
      free_q <= free_q + release_i - (begins ? needed[size] : '0);
      assert (free_q <= CountBits'(Blocks)) else $error("group_issue: more blocks free than there are");
    end
    if (begins) base_q <= base[size];
  end

  // ---- The group is issued; where none is, one may have waited for its buffer in the cycle before. ----
  logic   valid_q, starved_q, has_windows, fire;
  group_t group_q;

  assign has_windows = !group_q.load || windows_full_i;
  assign fire        = valid_q && has_windows;
  assign moves       = !valid_q || has_windows;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      valid_q   <= 1'b0;
      starved_q <= 1'b0;
    end else if (moves) begin
      valid_q   <= takes;
      starved_q <= group_valid_i && !has_buffer;
    end
    if (moves) group_q <= group_i;
  end

  assign windows_take_o       = fire && group_q.load;
  assign slot_o               = group_q.slot;
  assign layer_slot_o         = group_q.layer.slot;
  assign issued_o             = fire && !group_q.empty;
  assign stall_windows_o      = valid_q && !has_windows;
  assign stall_accumulators_o = starved_q;

  // ---- Tags follow. ----
  typedef struct packed {
    logic                   valid;
    logic                   last;
    logic                   quad_shift;
    logic [AccAddrBits-1:0] addr;
    logic [4:0]             shift;
  } tag_t;

  tag_t tag_q, tag2_q;
  logic move_q;

  always_ff @(posedge clk_i) begin
    tag_q  <= '{valid: issued_o, last: fire && group_q.last, quad_shift: group_q.layer.quad_shift,
                addr: AccAddrBits'(base_q) * AccAddrBits'(GroupChannels) | AccAddrBits'(group_q.channel),
                shift: group_q.shift};
    tag2_q <= tag_q;
    move_q <= windows_take_o;
    if (rst_i) begin
      tag_q  <= '0;
      tag2_q <= '0;
      move_q <= 1'b0;
    end
  end

  assign windows_move_o  = move_q;
  assign apply_valid_o   = tag2_q.valid;
  assign apply_last_o    = tag2_q.last;
  assign apply_addr_o    = tag2_q.addr;
  assign apply_shift_o   = tag2_q.shift;
  assign apply_quad_shift_o = tag2_q.quad_shift;

endmodule
