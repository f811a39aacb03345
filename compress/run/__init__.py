"""The ground floor of training: recipes, checkpoints, run folders, processes."""
