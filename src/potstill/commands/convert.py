"""``potstill convert``: datasets, merged, filtered or thinned out, in a layout that is read from disk."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from potstill.config import ConvertConfig
from potstill.config.settings import command_line, configured
from potstill.data.mapped import write_mapped
from potstill.data.registry import load_dataset
from potstill.data.selection import Part, check_alike, kept_parts, kept_rows
from potstill.data.streaming import spooled
from potstill.errors import PotstillError, PotstillWarning
from potstill.runtime.run_folder import RunFolder, check_free, fresh_path


@configured(ConvertConfig)
def convert(config: ConvertConfig) -> Path:
    """Write ``config.datasets``, or a part of them, as one folder that every command takes as its dataset.

    Its rows are memory-mapped: ``teach`` and ``distill`` read what they need of them, so that the data may
    be larger than memory. Of several datasets one at a time is read, twice, large D4RL files in pieces; the
    last row of each ends its episode. The folder appears under its name when it is whole.

    Returns:
        The folder, also a run folder.

    Raises:
        PotstillError: a dataset that cannot be read, datasets that do not fit together, nothing left to
            keep, no space, or an existing folder.

    Example:
        >>> import potstill
        >>> folder = potstill.convert("hopper-medium-replay", min_return=1000.0)  # doctest: +SKIP
        >>> run = potstill.teach(folder)  # doctest: +SKIP
    """
    check_free(config.out, force=config.force)
    out = fresh_path("convert") if config.out is None else Path(config.out)
    folder = RunFolder(out.with_name(out.name + ".partial"), "convert", config, force=True)
    spool = folder.path / "spool"
    try:
        places = [spooled(source, spool / str(number)) for number, source in enumerate(config.sources)]
        parts = []
        for source, place in zip(config.sources, places, strict=True):
            parts.append(Part.of(load_dataset(place), source, place))
            check_alike([parts[0], parts[-1]])
        kept = kept_rows(parts, config)
        folder.finish(_write(folder.path, out.name, parts, kept, config))
        shutil.rmtree(spool, ignore_errors=True)
        if out.exists():
            shutil.rmtree(out)
        os.rename(folder.path, out)
    except OSError as error:
        raise PotstillError(f"cannot write to {out}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)  # a part is worth nothing
    print(f"{out}: {sum(map(np.sum, kept)):,} of {sum(map(len, kept)):,} rows")
    return out


def _write(
    folder: Path, name: str, parts: Sequence[Part], kept: list[np.ndarray], config: ConvertConfig
) -> dict[str, Any]:
    """Write the rows; return the result, whose sources are also the dataset's card."""
    first = parts[0]
    sources = [
        {"source": str(part.source), "sha256": part.sha256, "rows": len(rows), "kept": int(rows.sum())}
        for part, rows in zip(parts, kept, strict=True)
    ]
    data = write_mapped(
        folder,
        _columns(parts, kept),
        int(sum(rows.sum() for rows in kept)),
        state_size=first.state_size,
        bounds=first.bounds,
        name=name,
        env_id=first.env_id,
        card={"sources": sources, "command": command_line("convert", config)},
    )
    returns = data.episode_returns()
    summary = {"mean": float(returns.mean()), "least": float(returns.min()), "best": float(returns.max())}
    return {"rows": len(data), "episodes": len(returns), "returns": summary, "sources": sources} | {
        "sha256": data.content_hash
    }


def _columns(parts: Sequence[Part], kept: list[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """The kept rows of all parts, one dataset in memory at a time."""
    for part, rows in zip(parts, kept, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PotstillWarning)  # said when it was read first
            yield from kept_parts(load_dataset(part.place), rows)
