/// Row of adders for a pair of lanes: `sum = e1 * a + (e2 * b, or its complement + 1 for the other sign)`.
///
/// One LUT a bit on 7-series: it gives both what propagates and what generates a carry.
module pair_row #(
  parameter int unsigned Width = 8
) (
  input  logic [Width-1:0] first_i,
  input  logic [Width-1:0] second_i,
  /// {relative sign, enable 2, enable 1} of the pair coding.
  input  logic [2:0]       pair_i,
  output logic [Width:0]   sum_o
);

  logic relative, enable_2, enable_1;
  assign {relative, enable_2, enable_1} = pair_i;

  logic [Width-1:0] propagate, generated;

`ifdef TRITFORGE_XC7
  function automatic logic [63:0] both_tables();
    logic [63:0] tables;
    for (int unsigned i = 0; i < 32; i++) begin
      // Inputs, from I4 down: relative sign, enable 2, enable 1, second, first.
      logic [4:0] in;
      in = 5'(i);
      tables[i]      = in[0] && in[2];
      tables[i + 32] = (in[0] && in[2]) ^ (in[1] && in[3]) ^ in[4];
    end
    return tables;
  endfunction

  for (genvar i = 0; i < Width; i++) begin : gen_bit
    LUT6_2 #(.INIT(both_tables())) u_lut (
      .I0(first_i[i]), .I1(second_i[i]), .I2(enable_1), .I3(enable_2), .I4(relative), .I5(1'b1),
      .O5(generated[i]), .O6(propagate[i])
    );
  end
`else
  assign generated = first_i & {Width{enable_1}};
  assign propagate = generated ^ (second_i & {Width{enable_2}}) ^ {Width{relative}};
`endif

  carry_chain #(.Width(Width)) u_carry (
    .carry_i(relative), .propagate_i(propagate), .generate_i(generated), .sum_o(sum_o[Width-1:0]),
    .carry_o(sum_o[Width])
  );

endmodule
