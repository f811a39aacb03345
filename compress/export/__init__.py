"""From a trained model to the integer network, and back to what was deployed."""
