"""Where a distillate is published: the repository, its addresses, and the names of the files in it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from potstill.errors import PotstillError, name_option

DISTILLATE, PAIRS, CARD, CROISSANT = "distillate.safetensors", "pairs.jsonl", "README.md", "croissant.json"
ENDPOINT = "https://huggingface.co"
UNKNOWN = "unknown"  # the Hub's identifier for no known licence
PART = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


@dataclass(frozen=True)
class HubPlace:
    """A dataset repository on the Hub.

    >>> HubPlace("me/hopper-pairs").get_file_url("pairs.jsonl")
    'https://huggingface.co/datasets/me/hopper-pairs/resolve/main/pairs.jsonl'

    Raises:
        PotstillError: the repository is not OWNER/NAME, or the licence is not an identifier.
    """

    repo: str
    licence: str = UNKNOWN
    endpoint: str = ENDPOINT

    def __post_init__(self) -> None:
        if not re.fullmatch(f"{PART}/{PART}", self.repo) or re.search(r"--|\.\.|[.-]$|\.git$", self.repo):
            raise PotstillError(f"'{self.repo}' is not a repository of the Hub: expected OWNER/NAME")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.licence):
            raise PotstillError(
                f"{name_option('licence', self.licence)}: expected an identifier of the Hub, such as cc-by-4.0"
            )

    @property
    def owner(self) -> str:
        """The user or the organisation."""
        return self.repo.partition("/")[0]

    @property
    def url(self) -> str:
        """The address of the dataset's page."""
        return f"{self.endpoint}/datasets/{self.repo}"

    def get_file_url(self, name: str) -> str:
        """Return the address of a file."""
        return f"{self.url}/resolve/main/{name}"


def find_endpoint() -> str:
    """Find the address of the Hub: that in ``HF_ENDPOINT``, as for other programs, or the public one."""
    return (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
