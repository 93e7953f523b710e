"""Fronts that turn documents into `ComputationGraph`s, one file for each format."""
