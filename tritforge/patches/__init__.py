"""Patches: what turns one network into another in a few hundred bytes."""
