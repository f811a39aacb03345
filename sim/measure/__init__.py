"""Measurements made by simulation."""
