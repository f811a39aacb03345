"""The accelerator as a device: ports, updates and the persistent copy of what it holds."""
