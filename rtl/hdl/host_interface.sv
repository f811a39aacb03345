/// What the host sees: the register block with its memory windows, the program's state, commits and counters.
///
/// The AXI4-Lite ports keep the standard's names. A soft reset reaches everything but the registers themselves.
module host_interface
  import tritforge_registers_pkg::*;
  import tritforge_spaces_pkg::*;
  import tritforge_windows_pkg::*;
#(
  parameter int unsigned Pes            = 16,
  parameter int unsigned GroupChannels  = 16,
  parameter int unsigned ActivationBits = 8,
  parameter int unsigned PassOutputs    = 64,
  parameter int unsigned Slots          = 4096,
  parameter int unsigned BitmapWords    = 1024,
  parameter int unsigned AffineChannels = 4096,
  parameter int unsigned Descriptors    = 64,
  parameter int unsigned FeatureWords   = 1024,
  parameter int unsigned Staging        = 1024
) (
  input  logic clk_i,
  input  logic rst_i,

  input  logic        s_axil_awvalid,
  output logic        s_axil_awready,
  input  logic [19:0] s_axil_awaddr,
  input  logic [2:0]  s_axil_awprot,
  input  logic        s_axil_wvalid,
  output logic        s_axil_wready,
  input  logic [31:0] s_axil_wdata,
  input  logic [3:0]  s_axil_wstrb,
  output logic        s_axil_bvalid,
  input  logic        s_axil_bready,
  output logic [1:0]  s_axil_bresp,
  input  logic        s_axil_arvalid,
  output logic        s_axil_arready,
  input  logic [19:0] s_axil_araddr,
  input  logic [2:0]  s_axil_arprot,
  output logic        s_axil_rvalid,
  input  logic        s_axil_rready,
  output logic [31:0] s_axil_rdata,
  output logic [1:0]  s_axil_rresp,
  output logic        interrupt_o,

  /// Program port: see program_memories.
  output logic                     prog_we_o,
  output space_t                   prog_space_o,
  output logic [SpaceAddrBits-1:0] prog_addr_o,
  output logic [SpaceWordBits-1:0] prog_wdata_o,
  input  logic [SpaceWordBits-1:0] prog_rdata_i,

  /// Counters of the layers; data one cycle after the address.
  output logic [7:0]  layer_counter_addr_o,
  input  logic [31:0] layer_counter_rdata_i,

  /// Core: see program_state.
  output logic        start_allowed_o,
  input  logic        array_busy_i,
  output logic        reload_o,
  input  logic        program_ready_i,
  output logic [31:0] version_o,
  output logic        soft_reset_o,

  /// Streams: images may come in; images that have not started are dropped.
  output logic        stream_enable_o,
  output logic        stream_flush_o,
  output logic [15:0] batch_images_o,
  input  logic        early_last_i,
  input  logic        late_last_i,
  input  logic        batch_done_i,

  /// See counters.
  input  logic        issue_i,
  input  logic        skipped_valid_i,
  input  logic [23:0] skipped_i,
  input  logic        stall_windows_i,
  input  logic        stall_accumulators_i,
  input  logic        stall_schedule_i,
  input  logic        image_start_i,
  input  logic        image_done_i
);

  localparam int unsigned StagingAddrBits = $clog2(Staging);

  tritforge_registers__in_t  to_host;
  tritforge_registers__out_t from_host;

  // One access at a time, of a register, of a memory window, or of nothing. Windows: see memory_windows.
  logic        access, access_write, of_register, register_access_q, no_access_q;
  logic [19:2] access_word;
  logic [31:0] access_wdata, register_rdata, window_rdata, counter_rdata;
  logic [3:0]  access_strobes, counter_addr;
  logic [Spaces+2:0] of_window, window_access_q;
  logic        read_stall, write_stall, read_ack, read_error, write_ack, write_error, window_ack;

  for (genvar s = 0; s < Spaces; s++) begin : gen_of_space
    assign of_window[s] = in_window(access_word, SpaceWindows[s]);
  end
  assign of_window[Spaces+2:Spaces] = {
    in_window(access_word, CountersWindow) && 32'(access_word[5:2]) < Counters && !access_write,
    in_window(access_word, LayerCountersWindow) && !access_write,
    in_window(access_word, StagingWindow)
  };
  assign of_register = access_word[19:6] == '0;

  always_ff @(posedge clk_i) begin
    register_access_q <= access && of_register && !rst_i;
    window_access_q   <= {Spaces + 3{access && !rst_i}} & of_window;
    no_access_q       <= access && !of_register && of_window == '0 && !rst_i;
  end

  axil_port u_port (
    .clk_i,
    .rst_i,
    .s_axil_awvalid,
    .s_axil_awready,
    .s_axil_awaddr,
    .s_axil_awprot,
    .s_axil_wvalid,
    .s_axil_wready,
    .s_axil_wdata,
    .s_axil_wstrb,
    .s_axil_bvalid,
    .s_axil_bready,
    .s_axil_bresp,
    .s_axil_arvalid,
    .s_axil_arready,
    .s_axil_araddr,
    .s_axil_arprot,
    .s_axil_rvalid,
    .s_axil_rready,
    .s_axil_rdata,
    .s_axil_rresp,
    .req_o(access),
    .req_write_o(access_write),
    .req_word_o(access_word),
    .req_wdata_o(access_wdata),
    .req_strobes_o(access_strobes),
    .ack_i(read_ack || write_ack || window_ack || no_access_q),
    .error_i((read_ack && read_error) || (write_ack && write_error) || no_access_q),
    .rdata_i(({32{read_ack}} & register_rdata) | window_rdata)
  );

  tritforge_registers u_registers (
    .clk(clk_i),
    .rst(rst_i),
    .s_cpuif_req(register_access_q),
    .s_cpuif_req_is_wr(access_write),
    .s_cpuif_addr({access_word[5:2], 2'd0}),
    .s_cpuif_wr_data(access_wdata),
    .s_cpuif_wr_biten({{8{access_strobes[3]}}, {8{access_strobes[2]}}, {8{access_strobes[1]}}, {8{access_strobes[0]}}}),
    .s_cpuif_req_stall_wr(write_stall),
    .s_cpuif_req_stall_rd(read_stall),
    .s_cpuif_rd_ack(read_ack),
    .s_cpuif_rd_err(read_error),
    .s_cpuif_rd_data(register_rdata),
    .s_cpuif_wr_ack(write_ack),
    .s_cpuif_wr_err(write_error),
    .hwif_in(to_host),
    .hwif_out(from_host)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      assert (!register_access_q || !(access_write ? write_stall : read_stall))
      else $error("host_interface: a register was accessed before the last one was done with");
    end
  end

  // State.
  logic [1:0]  state;
  logic        commit_pending, memories_open, copy_start, copy_done, commit_done, refused, rejected, core_reset, copy_we;
  space_t      copy_space;
  logic [31:0] commit_pause;

  assign core_reset = rst_i || soft_reset_o;

  program_state #(.Staging(Staging)) u_state (
    .clk_i,
    .rst_i,
    .enable_i(from_host.CONTROL.enable.value),
    .load_i(from_host.CONTROL.load.value),
    .activate_i(from_host.COMMAND.activate.value),
    .commit_i(from_host.COMMAND.commit.value),
    .soft_reset_i(from_host.COMMAND.soft_reset.value),
    .entries_i(from_host.STAGED.entries.value),
    .next_version_i(from_host.NEXT_VERSION.value.value),
    .array_busy_i,
    .start_allowed_o,
    .reload_o,
    .program_ready_i,
    .copy_start_o(copy_start),
    .copy_done_i(copy_done),
    .descriptor_written_i(copy_we && copy_space == SpaceDescriptors),
    .state_o(state),
    .commit_pending_o(commit_pending),
    .commit_pause_o(commit_pause),
    .version_o,
    .open_o(memories_open),
    .commit_done_o(commit_done),
    .refused_o(refused),
    .soft_reset_o
  );

  assign stream_enable_o = state == 2'd2 && from_host.CONTROL.enable.value;
  assign stream_flush_o  = !state[1];
  assign batch_images_o  = from_host.BATCH.images.value;

  // Memory windows and staging share the program port.
  logic        copying, window_we, entry_we;
  space_t      window_space;
  entry_t      entry_wdata, entry_rdata;
  logic [SpaceAddrBits-1:0] window_addr, copy_addr;
  logic [SpaceWordBits-1:0] window_wdata, copy_wdata;
  logic [StagingAddrBits-1:0] entry_addr;

  memory_windows #(
    .DescriptorWords(Descriptors * tritforge_descriptor_pkg::FrameWords),
    .BitmapWords(BitmapWords),
    .AffineWords(2 * AffineChannels),
    .WeightWords(Slots * GroupChannels / 2),
    .Staging(Staging)
  ) u_windows (
    .clk_i,
    .rst_i,
    .req_i(window_access_q),
    .req_write_i(access_write),
    .req_word_i(access_word[18:2]),
    .req_wdata_i(access_wdata),
    .req_whole_i(&access_strobes),
    .ack_o(window_ack),
    .rdata_o(window_rdata),
    .copying_i(copying),
    .open_i(memories_open),
    .rejected_o(rejected),
    .prog_we_o(window_we),
    .prog_space_o(window_space),
    .prog_addr_o(window_addr),
    .prog_wdata_o(window_wdata),
    .prog_rdata_i,
    .entry_we_o(entry_we),
    .entry_addr_o(entry_addr),
    .entry_wdata_o(entry_wdata),
    .entry_rdata_i(entry_rdata),
    .layer_counter_addr_o,
    .layer_counter_rdata_i,
    .counter_addr_o(counter_addr),
    .counter_rdata_i(counter_rdata)
  );

  staging_commit #(.Staging(Staging)) u_staging (
    .clk_i,
    .rst_i(core_reset),
    .entry_we_i(entry_we),
    .entry_addr_i(entry_addr),
    .entry_wdata_i(entry_wdata),
    .entry_rdata_o(entry_rdata),
    .start_i(copy_start),
    .entries_i(from_host.STAGED.entries.value),
    .busy_o(copying),
    .done_o(copy_done),
    .prog_we_o(copy_we),
    .prog_space_o(copy_space),
    .prog_addr_o(copy_addr),
    .prog_wdata_o(copy_wdata)
  );

  assign {prog_we_o, prog_space_o, prog_addr_o, prog_wdata_o} =
      copying ? {copy_we, copy_space, copy_addr, copy_wdata}
              : {window_we, window_space, window_addr, window_wdata};

  // Registers that the hardware writes.
  counters u_counters (
    .clk_i,
    .rst_i(core_reset),
    .clear_i(from_host.COMMAND.clear_counters.value),
    .snapshot_i(from_host.COMMAND.snapshot.value),
    .busy_i(array_busy_i),
    .issue_i,
    .skipped_valid_i,
    .skipped_i,
    .stall_windows_i,
    .stall_accumulators_i,
    .stall_schedule_i,
    .image_start_i,
    .image_done_i,
    .addr_i(counter_addr),
    .rdata_o(counter_rdata)
  );

  assign to_host.ARRAY.pes.next                   = 8'(Pes);
  assign to_host.ARRAY.group_channels.next        = 8'(GroupChannels);
  assign to_host.ARRAY.activation_bits.next       = 8'(ActivationBits);
  assign to_host.ARRAY.pass_outputs.next          = 8'(PassOutputs);
  assign to_host.MEMORIES.log2_slots.next         = 8'($clog2(Slots));
  assign to_host.MEMORIES.log2_feature_words.next = 8'($clog2(FeatureWords));
  assign to_host.MEMORIES.log2_staging.next       = 8'($clog2(Staging));
  assign to_host.TABLES.log2_bitmaps.next         = 8'($clog2(BitmapWords));
  assign to_host.TABLES.log2_affine.next          = 8'($clog2(AffineChannels));
  assign to_host.TABLES.log2_descriptors.next     = 8'($clog2(Descriptors));
  assign to_host.STATE.state.next                 = state;
  assign to_host.STATE.busy.next                  = array_busy_i;
  assign to_host.STATE.commit_pending.next        = commit_pending;
  assign to_host.VERSION.value.next               = version_o;
  assign to_host.COMMIT_PAUSE.cycles.next         = commit_pause;

  logic [5:0] events_q;

  always_ff @(posedge clk_i) begin
    events_q <= {refused, commit_done, batch_done_i, rejected, late_last_i, early_last_i};
  end

  assign {to_host.EVENTS.refused.hwset, to_host.EVENTS.commit_done.hwset, to_host.EVENTS.batch_done.hwset,
          to_host.EVENTS.closed_write.hwset, to_host.EVENTS.late_last.hwset, to_host.EVENTS.early_last.hwset} = events_q;

  assign interrupt_o = ({from_host.EVENTS.refused.value, from_host.EVENTS.commit_done.value,
                         from_host.EVENTS.batch_done.value, from_host.EVENTS.closed_write.value,
                         from_host.EVENTS.late_last.value, from_host.EVENTS.early_last.value}
                        & from_host.INTERRUPT_ENABLE.mask.value) != '0;

endmodule
