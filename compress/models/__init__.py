"""Topologies and the trainable networks made of them."""
