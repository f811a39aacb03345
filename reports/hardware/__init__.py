"""Tables and pictures of recorded hardware measurements."""
