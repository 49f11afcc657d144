"""Clone an exported distillate with d3rlpy's BC: ``python d3rlpy_bc.py distillate.npz``.

Every row of the MDPDataset is terminal, so d3rlpy does not connect rows. The settings are those of the distillate's
recipe, with three differences: there is one network instead of several towers, its initialisation is PyTorch's default,
and batches are drawn with replacement.
"""

import json
import sys

import d3rlpy
import numpy as np
from d3rlpy.preprocessing import MinMaxActionScaler, StandardObservationScaler

pairs = np.load(sys.argv[1])
recipe = json.loads(str(pairs["potstill"]))["recipe"]
states, actions = pairs["states"], pairs["actions"]
dataset = d3rlpy.dataset.MDPDataset(states, actions, rewards=np.zeros(len(states)), terminals=np.ones(len(states)))
config = d3rlpy.algos.BCConfig(
    batch_size=len(states),
    learning_rate=recipe["learning_rate"],
    optim_factory=d3rlpy.optimizers.SGDFactory(momentum=recipe["momentum"]),
    observation_scaler=StandardObservationScaler(mean=pairs["state_mean"], std=pairs["state_scale"], eps=0.0),
    action_scaler=MinMaxActionScaler(minimum=pairs["action_low"], maximum=pairs["action_high"]),
    encoder_factory=d3rlpy.models.VectorEncoderFactory([recipe["width"]] * (recipe["layers"] - 1)),
)
bc = config.create()
quiet = d3rlpy.logging.NoopAdapterFactory()
bc.fit(dataset, recipe["steps"], n_steps_per_epoch=recipe["steps"], logger_adapter=quiet, show_progress=False)


def policy(observations):
    """Actions [B, A] for raw observations [B, S]."""
    return bc.predict(observations)


print(f"mean squared error on the pairs: {np.mean((policy(states) - actions) ** 2):.4f}")
