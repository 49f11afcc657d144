"""Student recipes: the network of a student, its initialisation and its training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Literal

from potstill.errors import PotstillError, make_unknown_name_error
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_finite, check_ranges

Loss = Literal["squared-error", "cross-entropy"]
Initialisation = Literal["orthogonal", "antisymmetric", "he", "lecun", "torch"]


@check_arguments
@dataclass(frozen=True)
class Recipe:
    """How a student is built and trained: network, initialisation, and full-batch training on one loss.

    The defaults describe the student of the paper (Lei, Zhang and Tao 2024).

    Raises:
        PotstillError: a field has a wrong type or is out of range, or fields are incompatible.

    Example:
        >>> Recipe(layers=5, optimiser="adamw", learning_rate=1e-3).steps
        100
    """

    named_in: ClassVar[str] = "potstill.RECIPES"

    steps: int = 100
    """T, the number of gradient steps."""

    learning_rate: float = 0.1
    """α₀, the step size."""

    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    """SGD; or Adam or AdamW with β₁ = 0.9 and β₂ = 0.999."""

    momentum: float = 0.0
    """β₀ of SGD, v ← β₀ v + ∇ℓ. Adam and AdamW ignore it."""

    weight_decay: float = 0.01
    """λ of AdamW, θ ← θ − α₀ λ θ at each step. Other optimisers ignore it."""

    width: int = 256
    """Units of each hidden layer, in each tower."""

    towers: int = 1
    """Number of parallel networks whose outputs are averaged before the tanh. They are trained on one loss.

    The gradient of each tower is 1/towers of what it would be alone; SGD compensates by multiplying its learning rate
    by ``towers``. Averaging over towers reduces the variance that the random initialisation causes. The student is as
    close to the mean over initialisations, which kernel descent computes, as an ensemble of ``towers`` networks.
    """

    layers: int = 4
    """Layers of weights; 4 means three hidden layers."""

    residual: bool = False
    """Add the output of the first hidden layer to that of the last one. Requires at least 3 layers."""

    initialisation: Initialisation = "orthogonal"
    """Scheme of the initial weights and biases, see :mod:`potstill.students.initialisation`."""

    output_gain: float = 1.0
    """Scale of the output layer's initialisation; larger values move training towards the lazy regime."""

    sampled: bool = False
    """Clone with actions sampled from a tanh-Gaussian, as the paper's reference implementation does."""

    batch: int = 0
    """Number of pairs in a step, drawn anew for each, with replacement. 0: all pairs (full batch). Solvers of the inner
    problem other than ``unroll`` describe full batches."""
    loss: Loss = "squared-error"
    """The squared error of tanh outputs, or the cross-entropy of softmax outputs. Discrete actions use the latter."""

    def __post_init__(self) -> None:
        check_ranges(self, steps=0, batch=0, learning_rate=0.0, momentum=0.0, weight_decay=0.0)
        check_ranges(self, width=1, towers=1, layers=1)
        check_finite(self, "learning_rate", "weight_decay", "output_gain")
        if self.momentum >= 1.0:
            raise PotstillError(f"Recipe.momentum {self.momentum}: expected a value below 1")
        if self.initialisation == "antisymmetric" and self.width % 2:
            raise PotstillError(f"Recipe.width {self.width}: an antisymmetric initialisation needs an even width")
        if self.residual and self.layers < 3:
            raise PotstillError(f"Recipe.layers {self.layers}: a residual student needs at least 3 layers")
        if self.residual and self.towers > 1:
            raise PotstillError(f"Recipe.towers {self.towers}: a residual student has one tower")
        if self.sampled and self.loss == "cross-entropy":
            raise PotstillError("Recipe.sampled: discrete actions are cloned by their cross-entropy, without samples")

    @property
    def undershoots(self) -> bool:
        """Whether training ends long before the student fits its targets: SGD without momentum.

        Such students make larger errors and visit states further from the data. By default, distillation uses twice
        the state noise for them, and the actions of their pairs may exceed the bounds (docs/explanation/pairs.md).
        """
        return self.optimiser == "sgd" and not self.momentum

    def fit_to_actions(self, *, discrete: bool) -> Recipe:
        """Return the recipe with the loss for discrete or continuous actions, and all else unchanged.

        >>> Recipe().fit_to_actions(discrete=True).loss
        'cross-entropy'
        """
        loss: Loss = "cross-entropy" if discrete else "squared-error"
        return self if self.loss == loss else replace(self, loss=loss)

    def to_metadata(self) -> dict[str, object]:
        """The fields as they are saved; :func:`read_recipe` reads them back."""
        fields = {STORED_NAMES.get(name, name): value for name, value in asdict(self).items()}
        if self.optimiser != "adamw":
            del fields["weight_decay"]
        if self.loss == "squared-error":
            del fields["loss"]
        if not self.batch:
            del fields["batch"]
        return fields


STORED_NAMES = {"initialisation": "start"}  # fields whose name in files differs

_RECIPES = {
    "paper": Recipe(),
    "reference": Recipe(sampled=True),
    "default": Recipe(steps=300, learning_rate=0.03, momentum=0.9, width=128, towers=16, output_gain=2.0),
    "towers": Recipe(steps=300, momentum=0.9, width=128, towers=16),
    "plain": Recipe(momentum=0.9),
    "wide": Recipe(momentum=0.9, width=512, layers=3),
    "adam": Recipe(optimiser="adam", learning_rate=1e-3),
    "adam-towers": Recipe(
        steps=300, learning_rate=3e-3, optimiser="adam", width=128, towers=16, layers=3, initialisation="torch"
    ),
    "pytorch": Recipe(steps=1000, learning_rate=1e-3, optimiser="adam", width=256, layers=3, initialisation="torch"),
}


class NamedRecipes(Mapping[str, Recipe]):
    """A read-only mapping from names to recipes. An unknown name raises an error that suggests the closest one."""

    def __init__(self, recipes: Mapping[str, Recipe]) -> None:
        self._recipes = dict(recipes)

    def __getitem__(self, name: str) -> Recipe:
        if name not in self._recipes:
            raise make_unknown_name_error("recipe", name, self)
        return self._recipes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._recipes)

    def __len__(self) -> int:
        return len(self._recipes)

    def __repr__(self) -> str:
        return f"NamedRecipes({', '.join(self)})"


RECIPES: Mapping[str, Recipe] = NamedRecipes(_RECIPES)
"""The named recipes, read-only."""


def read_recipe(stored: Mapping[str, object]) -> Recipe:
    """Rebuild a recipe from the fields in a file.

    Raises:
        PotstillError: an unknown field, or a value of the wrong type.

    Example:
        >>> read_recipe({"momentum": 0.9, "width": 512, "start": "he"}).initialisation
        'he'
    """
    own_names = {stored_name: name for name, stored_name in STORED_NAMES.items()}
    known = asdict(Recipe())
    settings = {own_names.get(name, name): value for name, value in stored.items()}
    for name in settings:
        if name not in known:
            raise make_unknown_name_error("recipe setting", name, known)
    return Recipe(**settings)  # type: ignore[arg-type]  # __post_init__ checks the types


def find_recipe_name(recipe: Recipe) -> str:
    """Find the name of a recipe among :data:`RECIPES`, or ``"custom"``."""
    plain = replace(recipe, loss="squared-error")  # the loss follows from the actions
    return next((name for name, known in RECIPES.items() if known == plain), "custom")
