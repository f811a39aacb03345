/// The program: descriptors, bitmaps, affine table and weights, in true dual-port memories.
///
/// Port B of every memory is the program port, a 36-bit word at a time; port A is the core's. A read takes two cycles,
/// on the program port four, as its inputs and its data are registered; so a write is done a cycle later. After a write
/// the program port reads what it read before. A write beyond the end of a memory, or to an unknown space, has no effect;
/// what is read there is any word.
module program_memories
  import tritforge_pkg::*;
  import tritforge_spaces_pkg::*;
#(
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned Slots          = 4096,
  parameter int unsigned BitmapWords    = 1024,
  parameter int unsigned AffineChannels = 4096,
  parameter int unsigned Descriptors    = 64,
  localparam int unsigned FrameWords      = tritforge_descriptor_pkg::FrameWords,
  localparam int unsigned SlotWords       = GroupChannels / 2,
  localparam int unsigned DescriptorWords = Descriptors * FrameWords,
  localparam int unsigned DescAddrBits    = $clog2(DescriptorWords),
  localparam int unsigned BitmapAddrBits  = $clog2(BitmapWords),
  localparam int unsigned QuadAddrBits    = $clog2(AffineChannels / DrainChannels),
  localparam int unsigned SlotAddrBits    = $clog2(Slots),
  localparam int unsigned WordIdxBits     = $clog2(SlotWords)
) (
  input  logic clk_i,

  input  logic                     prog_we_i,
  input  space_t                   prog_space_i,
  /// Word: of 32 bits, two for each channel of the affine table; of 36 bits, GroupChannels / 2 for each slot.
  input  logic [SpaceAddrBits-1:0] prog_addr_i,
  input  logic [SpaceWordBits-1:0] prog_wdata_i,
  output logic [SpaceWordBits-1:0] prog_rdata_o,

  input  logic [DescAddrBits-1:0] desc_addr_i,
  output logic [31:0]             desc_rdata_o,

  input  logic                      bitmap_en_i,
  input  logic [BitmapAddrBits-1:0] bitmap_addr_i,
  output logic [31:0]               bitmap_rdata_o,

  /// The channels of a quad, each {M[15:0], B[47:0]}.
  input  logic [QuadAddrBits-1:0]        affine_addr_i,
  output logic [DrainChannels-1:0][63:0] affine_rdata_o,

  input  logic                           slot_en_i,
  input  logic [SlotAddrBits-1:0]        slot_addr_i,
  output logic [SlotWords-1:0][35:0]     slot_rdata_o
);

  localparam int unsigned AffineWords = 2 * DrainChannels;
  localparam int unsigned SelectBits  = $clog2(Spaces);

  logic [31:0]      desc_rdata, bitmap_rdata;
  logic [AffineWords-1:0][31:0] affine_rdata;
  logic [SlotWords-1:0][35:0] slot_rdata;

  logic                     we_q, to_descriptors, to_bitmaps, to_affine, to_weights;
  space_t                   space_q;
  logic [SpaceAddrBits-1:0] addr_q;
  logic [SpaceWordBits-1:0] wdata_q;

  always_ff @(posedge clk_i) begin
    {we_q, space_q, addr_q, wdata_q} <= {prog_we_i, prog_space_i, prog_addr_i, prog_wdata_i};
  end

  assign to_descriptors = we_q && space_q == SpaceDescriptors && 32'(addr_q) < DescriptorWords;
  assign to_bitmaps     = we_q && space_q == SpaceBitmaps && 32'(addr_q) < BitmapWords;
  assign to_affine      = we_q && space_q == SpaceAffine && 32'(addr_q) < 2 * AffineChannels;
  assign to_weights     = we_q && space_q == SpaceWeights && 32'(addr_q) < Slots * SlotWords;

  ram_tdp #(.Width(32), .Depth(DescriptorWords)) u_descriptors (
    .clk_i,
    .a_en_i(1'b1),
    .a_we_i(1'b0),
    .a_addr_i(desc_addr_i),
    .a_wdata_i('0),
    .a_rdata_o(desc_rdata_o),
    .b_en_i(1'b1),
    .b_we_i(to_descriptors),
    .b_addr_i(addr_q[DescAddrBits-1:0]),
    .b_wdata_i(wdata_q[31:0]),
    .b_rdata_o(desc_rdata)
  );

  ram_tdp #(.Width(32), .Depth(BitmapWords)) u_bitmaps (
    .clk_i,
    .a_en_i(bitmap_en_i),
    .a_we_i(1'b0),
    .a_addr_i(bitmap_addr_i),
    .a_wdata_i('0),
    .a_rdata_o(bitmap_rdata_o),
    .b_en_i(1'b1),
    .b_we_i(to_bitmaps),
    .b_addr_i(addr_q[BitmapAddrBits-1:0]),
    .b_wdata_i(wdata_q[31:0]),
    .b_rdata_o(bitmap_rdata)
  );

  for (genvar w = 0; w < AffineWords; w++) begin : gen_affine
    ram_tdp #(.Width(32), .Depth(AffineChannels / DrainChannels)) u_affine (
      .clk_i,
      .a_en_i(1'b1),
      .a_we_i(1'b0),
      .a_addr_i(affine_addr_i),
      .a_wdata_i('0),
      .a_rdata_o(affine_rdata_o[w / 2][32 * (w % 2) +: 32]),
      .b_en_i(1'b1),
      .b_we_i(to_affine && addr_q[2:0] == 3'(w)),
      .b_addr_i(addr_q[QuadAddrBits+2:3]),
      .b_wdata_i(wdata_q[31:0]),
      .b_rdata_o(affine_rdata[w])
    );
  end

  for (genvar w = 0; w < SlotWords; w++) begin : gen_weights
    ram_tdp #(.Width(36), .Depth(Slots)) u_weights (
      .clk_i,
      .a_en_i(slot_en_i),
      .a_we_i(1'b0),
      .a_addr_i(slot_addr_i),
      .a_wdata_i('0),
      .a_rdata_o(slot_rdata_o[w]),
      .b_en_i(1'b1),
      .b_we_i(to_weights && addr_q[WordIdxBits-1:0] == WordIdxBits'(w)),
      .b_addr_i(addr_q[SlotAddrBits+WordIdxBits-1:WordIdxBits]),
      .b_wdata_i(wdata_q),
      .b_rdata_o(slot_rdata[w])
    );
  end

  // What the two cycles of a memory's read have to remember; the select of the words for each part that it moves.
  logic [SelectBits-1:0] space_qq, space_qqq;
  logic [2:0] word_qq;
  (* keep *) logic [2:0] affine_low_q, affine_high_q, weight_low_q, weight_high_q;

  always_ff @(posedge clk_i) begin
    space_qq  <= space_q[SelectBits-1:0];
    space_qqq <= space_qq;
    word_qq   <= addr_q[2:0];
    {affine_low_q, affine_high_q, weight_low_q, weight_high_q} <= {4{word_qq}};
  end

  always_ff @(posedge clk_i) begin
    unique case (space_qqq)
      SelectBits'(SpaceDescriptors): prog_rdata_o <= 36'(desc_rdata);
      SelectBits'(SpaceBitmaps):     prog_rdata_o <= 36'(bitmap_rdata);
      SelectBits'(SpaceAffine):
        prog_rdata_o <= 36'({affine_rdata[affine_high_q][31:16], affine_rdata[affine_low_q][15:0]});
      SelectBits'(SpaceWeights):
        prog_rdata_o <= {slot_rdata[weight_high_q[WordIdxBits-1:0]][35:18],
                         slot_rdata[weight_low_q[WordIdxBits-1:0]][17:0]};
    endcase
  end

  initial begin
    assert (GroupChannels inside {8, 16})
    else $fatal(1, "program_memories: GroupChannels is %0d; allowed are 8 and 16", GroupChannels);
    assert (DescAddrBits <= 18 && BitmapAddrBits <= 18 && QuadAddrBits + 3 <= 18 && SlotAddrBits + WordIdxBits <= 18)
    else $fatal(1, "program_memories: a memory has more than 2**18 words");
  end

endmodule
