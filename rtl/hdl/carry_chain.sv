/// Carry chain: `sum = propagate ^ carry`; where a bit does not propagate, the next carry is `generate_i`.
///
/// On 7-series it is made of CARRY4, so that a row of adders takes the LUTs in front of it and no more.
module carry_chain #(
  parameter int unsigned Width = 8
) (
  input  logic             carry_i,
  input  logic [Width-1:0] propagate_i,
  input  logic [Width-1:0] generate_i,
  output logic [Width-1:0] sum_o,
  output logic             carry_o
);

`ifdef TRITFORGE_XC7
  localparam int unsigned Cells  = (Width + 3) / 4;
  localparam int unsigned Padded = 4 * Cells;
  logic [Padded-1:0] propagate, generate_q, sum, carry;
  assign propagate  = Padded'(propagate_i);
  assign generate_q = Padded'(generate_i);

  for (genvar c = 0; c < Cells; c++) begin : gen_cell
    logic from_below;
    if (c == 0) begin : gen_first
      assign from_below = 1'b0;
    end else begin : gen_next
      assign from_below = carry[4*c-1];
    end
    CARRY4 u_carry (
      .CI(from_below), .CYINIT(c == 0 ? carry_i : 1'b0), .DI(generate_q[4*c +: 4]), .S(propagate[4*c +: 4]),
      .O(sum[4*c +: 4]), .CO(carry[4*c +: 4])
    );
  end

  assign sum_o   = sum[Width-1:0];
  assign carry_o = carry[Width-1];
`else
  // Propagating bits add up to a carry's way; the others bring their own.
  assign {carry_o, sum_o} = {1'b0, propagate_i ^ generate_i} + {1'b0, generate_i} + (Width+1)'(carry_i);
`endif

endmodule
