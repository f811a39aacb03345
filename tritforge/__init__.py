"""tritforge: co-design of ternary neural networks and the FPGA accelerators that run them."""
