"""Verilator: builds, runs of benches, coverage."""
