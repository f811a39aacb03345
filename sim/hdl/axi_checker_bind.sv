/// The checker in every simulated accelerator.
bind accelerator axi_checker #(.BeatBits(4 * ActivationBits)) u_axi_checker (.*, .stream_rst_i(rst));
