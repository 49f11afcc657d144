"""Teachers: what they are, the offline-RL algorithms that train them, where they are found."""
