/// What the group scheduler has to do, said a second time for the prover.
///
/// The words that went in and are not done are kept in order. Every group that comes out must be the lowest channel of
/// the oldest word that has not come out before, with the slot counted bit by bit; a word leaves when all its active
/// channels have. So every active group comes out exactly once, in ascending order, whatever words arrive and whenever
/// the groups are taken. Bound into the scheduler; the macro INVARIANTS adds what holds between its registers and the
/// words kept here, with which a step of induction proves the properties for all times.
module group_scheduler_proof
  import tritforge_pkg::*;
#(
  parameter int unsigned GroupChannels = 16,
  parameter int unsigned WordIdxBits   = 2
) (
  input logic clk_i,
  input logic rst_i,

  input logic                     word_valid_i,
  input logic                     word_ready_o,
  input logic [GroupChannels-1:0] word_active_i,
  input logic [GroupChannels-1:0] word_stored_i,
  input logic [AddrBits-1:0]      word_slot_i,
  input logic [WordIdxBits-1:0]   word_index_i,
  input logic [4:0]               word_shift_i,
  input group_layer_t             word_layer_i,
  input logic                     word_load_i,
  input logic                     word_last_i,

  input logic   group_valid_o,
  input logic   group_ready_i,
  input group_t group_o,

  // Registers of the scheduler, for the invariants alone.
  input logic                     valid_q,
  input logic                     load_q,
  input logic                     last_q,
  input logic [GroupChannels-1:0] rest_q,
  input logic [GroupChannels-1:0] after_q,
  input logic [GroupChannels-1:0] stored_q,
  input logic [AddrBits-1:0]      slot_q,
  input logic [WordIdxBits-1:0]   index_q,
  input logic [4:0]               shift_q,
  input group_layer_t             layer_q,
  input logic [GroupChannels-1:0] found_below_q,
  input logic [AddrBits-1:0]      found_slot_q,
  input group_t                   found_q
);

  localparam int unsigned ChannelBits = $clog2(GroupChannels);
  localparam int unsigned Room        = 2;

  typedef logic [GroupChannels-1:0] mask_t;

  typedef struct packed {
    mask_t                  active;
    mask_t                  stored;
    logic [AddrBits-1:0]    slot;
    logic [WordIdxBits-1:0] index;
    logic [4:0]             shift;
    group_layer_t           layer;
    logic                   load;
    logic                   last;
  } word_t;

  function automatic logic [ChannelBits-1:0] lowest(mask_t rest);
    lowest = '0;
    for (int i = GroupChannels - 1; i >= 0; i--) if (rest[i]) lowest = ChannelBits'(i);
  endfunction

  function automatic mask_t below(logic [ChannelBits-1:0] channel);
    for (int i = 0; i < int'(GroupChannels); i++) below[i] = i < int'(channel);
  endfunction

  function automatic logic [AddrBits-1:0] stored_below(word_t word, logic [ChannelBits-1:0] channel);
    stored_below = '0;
    for (int i = 0; i < int'(GroupChannels); i++) begin
      if (word.stored[i] && i < int'(channel)) stored_below = stored_below + 1'b1;
    end
  endfunction

  function automatic mask_t without_lowest(mask_t rest);
    without_lowest = rest;
    without_lowest[lowest(rest)] = 1'b0;
  endfunction

  /// The group that has to come out of a word; of a word without groups only the empty entry, load and last.
  function automatic group_t expected(word_t word, mask_t rest);
    expected = '{layer: word.layer, empty: word.active == '0, load: word.load && rest == word.active,
                 last: word.last && without_lowest(rest) == '0, shift: word.shift,
                 channel: 7'({word.index, lowest(rest)}), slot: word.slot + stored_below(word, lowest(rest))};
  endfunction

  function automatic logic same(group_t given, group_t wanted);
    same = given.layer == wanted.layer && given.empty == wanted.empty && given.load == wanted.load &&
           given.last == wanted.last && given.shift == wanted.shift &&
           (wanted.empty || (given.channel == wanted.channel && given.slot == wanted.slot));
  endfunction

  word_t      words_q [Room+1];
  logic [1:0] count_q;
  mask_t      rest_of_first_q;
  logic       begun_q = 1'b0;
  logic       push, pop, give;
  logic       pending, waited_q, unfinished_q, held_q;
  group_t     held_group_q;
  word_t      arriving;

  assign arriving = '{active: word_active_i, stored: word_stored_i, slot: word_slot_i, index: word_index_i,
                      shift: word_shift_i, layer: word_layer_i, load: word_load_i, last: word_last_i};
  assign pending  = count_q != '0 && !group_valid_o;
  assign push     = word_valid_i && word_ready_o;
  assign give     = group_valid_o && group_ready_i;
  assign pop      = give && without_lowest(rest_of_first_q) == '0;

  always_ff @(posedge clk_i) begin
    begun_q      <= 1'b1;
    waited_q     <= !rst_i && pending;
    unfinished_q <= !rst_i && give && !pop;
    held_q       <= !rst_i && group_valid_o && !group_ready_i;
    held_group_q <= group_o;
    if (rst_i) begin
      count_q <= '0;
    end else begin
      count_q <= count_q + 2'(push) - 2'(pop);
      if (give) rest_of_first_q <= without_lowest(rest_of_first_q);
      if (pop) begin
        for (int i = 0; i < int'(Room); i++) words_q[i] <= words_q[i+1];
        rest_of_first_q <= words_q[1].active;
      end
      if (push) begin
        words_q[count_q - 2'(pop)] <= arriving;
        if (count_q == 2'(pop)) rest_of_first_q <= arriving.active;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    assume (begun_q || rst_i);
    if (begun_q && !rst_i) begin
      // No word too many is taken, and one is taken whenever none is under way.
      assert (int'(count_q) + int'(push) - int'(pop) <= int'(Room));
      assert (count_q != '0 || word_ready_o);
      // A group comes only of a word, in its place, once; and it waits unchanged until it is taken.
      assert (!group_valid_o || count_q != '0);
      assert (!group_valid_o || same(group_o, expected(words_q[0], rest_of_first_q)));
      assert (!held_q || (group_valid_o && group_o == held_group_q));
      // It comes two cycles after its word at the latest; groups of a word follow one another without a bubble.
      assert (!(waited_q && pending));
      assert (!unfinished_q || group_valid_o);
    end
  end

`ifdef INVARIANTS
  // Where the two registers of the scheduler are in the words kept here: found_q, then rest_q.
  logic [1:0] kept_index, end_index;
  mask_t      kept_rest, after_group;
  logic       group_ends;

  assign after_group = without_lowest(rest_of_first_q);
  assign group_ends  = group_valid_o && after_group == '0;
  assign kept_index  = 2'(group_ends);
  assign kept_rest   = group_ends ? words_q[1].active : group_valid_o ? after_group : rest_of_first_q;
  assign end_index   = kept_index + 2'(valid_q);

  word_t word_kept;
  assign word_kept = words_q[kept_index];

  always_ff @(posedge clk_i) begin
    if (begun_q && !rst_i) begin
      assert (end_index == count_q);
      assert (!group_valid_o || group_ends || valid_q);
      if (count_q != '0) begin
        assert ((rest_of_first_q == '0) == (words_q[0].active == '0));
        assert ((rest_of_first_q & ~words_q[0].active) == '0);
      end
      if (group_valid_o) begin
        assert (found_slot_q == words_q[0].slot);
        assert (rest_of_first_q == '0 ||
                found_below_q == (words_q[0].stored & below(lowest(rest_of_first_q))));
      end
      if (valid_q) begin
        assert (rest_q == kept_rest && after_q == without_lowest(kept_rest));
        assert (stored_q == word_kept.stored && slot_q == word_kept.slot);
        assert (index_q == word_kept.index && shift_q == word_kept.shift && layer_q == word_kept.layer);
        assert (load_q == (word_kept.load && kept_rest == word_kept.active) && last_q == word_kept.last);
      end
    end
  end
`endif

endmodule

bind group_scheduler group_scheduler_proof #(
  .GroupChannels(GroupChannels), .WordIdxBits(WordIdxBits)
) u_proof (.*);
