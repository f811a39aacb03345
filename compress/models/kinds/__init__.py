"""The kinds of nodes that a topology is made of, one class each."""
