// Generated from rtl/map/accelerator.rdl by `python -m tritforge.rtl.generate`; do not edit.
/// What of the register map the register block leaves out. Each window begins at a multiple of its length.
package tritforge_windows_pkg;
  import tritforge_spaces_pkg::*;

  typedef struct packed {
    logic [19:2] first;  // 32-bit word
    int unsigned words;
  } window_t;

  localparam window_t CountersWindow = '{first: 18'h00010, words: 16};
  localparam window_t LayerCountersWindow = '{first: 18'h00400, words: 256};
  localparam window_t StagingWindow = '{first: 18'h04000, words: 16384};
  localparam window_t DescriptorsWindow = '{first: 18'h08000, words: 4096};
  localparam window_t BitmapsWindow = '{first: 18'h0C000, words: 8192};
  localparam window_t AffineWindow = '{first: 18'h10000, words: 16384};
  localparam window_t WeightsWindow = '{first: 18'h20000, words: 131072};
  localparam int unsigned Counters = 10;

  /// The windows of the memory spaces, by space.
  localparam window_t [Spaces-1:0] SpaceWindows = '{WeightsWindow, AffineWindow, BitmapsWindow, DescriptorsWindow};

  function automatic logic in_window(logic [19:2] word, window_t window);
    return (word & ~18'(window.words - 1)) == window.first;
  endfunction

endpackage
