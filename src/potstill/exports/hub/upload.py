"""Upload a folder to a dataset repository on the Hub. Every failure is one line that says what to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from potstill.errors import PotstillError, describe_first_line, name_option, require_package
from potstill.exports.hub.place import HubPlace

LOGIN = "hf auth login"


def check_account(again: str) -> None:
    """Raise unless the library of the Hub is installed and the user is logged in.

    Args:
        again: the command that the user gave, for the message.
    """
    require_package("huggingface_hub", "hub")
    from huggingface_hub import get_token

    if not get_token():
        raise PotstillError(f"no account of the Hub is logged in here: run '{LOGIN}' or set HF_TOKEN, then '{again}'")


def push_folder(folder: Path, place: HubPlace, *, private: bool, message: str, again: str) -> str:
    """Upload the files of a folder in one commit, and return the address of the dataset.

    The repository is made if it does not exist. Other files in it are kept.

    Args:
        folder: the folder. Only files directly in it are uploaded.
        place: the repository.
        private: make it private. A public repository is not used then.
        message: the message of the commit.
        again: the command to repeat after a failure.

    Raises:
        PotstillError: the Hub is not reached, or refuses the upload.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    api, repo, kind = HfApi(endpoint=place.endpoint), place.repo, "dataset"
    files = [CommitOperationAdd(file.name, file) for file in sorted(folder.iterdir())]
    try:
        with _hide_bars():
            api.create_repo(repo, repo_type=kind, private=private or None, exist_ok=True)
            public = private and not api.repo_info(repo, repo_type=kind).private
            if not public:
                api.create_commit(repo, files, repo_type=kind, commit_message=message)
    except Exception as error:  # the library and the two HTTP libraries below it raise their own
        inner = error.__cause__ if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception) else error
        text = _describe_failure(inner, place, again)
        token = get_token()
        raise PotstillError(text.replace(token, "…") if token else text) from None
    if public:
        raise PotstillError(
            f"{place.url} exists and is public: name another repository, or leave out {name_option('private')}"
        )
    return place.url


@contextmanager
def _hide_bars() -> Iterator[None]:
    """Hide the library's progress bars: potstill displays its own line."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hidden = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            enable_progress_bars()


def _describe_failure(error: Exception, place: HubPlace, again: str) -> str:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so nothing was sent: unset it and run '{again}'"
    if isinstance(error, HfHubHTTPError):
        status, said = error.response.status_code, error.server_message or "without a reason"
        if status == 401:
            return f"{place.endpoint} does not accept the token of this account: run '{LOGIN}', then '{again}'"
        if status in (403, 404):
            return (
                f"{place.endpoint} does not let this account write to {place.repo} ({said}): name a repository of "
                f"your own, or run '{LOGIN}' with a token that may write, then '{again}'"
            )
        return f"{place.endpoint} refused {place.repo} with status {status} ({said}); to try again, run '{again}'"
    if isinstance(error, ValueError):  # of the checks of names and headers
        return f"{place.endpoint} refused {place.repo}: {' '.join(str(error).split())}"
    reason = f"{type(error).__name__}: {describe_first_line(error)}"
    return (
        f"{place.endpoint} cannot be reached ({reason}), so nothing was sent: once online, run '{again}'; with "
        f"{name_option('dry_run', True)}, it writes the files here"
    )
