"""The accelerator as a device: the register protocol, updates, the network that survives, a reference device."""
