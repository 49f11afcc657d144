"""Collect datasets at D4RL's levels: record SAC's training, and roll policies out."""
