"""The overlay: an accelerator's parameters, memories and registers, and what a network looks like in them."""
