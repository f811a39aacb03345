"""Measurements that chose the values of recipes, and the demo's trainings."""
