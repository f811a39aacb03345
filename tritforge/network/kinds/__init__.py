"""The kinds of layers of the integer network, one class each."""
