"""Gathering datasets: SAC's training recorded, policies rolled out, the levels of D4RL made of both."""
