"""Trainable layers with quantised weights and maps."""
