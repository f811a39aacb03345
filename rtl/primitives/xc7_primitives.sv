// The two primitives of the 7-series that modules take under TRITFORGE_XC7, by their truth tables: models for
// simulation, and the ports that synthesis needs to know. Source: AMD UG953, 7 Series Libraries Guide.

`define TRITFORGE_XC7

/// Two tables of five inputs; the upper one takes I5 as the choice between both.
module LUT6_2 #(
  parameter logic [63:0] INIT = '0
) (
  input  logic I0,
  input  logic I1,
  input  logic I2,
  input  logic I3,
  input  logic I4,
  input  logic I5,
  output logic O5,
  output logic O6
);

  assign O5 = INIT[{1'b0, I4, I3, I2, I1, I0}];
  assign O6 = INIT[{I5, I4, I3, I2, I1, I0}];

endmodule

/// Four bits of a carry chain.
module CARRY4 (
  input  logic       CI,
  input  logic       CYINIT,
  input  logic [3:0] DI,
  input  logic [3:0] S,
  output logic [3:0] O,
  output logic [3:0] CO
);

  logic [4:0] carry;

  always_comb begin
    carry[0] = CI | CYINIT;
    for (int unsigned i = 0; i < 4; i++) carry[i+1] = S[i] ? carry[i] : DI[i];
  end

  assign O  = S ^ carry[3:0];
  assign CO = carry[4:1];

endmodule
