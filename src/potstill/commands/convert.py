"""``potstill convert``: merge datasets, select rows, and write them to a memory-mapped folder."""

from __future__ import annotations

import functools
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from potstill.commands.encoders import resolve_encoder
from potstill.config import ConvertConfig
from potstill.config.settings import command_line, record_settings, takes_options
from potstill.data.mapped import write_mapped
from potstill.data.registry import ReadOptions, load_dataset
from potstill.data.selection import SourceSummary, check_compatible, read_kept, select_rows
from potstill.data.streaming import copy_if_large
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError, PotstillWarning
from potstill.runtime.files import StrPath, make_write_error
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_free

Load = Callable[[StrPath, StrPath], Transitions]
"""Loads a source, or the place of its copy."""


@takes_options(ConvertConfig)
def convert(config: ConvertConfig) -> Run:
    """Merge datasets, select rows from them, and write them to one folder that every command accepts as a dataset.

    The rows are memory-mapped, so the data may be larger than memory: ``teach`` and ``distill`` read only the rows that
    they use. Datasets are read one after the other, each twice; a large D4RL file is read in pieces. The last row of
    each dataset ends its episode. With ``encoder``, images become features. The folder gets its final name when it is
    complete.

    Returns:
        The run, whose folder is the dataset.

    Raises:
        PotstillError: a dataset cannot be read, datasets do not match, no row is left, the disk is full, or the
            folder exists.

    Example:
        >>> import potstill
        >>> folder = potstill.convert("hopper-medium-replay", min_return=1000.0)  # doctest: +SKIP
        >>> run = potstill.teach(folder)  # doctest: +SKIP
    """
    check_free(config.out, force=config.force)
    with RunFolder(config.out, "convert", record_settings(config), force=config.force, discard=True) as folder:
        copies = folder.path / "spool"
        encoder = None if config.encoder is None else resolve_encoder(config.encoder)
        options = ReadOptions.of(**config.reading, encoder=encoder)
        load = functools.partial(_load, config)
        try:
            places = [
                copy_if_large(source, copies / str(n), options, download=config.download)
                for n, source in enumerate(config.sources)
            ]
            parts = _describe(config.sources, places, load)
            kept = select_rows(parts, config.selection)
            result = _write(folder.path, folder.target.name, parts, kept, command_line("convert", config), load)
            shutil.rmtree(copies, ignore_errors=True)
        except OSError as error:
            raise make_write_error(f"to {folder.target}", error) from None
        folder.finish(result)
        print(f"{folder.path}: {sum(map(np.sum, kept)):,} of {sum(map(len, kept)):,} rows")
    return folder.run


def _load(config: ConvertConfig, source: StrPath, place: StrPath) -> Transitions:
    """Load a source, or its copy, whose columns are chosen, images encoded and actions scaled already.

    Raises:
        PotstillError: the source cannot be read, or has states already that cannot be encoded.
    """
    if place != source:
        return load_dataset(place)
    if config.encoder is not None:
        raise PotstillError(f"{source}: a converted dataset has no images to encode: convert the original data")
    return load_dataset(source, download=config.download, **config.reading)


def _describe(sources: Sequence[StrPath], places: Sequence[StrPath], load: Load) -> list[SourceSummary]:
    """Read each dataset once, and check that it matches the first."""
    parts: list[SourceSummary] = []
    for source, place in zip(sources, places, strict=True):
        parts.append(SourceSummary.of(load(source, place), source, place))
        check_compatible([parts[0], parts[-1]])
    return parts


def _write(
    folder: Path,
    name: str,
    parts: Sequence[SourceSummary],
    kept: Sequence[Bool[np.ndarray, " _"]],
    command: str,
    load: Load,
) -> dict[str, object]:
    """Write the rows; return the result of the run."""
    first = parts[0]
    sources = [
        {"source": str(part.source), "sha256": part.sha256, "rows": len(rows), "kept": int(rows.sum())}
        for part, rows in zip(parts, kept, strict=True)
    ]
    data = write_mapped(
        folder,
        _read_columns(parts, kept, load),
        int(sum(rows.sum() for rows in kept)),
        state_size=first.state_size,
        bounds=first.bounds,
        name=name,
        env_id=first.env_id,
        card={"sources": sources, "command": command, **first.facts},
    )
    returns = data.episode_returns()
    summary = {"mean": float(returns.mean()), "least": float(returns.min()), "best": float(returns.max())}
    return {
        "rows": len(data),
        "episodes": len(returns),
        "returns": summary,
        "sources": sources,
        "sha256": data.content_hash,
    }


def _read_columns(
    parts: Sequence[SourceSummary], kept: Sequence[Bool[np.ndarray, " _"]], load: Load
) -> Iterator[dict[str, np.ndarray]]:
    """Read the selected rows of all parts, with one dataset in memory at a time."""
    for part, rows in zip(parts, kept, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PotstillWarning)  # they were shown at the first read of the dataset
            yield from read_kept(load(part.source, part.place), rows)
