"""Settings of the solvers, each read by the solver of its name."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from potstill.errors import PotstillError
from potstill.runtime.validation import check_ranges


@dataclass(frozen=True)
class KernelConfig:
    """Kernel descent at infinite width."""

    _: KW_ONLY

    start: Literal["zero", "drawn"] = "zero"
    """What students compute before their training: zero, its mean, or what a network drawn for each step does."""


@dataclass(frozen=True)
class EmpiricalConfig:
    """Kernel descent under the tangent kernels of real networks."""

    _: KW_ONLY

    networks: int = 1
    """Networks drawn for each outer step; their actions are averaged."""

    def __post_init__(self) -> None:
        check_ranges(self, networks=1)


@dataclass(frozen=True)
class RidgeConfig:
    """Ridge regression under the infinite-width tangent kernel."""

    _: KW_ONLY

    penalty: float = 1e-3
    """λ, as a share of the kernel's mean diagonal."""

    def __post_init__(self) -> None:
        check_ranges(self, penalty=1e-9)


@dataclass(frozen=True)
class FeaturesConfig:
    """Ridge regression on the last hidden layers of a pool of networks."""

    _: KW_ONLY

    networks: int = 4
    """Networks in the pool, drawn anew for each outer step; their features stand side by side."""

    trained: int = 0
    """Steps of training on the pairs that the oldest network of the pool has had; the others' ages lie evenly below."""

    penalty: float = 1e-3
    """λ, as a share of the features' mean square norm."""

    def __post_init__(self) -> None:
        check_ranges(self, networks=1, trained=0, penalty=1e-9)


@dataclass(frozen=True)
class UnrollConfig:
    """The unroll: which of the student's steps the outer gradient goes back through."""

    _: KW_ONLY

    window: int | None = None
    """Steps of the student's training that are differentiated, its last ones. Default: all, the exact gradient."""

    random_window: bool = False
    """Let the student's training, and with it the window, end at a random step (RaT-BPTT)."""

    def __post_init__(self) -> None:
        check_ranges(self, window=1)
        if self.random_window and self.window is None:
            raise PotstillError("--unroll.random-window needs --unroll.window, how many steps it differentiates")
