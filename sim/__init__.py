"""Simulation: cocotb benches on Verilator, and the accelerator simulated over its real interfaces."""

from pathlib import Path

HDL = Path(__file__).resolve().parent / "hdl"
"""SystemVerilog that is only simulated: checkers, the trace of the maps."""
