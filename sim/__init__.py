"""Simulation: cocotb benches, Verilator builds, area and depth measurement, the simulated accelerator as a server."""
