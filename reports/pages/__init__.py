"""Whole pages: the demo's report, and the figures in README and docs."""
