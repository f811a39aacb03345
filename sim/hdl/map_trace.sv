/// Writes what the compute core computes to a file, for comparison with the reference model: `i` before what belongs to
/// the next image; `t`, layer, bank word of the tile's first pixel, words of the tile (highest bank first) for each tile
/// of results; `l` and four logits (highest channel first) for each quad; `r` where a reset cuts off what ran. Layers end
/// in order, which tells whose they are.
///
/// Bound into the compute core in simulation. The plusarg `map_trace` names the file; without it nothing is written.
module map_trace #(
  parameter int unsigned Rows     = 2,
  parameter int unsigned Columns  = 8,
  parameter int unsigned WordBits = 128
) (
  input logic                                       clk_i,
  input logic                                       rst_i,
  input logic [7:0]                                 layers_i,
  input logic                                       layer_done_i,
  input logic                                       tile_valid_i,
  input logic [1:0][1:0][15:0]                      tile_addr_i,
  input logic [Rows-1:0][Columns-1:0][WordBits-1:0] tile_data_i,
  input logic                                       logits_valid_i,
  input logic [3:0][47:0]                           logits_i
);

  // Before the first reset registers hold anything.
  bit    reset_seen;
  bit    running;
  bit    fresh;  // nothing of the image was written yet
  int    layer;
  int    file;
  string name;

  initial begin
    reset_seen = 1'b0;
    running = 1'b0;
    file = 0;
    if ($value$plusargs("map_trace=%s", name)) file = $fopen(name, "w");
  end

  always_ff @(posedge clk_i) begin
    running <= !rst_i && reset_seen;
    if (rst_i) begin
      if (running && file != 0) $fwrite(file, "r\n");
      reset_seen <= 1'b1;
      fresh      <= 1'b1;
      layer      <= 0;
    end else if (reset_seen) begin
      if (file != 0) begin
        if (fresh && (tile_valid_i || logits_valid_i)) $fwrite(file, "i\n");
        if (tile_valid_i) $fwrite(file, "t %02h %04h %h\n", layer, tile_addr_i[Rows == 1][0], tile_data_i);
        if (logits_valid_i) $fwrite(file, "l %h\n", logits_i);
      end
      if (tile_valid_i || logits_valid_i) fresh <= 1'b0;
      if (layer_done_i) begin
        layer <= layer + 1;
        if (layer + 1 == 32'(layers_i)) begin
          layer <= 0;
          fresh <= 1'b1;
        end
      end
    end
  end

  final begin
    if (file != 0) $fclose(file);
  end

endmodule

bind compute_core map_trace #(
  .Rows(Rows), .Columns(Columns), .WordBits(WordBits)
) u_map_trace (
  .clk_i, .rst_i, .layers_i(header_o.layers), .layer_done_i(layer_done_o), .tile_valid_i(tile_valid), .tile_addr_i(tile_addr),
  .tile_data_i(tile_data), .logits_valid_i(logits_valid_o), .logits_i(logits_o)
);
