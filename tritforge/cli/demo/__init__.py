"""The tour that ``tritforge demo`` takes."""
