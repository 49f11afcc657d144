"""Internal: datasets at D4RL's levels, from SAC's or DQN's training or from rollouts. Use :func:`potstill.collect`."""
