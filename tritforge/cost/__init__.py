"""What a network costs on an accelerator: cycles and energy by models, over a space of designs."""
