"""The one loop of every training: steps, batches, log, and the interface of what acts on them."""
