"""The accelerator in SystemVerilog (``rtl/hdl``) and what is generated for it from the memory map."""
