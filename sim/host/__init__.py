"""The host's side of the simulated accelerator's interfaces."""
