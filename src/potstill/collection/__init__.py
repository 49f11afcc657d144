"""Collecting datasets: SAC's training is recorded, and policies are rolled out, for the levels of D4RL's datasets."""
