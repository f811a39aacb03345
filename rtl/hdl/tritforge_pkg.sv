/// Shapes and records that the accelerator's modules share.
package tritforge_pkg;

  /// Tap positions of a PE: a 3x3 window.
  localparam int unsigned Taps = 9;
  /// Bits of an accumulator: with 8-bit activations what the 25-bit port of a DSP48 takes.
  function automatic int unsigned acc_bits(input int unsigned activation_bits);
    return activation_bits == 8 ? 25 : 32;
  endfunction

  /// Bits of a logit.
  localparam int unsigned LogitBits = 48;
  /// Bits of a weight-memory word: nine pairs of trits.
  localparam int unsigned WeightWordBits = 36;
  /// Bits of addresses in descriptors.
  localparam int unsigned AddrBits = 16;

  /// Rows of output pixels that `pes` processing elements compute side by side.
  function automatic int unsigned tile_rows(input int unsigned pes);
    return pes == 32 ? 4 : pes == 16 ? 2 : 1;
  endfunction

  /// Columns of output pixels that `pes` processing elements compute side by side.
  function automatic int unsigned tile_columns(input int unsigned pes);
    return pes == 4 ? 4 : 8;
  endfunction

  /// Bits of an accumulator's address: two buffers of up to 128 output channels.
  localparam int unsigned AccAddrBits = 8;

  /// Layers in the core at a time: one that ends, one that begins. A layer's slot is the parity of its number.
  localparam int unsigned LayerSlots = 2;

  /// Output channels of a tile that leave in a cycle.
  localparam int unsigned DrainChannels = 4;

  /// Cycles from a group's weights to its partial sum.
  localparam int unsigned PeLatency = 10;

  /// What the scanner walks of a layer, as its descriptor has it.
  typedef struct packed {
    logic [15:0] bitmap_base;
    logic [11:0] tiles_y;
    logic [11:0] tiles_x;
    logic [7:0]  passes;
    logic [7:0]  groups;
    logic [7:0]  last_words;
    logic [3:0]  planes;
    logic [3:0]  plane_step;
  } walk_t;

  /// A pass over a tile: what accumulators, residual and drain agree on.
  typedef struct packed {
    logic        slot;  // of its layer
    logic        last;  // last pass of the layer
    logic        first_tile;
    logic        last_of_tile;
    logic [7:0]  index;
    logic [11:0] tile_y;
    logic [11:0] tile_x;
  } pass_t;

  /// Windows to load: one group along the input channels for one tile.
  typedef struct packed {
    logic        slot;  // of its layer
    logic [7:0]  group;
    logic [11:0] tile_y;
    logic [11:0] tile_x;
  } load_t;

  /// What a group carries of its layer on the way to the accumulators.
  typedef struct packed {
    logic       slot;
    logic       quad_shift;
    logic [2:0] buffer_log2;
  } group_layer_t;

  /// A group that the array applies: its slot, its output channel in the pass, its plane's shift.
  typedef struct packed {
    group_layer_t layer;
    logic        empty;  // no group: ends a pass in which nothing is active
    logic        load;   // move to the next windows first
    logic        last;   // last group of the pass
    logic [4:0]  shift;
    logic [6:0]  channel;
    logic [15:0] slot;
  } group_t;

endpackage
