// Generated from tritforge/overlay/spaces.py by `python -m tritforge.rtl.generate`; do not edit.

/// Memory spaces of the program port and of staged entries.
package tritforge_spaces_pkg;

  /// Bits of a word's address and of the widest word.
  localparam int unsigned SpaceAddrBits = 18;
  localparam int unsigned SpaceWordBits = 36;
  /// Lowest bit of the space in the third word of a staged entry; the address begins at bit 0.
  localparam int unsigned EntrySpaceLow = 24;

  /// Spaces count from 0; the others are of no memory.
  localparam int unsigned Spaces = 4;
  typedef logic [3:0] space_t;
  /// Program header and layer descriptors, in frames.
  localparam space_t SpaceDescriptors = 4'd0;
  /// Stored and active bits of C_g output channels.
  localparam space_t SpaceBitmaps = 4'd1;
  /// M and B of an output channel, two words.
  localparam space_t SpaceAffine = 4'd2;
  /// Nine pairs of trits of a group; C_g / 2 words to a slot.
  localparam space_t SpaceWeights = 4'd3;

  /// The spaces whose words take two of 32 bits; the others take one.
  localparam logic [Spaces-1:0] WideSpaces = 4'b1000;

  /// A word and its place, as the staging memory holds it.
  typedef struct packed {
    space_t                   space;
    logic [SpaceAddrBits-1:0] addr;
    logic [SpaceWordBits-1:0] word;
  } entry_t;

endpackage
