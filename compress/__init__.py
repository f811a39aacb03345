"""Training: models, data, recipes, ternarisation, group pruning, update selection, and export to a network file."""
