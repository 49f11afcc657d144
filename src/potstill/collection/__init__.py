"""Internal: recording datasets at D4RL's levels, from SAC's training or rollouts. Use :func:`potstill.collect`."""
