"""cocotb benches, one a module of ``rtl/hdl`` and named after it; ``tests/rtl`` runs them."""
