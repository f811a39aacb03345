/// Which program is in force: loading, activation, commits between two images, and the version.
///
/// Loading: CONTROL.load waits for the image in the array, then opens the memories; they stay open until the host has
/// cleared CONTROL.load and writes activate. Commit: waits for the image in the array, copies, lets the core fetch its
/// header again where a descriptor was written, and takes the new version. A pending commit goes before a load.
module program_state #(
  parameter int unsigned Staging = 1024,
  /// Cycles that soft_reset_o lasts.
  parameter int unsigned SoftResetCycles = 16
) (
  input  logic clk_i,
  input  logic rst_i,

  input  logic        enable_i,
  input  logic        load_i,
  input  logic        activate_i,
  input  logic        commit_i,
  input  logic        soft_reset_i,
  input  logic [15:0] entries_i,
  input  logic [31:0] next_version_i,

  /// An image is in the array: from the cycle after its start.
  input  logic        array_busy_i,
  /// An image may start in this cycle.
  output logic        start_allowed_o,
  /// The core fetches header and first descriptor again.
  output logic        reload_o,
  /// It has them; low from the cycle after reload_o.
  input  logic        program_ready_i,

  output logic        copy_start_o,
  input  logic        copy_done_i,
  /// A descriptor is being copied.
  input  logic        descriptor_written_i,

  /// 0 empty, 1 loading, 2 valid, 3 committing.
  output logic [1:0]  state_o,
  output logic        commit_pending_o,
  output logic [31:0] commit_pause_o,
  output logic [31:0] version_o,
  /// The program memories may be written.
  output logic        open_o,
  /// In the first cycle after a commit.
  output logic        commit_done_o,
  /// A command had no effect.
  output logic        refused_o,
  output logic        soft_reset_o
);

  localparam int unsigned ResetBits = $clog2(SoftResetCycles);

  typedef enum logic [2:0] {Empty, Loading, Activating, Valid, Copying, Renewing} state_e;

  state_e               state_q, state_d;
  logic                 pending_q, renew_q, committed_q, reload_d;
  logic [ResetBits-1:0] reset_q;  // cycles of soft_reset_o after this one
  logic [15:0]          pause_q;  // far more than staging and a reload take
  logic                 idle, commit, commit_starts, renewed, take_version;

  assign idle          = !array_busy_i;
  assign commit        = commit_i && state_q == Valid && !pending_q && 32'(entries_i) <= Staging;
  assign commit_starts = state_q == Valid && pending_q && idle;
  assign renewed       = !reload_o && program_ready_i;
  assign take_version  = state_d == Valid && state_q inside {Activating, Copying, Renewing};

  always_comb begin
    state_d  = state_q;
    reload_d = 1'b0;
    unique case (state_q)
      Empty: if (load_i && idle) state_d = Loading;
      Loading: begin
        if (activate_i && !load_i) begin
          state_d  = Activating;
          reload_d = 1'b1;
        end
      end
      Activating: if (renewed) state_d = Valid;
      Valid: begin
        if (commit_starts) state_d = Copying;
        else if (load_i && idle && !pending_q) state_d = Loading;
      end
      Copying: begin
        if (copy_done_i) begin
          state_d  = renew_q || descriptor_written_i ? Renewing : Valid;
          reload_d = renew_q || descriptor_written_i;
        end
      end
      Renewing: if (renewed) state_d = Valid;
      default: state_d = Empty;
    endcase
    if (soft_reset_o) begin
      state_d  = Empty;
      reload_d = 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      state_q        <= Empty;
      reload_o       <= 1'b0;
      pending_q      <= 1'b0;
      version_o      <= '0;
      pause_q        <= '0;
      soft_reset_o   <= 1'b0;
      reset_q        <= '0;
    end else begin
      state_q   <= state_d;
      reload_o  <= reload_d;
      pending_q <= (pending_q || commit) && !commit_starts && !soft_reset_o;

      if (soft_reset_o) version_o <= '0;
      else if (take_version) version_o <= next_version_i;

      if (commit) pause_q <= '0;
      else if (commit_starts || state_q inside {Copying, Renewing}) pause_q <= pause_q + 16'd1;

      soft_reset_o <= soft_reset_i || reset_q != '0;
      if (soft_reset_i) reset_q <= ResetBits'(SoftResetCycles - 1);
      else if (reset_q != '0) reset_q <= reset_q - 1'b1;
    end
    committed_q <= state_q inside {Copying, Renewing} && !rst_i;
    renew_q     <= state_q == Copying && (renew_q || descriptor_written_i);
  end

  assign open_o           = state_q == Loading;
  assign copy_start_o     = commit_starts && !soft_reset_o;
  assign commit_pending_o = pending_q;
  assign commit_pause_o   = 32'(pause_q);
  assign commit_done_o    = committed_q && state_q == Valid;
  assign refused_o        = (activate_i && !(state_q == Loading && !load_i)) || (commit_i && !commit);
  assign start_allowed_o  = state_q == Valid && enable_i && !pending_q && !load_i && !soft_reset_o;

  always_comb begin
    unique case (state_q)
      Empty: state_o = 2'd0;
      Loading, Activating: state_o = 2'd1;
      Valid: state_o = 2'd2;
      default: state_o = 2'd3;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i && !soft_reset_o) begin
      assert (state_q == Valid || state_q == Empty || !array_busy_i)
      else $error("program_state: an image is in the array while the program changes");
    end
  end

endmodule
