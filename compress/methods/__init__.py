"""Methods that act on a training: one file each."""
