"""Gymnasium environments, reference returns and rollouts."""
