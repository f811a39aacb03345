/// One axis (rows or columns) of a gather: which bank holds what each output pixel of a tile needs.
///
/// Output pixel j of the tile reads coordinate `stride * j + offset` counted from the first coordinate of chunk
/// `stride * tile`. With stride 2 two pixels can fall into one bank, so half of the pixels are served at a time.
///
/// Example, 8 pixels, stride 2, offset 1, half 1: pixels 4..7 read coordinates 9, 11, 13, 15, that is banks 1, 3, 5, 7
/// of chunk 1.
module gather_axis #(
  /// Pixels of the tile and banks along this axis; a power of two.
  parameter int unsigned Size = 8,
  localparam int unsigned IdxBits = Size > 1 ? $clog2(Size) : 1
) (
  input  logic       stride_2_i,
  input  logic [1:0] offset_i,
  input  logic       half_i,
  /// By bank: chunk to read, counted from the tile's first one.
  output logic [Size-1:0][1:0] chunk_o,
  /// By pixel: its bank, and whether it is served.
  output logic [Size-1:0][IdxBits-1:0] bank_o,
  output logic [Size-1:0]              served_o
);

  localparam int unsigned Log2Size = $clog2(Size);

  // Coordinates run up to 2 * (Size - 1) + 2.
  logic [Size-1:0][Log2Size+1:0] coordinate;

  always_comb begin
    chunk_o = '0;
    for (int unsigned j = 0; j < Size; j++) begin
      coordinate[j] = (Log2Size+2)'(stride_2_i ? 2 * j : j) + (Log2Size+2)'(offset_i);
      bank_o[j]     = IdxBits'(coordinate[j] & (Log2Size+2)'(Size - 1));
      served_o[j]   = !stride_2_i || Size == 1 || half_i == (j >= Size / 2);
      if (served_o[j]) chunk_o[bank_o[j]] = 2'(coordinate[j] >> Log2Size);
    end
  end

endmodule
