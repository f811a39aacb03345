"""Networks made for tests and measurements."""
