"""Clone an exported distillate with d3rlpy's BC: ``python d3rlpy_bc.py distillate.npz``.

MDPDataset with every row terminal: d3rlpy then pairs no row with another.
"""

import sys

import d3rlpy
import numpy as np
from d3rlpy.preprocessing import MinMaxActionScaler, StandardObservationScaler

pairs = np.load(sys.argv[1])
states, actions = pairs["states"], pairs["actions"]
dataset = d3rlpy.dataset.MDPDataset(states, actions, rewards=np.zeros(len(states)), terminals=np.ones(len(states)))
config = d3rlpy.algos.BCConfig(
    batch_size=len(states),
    observation_scaler=StandardObservationScaler(mean=pairs["state_mean"], std=pairs["state_scale"], eps=0.0),
    action_scaler=MinMaxActionScaler(minimum=pairs["action_low"], maximum=pairs["action_high"]),
    encoder_factory=d3rlpy.models.VectorEncoderFactory([256, 256, 256]),
)
bc = config.create()
quiet = d3rlpy.logging.NoopAdapterFactory()
bc.fit(dataset, n_steps=500, n_steps_per_epoch=500, logger_adapter=quiet, show_progress=False)


def policy(observations):
    """Actions [B, A] for raw observations [B, S]."""
    return bc.predict(observations)


print(f"mean squared error on the pairs: {np.mean((policy(states) - actions) ** 2):.4f}")
