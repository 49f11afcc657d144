"""Student recipes: how a fresh policy is trained on a distillate. Named ones, and the class."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from potstill.errors import PotstillError, unknown


@dataclass(frozen=True)
class Recipe:
    """A student: its network, its start and its full-batch training on the mean squared error."""

    steps: int = 100
    """T, gradient steps."""

    learning_rate: float = 0.1
    """α₀."""

    optimiser: Literal["sgd", "adam"] = "sgd"
    """SGD, or Adam with β₁ = 0.9, β₂ = 0.999."""

    momentum: float = 0.0
    """β₀ of SGD, v ← β v + ∇ℓ."""

    width: int = 256
    """Units of each hidden layer, of each tower."""

    towers: int = 1
    """Networks side by side whose outputs are averaged before the tanh; they are trained as one, on one loss.

    Each tower's gradient is 1/towers of what it would be alone, and SGD moves it by ``towers`` times the learning
    rate. What a student's actions vary by from start to start is shared out among its towers: it comes as close
    to the mean over all starts, which kernel descent distils for, as an ensemble of as many would.
    """

    layers: int = 4
    """Layers of weights; 4 means three hidden layers. """

    residual: bool = False
    """Add the first hidden layer to the last: those between are a residual block. Needs 3 layers or more."""

    start: Literal["orthogonal", "antisymmetric", "he", "lecun", "torch"] = "orthogonal"
    """Initial weights and biases: see ``starts.py``."""

    output_gain: float = 1.0
    """Factor on the last layer's start. With 1 an orthogonal student learns features, the larger the less."""

    sampled: bool = False
    """Clone with actions sampled from a tanh-Gaussian, as the reference implementation does."""

    @property
    def falls_short(self) -> bool:
        """Whether training ends well before students do what their pairs ask: by SGD without momentum.

        Such students err more, and so come to states further beside the data's. Where nothing else is asked for, they
        are judged with twice the noise on the states, and their pairs may aim twice as far (docs/pairs.md).
        """
        return self.optimiser == "sgd" and not self.momentum

    def __post_init__(self) -> None:
        if self.residual and self.layers < 3:
            raise PotstillError(f"a residual student of {self.layers} layers: at least 3 are needed")
        if self.residual and self.towers > 1:
            raise PotstillError(f"a residual student of {self.towers} towers: one is possible")
        if self.towers < 1:
            raise PotstillError(f"a student of {self.towers} towers: at least 1 is needed")


RECIPES: dict[str, Recipe] = {
    "paper": Recipe(),
    "reference": Recipe(sampled=True),
    "default": Recipe(steps=300, learning_rate=0.03, momentum=0.9, width=128, towers=16, output_gain=2.0),
    "towers": Recipe(steps=300, momentum=0.9, width=128, towers=16),
    "plain": Recipe(momentum=0.9),
    "wide": Recipe(momentum=0.9, width=512, layers=3),
    "adam": Recipe(optimiser="adam", learning_rate=1e-3),
}


def recipe_of(settings: dict[str, Any]) -> Recipe:
    """The recipe with the settings that a file holds.

    >>> recipe_of({"momentum": 0.9, "width": 512}).width
    512
    """
    usual = asdict(Recipe())
    for name, value in settings.items():
        if name not in usual:
            raise unknown("recipe setting", name, usual)
        number = isinstance(usual[name], float) and isinstance(value, int)
        if not number and type(value) is not type(usual[name]):
            raise PotstillError(f"recipe setting {name} is {value!r}: {type(usual[name]).__name__} is needed")
    return Recipe(**settings)


def recipe_named(name: str) -> Recipe:
    """Look a recipe up; an unknown name is a :class:`~potstill.errors.PotstillError`."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]
