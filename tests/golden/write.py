"""Write the golden files with the libraries whose files potstill reads.

    pip install 'minari[hdf5,arrow]' pillow pandas && python tests/golden/write.py minari pandas
    pip install d3rlpy==2.8.1 && python tests/golden/write.py d3rlpy

The data: two episodes of 4 and 3 steps, states of 3 components and actions of 2 within ±2. The first
terminates, the other runs out of time.
"""

import os
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
LENGTHS, TERMINATED = (4, 3), (True, False)


def episodes():
    rng = np.random.default_rng(7)
    for steps, terminated in zip(LENGTHS, TERMINATED, strict=True):
        last = np.arange(steps) == steps - 1
        yield {
            "observations": rng.normal(size=(steps + 1, 3)),
            "actions": rng.uniform(-2, 2, size=(steps, 2)).astype(np.float32),
            "rewards": rng.normal(size=steps),
            "terminations": last & terminated,
            "truncations": last & (not terminated),
        }


def write_minari(root=HERE, formats=("hdf5", "arrow")):
    os.environ["MINARI_DATASETS_PATH"] = str(root)
    import gymnasium
    import minari
    from minari.data_collector import EpisodeBuffer

    for form in formats:
        minari.create_dataset_from_buffers(
            f"golden/{form}-v0",
            [EpisodeBuffer(id=i, **episode) for i, episode in enumerate(episodes())],
            observation_space=gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64),
            action_space=gymnasium.spaces.Box(-2, 2, (2,)),
            algorithm_name="none",
            author="potstill",
            author_email="none",
            code_permalink="none",
            data_format=form,
        )


def write_d3rlpy(path=HERE / "d3rlpy.h5"):
    import d3rlpy

    parts = [
        d3rlpy.dataset.Episode(
            e["observations"][:-1].astype(np.float32), e["actions"] / 2, e["rewards"][:, None].astype(np.float32), done
        )
        for e, done in zip(episodes(), TERMINATED, strict=True)
    ]
    buffer = d3rlpy.dataset.ReplayBuffer(d3rlpy.dataset.InfiniteBuffer(), episodes=parts)
    with open(path, "w+b") as file:
        buffer.dump(file)


def write_pandas(path=HERE / "pandas.parquet"):
    import pandas

    parts = list(episodes())
    join = lambda key: np.concatenate([part[key] for part in parts])  # noqa: E731
    pandas.DataFrame(
        {
            "observation": list(np.concatenate([part["observations"][:-1] for part in parts])),
            **{f"action.{i}": join("actions")[:, i] / 2 for i in range(2)},
            "reward": join("rewards"),
            "next_observation": list(np.concatenate([part["observations"][1:] for part in parts])),
            "terminated": join("terminations"),
            "truncated": join("truncations"),
        }
    ).to_parquet(path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        globals()[f"write_{name}"]()
