"""Updates of a deployed network, partial and full."""
