"""What the accelerator makes of the kinds of network layers, one class each."""
