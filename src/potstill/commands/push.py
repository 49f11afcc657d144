"""``potstill push``: publish a distillate as a dataset on the Hugging Face Hub."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

from potstill.bundled import find_artefact_path
from potstill.config import PushConfig
from potstill.config.settings import command_line
from potstill.data.checks import check_finite
from potstill.distillate import Distillate, load
from potstill.distillation.baselines import BASELINES, Selection
from potstill.errors import PotstillError, name_option, warn
from potstill.evaluation.statistics import find_return_label
from potstill.exports.hub.folder import FOLDER, Publication
from potstill.exports.hub.place import UNKNOWN, HubPlace, find_endpoint
from potstill.exports.hub.upload import check_account, push_folder
from potstill.exports.writing import check_target, write_complete
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject, StrPath
from potstill.runtime.progress import busy
from potstill.runtime.run import Run
from potstill.tasks.mixture import read_sources

SCORED = {
    "teacher": "teacher",
    "random": "students of random real pairs",
    "student": "one student",
    "ensemble": "ensemble of students",
}


@check_arguments
def push(
    distillate: Distillate | StrPath,
    repo: str,
    *,
    licence: str | None = None,
    private: bool = False,
    dry_run: bool = False,
    out: StrPath | None = None,
) -> str:
    """Publish a distillate as a dataset on the Hugging Face Hub, with a card and Croissant metadata.

    One commit uploads ``distillate.safetensors`` byte by byte, its pairs as ``pairs.jsonl``, which the Hub displays,
    the card ``README.md``, and ``croissant.json``, which describes the files in Croissant 1.0. Nothing else is
    uploaded: no rows of the dataset, whose name and hash are in the files. The account is that of ``hf auth login`` or
    ``HF_TOKEN``; ``HF_ENDPOINT`` names another server.

    Args:
        distillate: the distillate, or anything that :func:`potstill.load` accepts. For a run folder, the card has the
            scores of the run.
        repo: the repository, ``OWNER/NAME``. It is made if it does not exist.
        licence: the Hub's identifier of a licence, such as ``cc-by-4.0``. Default: ``unknown``.
        private: make the repository private.
        dry_run: write the files into a folder instead, and upload nothing. This needs no account and no extra.
        out: with ``dry_run``, the folder to write. Default: ``runs/push-OWNER-NAME``.

    Returns:
        The address of the dataset, or with ``dry_run`` the path of the folder.

    Raises:
        PotstillError: the pairs are rows of the dataset, no account is logged in, the Hub cannot be reached or refuses
            the upload, or an existing repository is public although ``private`` is set.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import potstill
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = potstill.push("hopper-medium-replay", "me/hopper-pairs", dry_run=True, out=f"{folder}/dataset")
        ...     sorted(file.name for file in Path(path).iterdir())
        ['README.md', 'croissant.json', 'distillate.safetensors', 'pairs.jsonl']
    """
    if out is not None and not dry_run:
        raise PotstillError(f"{name_option('out')} has no effect without {name_option('dry_run', True)}")
    place = HubPlace(repo, licence or UNKNOWN, find_endpoint())
    source = None if isinstance(distillate, Distillate) else Path(distillate)
    again = command_line("push", PushConfig(source or "DISTILLATE", repo, licence=licence, private=private))
    content = _prepare(distillate, place)
    if dry_run:
        target = Path("runs", f"push-{repo.replace('/', '-')}") if out is None else Path(out)
        check_target(target, force=True)  # an earlier dry run; other folders are refused
        write_complete(FOLDER, content, target)
        return str(target)
    check_account(again)
    message = f"{len(content.distillate)} pairs, distilled with potstill {content.distillate.metadata['potstill']}"
    with tempfile.TemporaryDirectory() as folder, busy(f"uploading to {place.url}"):
        files = Path(folder, "dataset")
        FOLDER.write(content, files)
        return push_folder(files, place, private=private, message=message, again=again)


def run_push(config: PushConfig) -> str:
    """Run the command: :func:`push`, with its options in a config."""
    place = push(
        config.distillate,
        config.repo,
        licence=config.licence,
        private=config.private,
        dry_run=config.dry_run,
        out=config.out,
    )
    if config.dry_run:
        for file in sorted(Path(place).iterdir()):
            print(f"{file.stat().st_size:>9,} B  {file}")
        print("nothing was uploaded")
    else:
        print(place)
    return place


def _prepare(source: Distillate | StrPath, place: HubPlace) -> Publication:
    """Read and check what is published, with the scores of its run."""
    file = None if isinstance(source, Distillate) else find_artefact_path(source, "distillate")
    distillate = source if isinstance(source, Distillate) else load(source)
    for column in ("states", "actions"):
        check_finite(column, getattr(distillate, column), source=str(file or "distillate"))
    check_synthetic(distillate, str(file or "distillate"))
    commands = (str(metadata.get("command", "")) for metadata in list_metadata(distillate))
    names = [name for command in commands for name in _list_paths(command)]
    if names:
        warn(f"{place.repo}: the file and its card name a path on this machine, {names[0]}, in their command")
    return Publication(distillate, place, file, {} if file is None else describe_scores(file))


def list_metadata(distillate: Distillate) -> list[JsonObject]:
    """List the metadata of a distillate and, for a mixture, those of its sources."""
    return [distillate.metadata, *(source["metadata"] for source in read_sources(distillate))]


def check_synthetic(distillate: Distillate, source: str) -> None:
    """Raise if pairs of a distillate are rows of a dataset: those of a selection, or initial pairs."""
    for metadata in list_metadata(distillate):
        baseline = metadata.get("baseline")
        name = baseline.get("name") if isinstance(baseline, dict) else None
        chosen = isinstance(name, str) and name in BASELINES and issubclass(BASELINES[name], Selection)
        if chosen or metadata.get("steps") == 0:
            why = f"chosen by {name}" if chosen else "no outer steps were taken"
            raise PotstillError(f"{source}: pairs are rows of the dataset ({why}), which are never published")


def _list_paths(command: str) -> list[str]:
    """List the words of a command that are absolute paths.

    >>> _list_paths("potstill distill '/home/me/my log.npz' --teacher runs/t")
    ['/home/me/my log.npz']
    """
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return [word for word in words if Path(word).is_absolute() or word.startswith("~")]


def describe_scores(file: Path) -> dict[str, str]:
    """Describe the scores of the finished run in whose folder a distillate is; empty if there are none."""
    run = Run(file.parent)
    try:
        result = run.result.to_dict() if run.command == "distill" and file.name == "distillate.safetensors" else {}
    except PotstillError:
        return {}
    label, found = find_return_label(result), {}
    private = bool(result.get("privacy"))  # then the card has no number that was computed from the data
    for name, words in SCORED.items():
        if (score := result.get(name)) and not (private and name == "random"):
            counts = f"{score['policies']} × {score['episodes']} episodes"
            found[f"{label}: {words}, {counts}"] = f"{score['mean']:.1f} ± {score['std']:.1f}"
    offline = {} if private else result.get("offline") or {}
    for name, words in {"imitation_error": "imitation error", "q_gap": "Q-gap"}.items():
        if name in offline:
            found[f"{words} of one student, {offline['states']:,} held-out states"] = (
                f"{offline[name]['mean']:.4g} ± {offline[name]['std']:.2g}"
            )
    return found
