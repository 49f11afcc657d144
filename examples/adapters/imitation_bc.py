"""Clone an exported distillate with imitation's BC: ``python imitation_bc.py distillate.npz``.

BC reads only observations and actions. However, imitation 1.0.1 cannot batch its TransitionsMinimal, so each pair is
written as a transition whose next observation is its own. The states are standardised beforehand, because the policy
has no normaliser.
"""

import sys

import numpy as np
from gymnasium.spaces import Box
from imitation.algorithms.bc import BC
from imitation.data.types import Transitions
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

pairs = np.load(sys.argv[1])
states, actions = pairs["states"], pairs["actions"]


def standardise(observations):
    return ((observations - pairs["state_mean"]) / pairs["state_scale"]).astype(np.float32)


observation_space = Box(-np.inf, np.inf, states.shape[1:], np.float32)
action_space = Box(pairs["action_low"], pairs["action_high"], dtype=np.float32)
network = {"net_arch": [256, 256, 256], "activation_fn": nn.ReLU}
obs, ends = standardise(states), np.ones(len(states), bool)
bc = BC(
    observation_space=observation_space,
    action_space=action_space,
    policy=ActorCriticPolicy(observation_space, action_space, lambda _: 1e-3, **network),
    demonstrations=Transitions(obs, actions, np.array([{}] * len(states)), next_obs=obs, dones=ends),
    rng=np.random.default_rng(0),
    batch_size=len(states),
)
bc.train(n_batches=500, progress_bar=False)


def policy(observations):
    """Mean actions [B, A], clipped to the bounds, for raw observations [B, S]."""
    return bc.policy.predict(standardise(observations), deterministic=True)[0]


print(f"mean squared error on the pairs: {np.mean((policy(states) - actions) ** 2):.4f}")
