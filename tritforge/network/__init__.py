"""The integer network as data: its arithmetic, its order of trits, its file and its reference model."""
