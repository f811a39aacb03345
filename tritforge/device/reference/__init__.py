"""Parts of the reference device: what the hardware's modules hold and do, one file for each idea."""
