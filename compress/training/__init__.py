"""Trainings as a user asks for them: train, export, evaluate."""
