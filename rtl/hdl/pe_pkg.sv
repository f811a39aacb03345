/// Shape of a PE's adders, and what steers those behind the quads.
///
/// Pairs of lanes are level 0. In a quad of channel lanes, 18 pairs become one sum over five levels of rows; then come
/// the pairs of quads, and their sum. Every row adds unsigned numbers and keeps its carry: `x + y`, or for a relative
/// sign `x + ~y + 1`, which is `x - y + 2**width`. What these powers of two come to depends on the weights alone, so
/// group_signs works it out once for all PEs, and the PE takes it off at the end.
package pe_pkg;

  import tritforge_pkg::Taps;

  localparam int unsigned QuadPairs  = 2 * Taps;
  localparam int unsigned QuadLevels = $clog2(QuadPairs);

  /// Values of a quad at a level. An odd one out goes on unchanged, as the last, and is the first to be added then.
  function automatic int unsigned level_values(input int unsigned level);
    return (QuadPairs + 2 ** level - 1) / 2 ** level;
  endfunction

  /// Rows of a quad before those of a level, from 1 on.
  function automatic int unsigned rows_before(input int unsigned level);
    int unsigned rows;
    rows = 0;
    for (int unsigned l = 1; l < level; l++) rows += level_values(l - 1) / 2;
    return rows;
  endfunction

  localparam int unsigned QuadRows = rows_before(QuadLevels + 1);

  /// Bits that the sum of all quads has more than an activation.
  localparam int unsigned SumGrowth = QuadLevels + 6;

  /// Bits that a PE's value has more than an activation: the sum's, and those of the coarse shift.
  localparam int unsigned ValueGrowth = SumGrowth + 4;

  /// What steers the rows behind the quads, every field beside its own row.
  typedef struct packed {
    logic [1:0] fine;             // shift of the value by 0 to 3
    logic       coarse;           // shift of the sum by 4
    logic       negative;         // sign of the sum
    logic       halves_shift;     // the second pair of quads counts four times
    logic       halves_relative;  // ... and has the other sign
    logic       quads_shift;      // the second quad of a pair counts twice
    logic [1:0] quads_relative;   // ... and has the other sign
  } steering_t;

endpackage
