"""Networks and images on the simulated hardware, compared word by word."""
