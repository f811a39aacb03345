/// Row of adders: `x + y`, or with a relative sign `x - y + 2**Width`; one LUT a bit on 7-series.
module add_row #(
  parameter int unsigned Width = 9
) (
  input  logic [Width-1:0] x_i,
  input  logic [Width-1:0] y_i,
  input  logic             relative_i,
  output logic [Width:0]   sum_o
);

  logic [Width-1:0] propagate;

`ifdef TRITFORGE_XC7
  // Bit 0 of the sum is x ^ y: a LUT by name, or synthesis would take a second one for that.
  logic unused;
  LUT6_2 #(.INIT({8{8'b10010110}})) u_lowest (
    .I0(x_i[0]), .I1(y_i[0]), .I2(relative_i), .I3(1'b0), .I4(1'b0), .I5(1'b1), .O5(unused), .O6(propagate[0])
  );
  for (genvar i = 1; i < Width; i++) begin : gen_bit
    assign propagate[i] = x_i[i] ^ y_i[i] ^ relative_i;
  end
`else
  assign propagate = x_i ^ y_i ^ {Width{relative_i}};
`endif

  carry_chain #(.Width(Width)) u_carry (
    .carry_i(relative_i), .propagate_i(propagate), .generate_i(x_i), .sum_o(sum_o[Width-1:0]), .carry_o(sum_o[Width])
  );

endmodule
