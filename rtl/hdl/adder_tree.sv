/// Sum of signed numbers, registered after every level; ceil(log2(Inputs)) cycles.
module adder_tree #(
  parameter int unsigned Inputs = 18,
  parameter int unsigned Width  = 10,
  localparam int unsigned Levels   = Inputs > 1 ? $clog2(Inputs) : 0,
  localparam int unsigned SumWidth = Width + Levels,
  localparam int unsigned EnWidth  = Levels > 0 ? Levels : 1
) (
  input  logic                                clk_i,
  /// Level by level: the registers take new sums.
  input  logic        [EnWidth-1:0]           en_i,
  input  logic signed [Inputs-1:0][Width-1:0] data_i,
  output logic signed [SumWidth-1:0]          sum_o
);

  for (genvar l = 0; l <= Levels; l++) begin : gen_level
    localparam int unsigned Count = (Inputs + 2 ** l - 1) / 2 ** l;
    localparam int unsigned Bits  = Width + l;
    logic signed [Bits-1:0] sum [Count];
    if (l == 0) begin : gen_inputs
      for (genvar i = 0; i < Count; i++) begin : gen_input
        assign sum[i] = data_i[i];
      end
    end else begin : gen_sums
      localparam int unsigned Below = (Inputs + 2 ** (l - 1) - 1) / 2 ** (l - 1);
      for (genvar i = 0; i < Count; i++) begin : gen_sum
        if (2 * i + 1 < Below) begin : gen_pair
          always_ff @(posedge clk_i) begin
            if (en_i[l-1]) sum[i] <= Bits'(gen_level[l-1].sum[2*i]) + Bits'(gen_level[l-1].sum[2*i+1]);
          end
        end else begin : gen_single
          always_ff @(posedge clk_i) begin
            if (en_i[l-1]) sum[i] <= Bits'(gen_level[l-1].sum[2*i]);
          end
        end
      end
    end
  end

  if (Levels == 0) begin : gen_unused
    logic unused;
    assign unused = ^{clk_i, en_i};
  end

  assign sum_o = gen_level[Levels].sum[0];

endmodule
