"""Collect datasets at D4RL's levels: record SAC's training, or roll policies out."""
