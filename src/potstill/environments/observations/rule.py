"""The rule that turns observations into vectors: its arrays in order, and the encoder of its images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from potstill.environments.observations.encoders import PYTHON, AbsentEncoder, Encoder, EncoderLike, as_encoder
from potstill.environments.observations.parts import MOST_FLAT, Part, format_shape
from potstill.environments.observations.registry import ENCODERS
from potstill.errors import PotstillError, name_option
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonMapping, JsonObject

ENTRY = "observation_rule"  # of cards and metadata
BLOCK_BYTES = 1 << 25  # memory for the images and the intermediate results that are encoded at once
BYTES = 48  # of it, for each number of an image
PROBES = 2  # random images whose features are stored
PROBED = 8  # of these features
TOLERANCE = 1e-3  # by which stored and computed features may differ, relative to the largest


@check_arguments
@dataclass(frozen=True)
class ObservationRule:
    """How observations become vectors of S numbers: all parts in order, side by side.

    Vectors and stacks of vectors are flattened row by row. Images are encoded, or flattened without an encoder; those
    of ``uint8`` are divided by 255 first. The numbers are float32, and are standardised later, as all states are.

    Args:
        parts: the arrays of an observation, in order.
        encoder: the encoder of all images.
        sha256: the SHA-256 of the weights for each encoded image, if known, joined by commas.
        probe: the first features of random images, by which an encoder is recognised.

    Raises:
        PotstillError: there are no parts, or two of one name, or a part has another width than its array.

    Example:
        >>> rule = ObservationRule.of({"speed": ((2,), "float32"), "goal": ((), "float64")})
        >>> rule.describe(), rule({"speed": np.ones((1, 2)), "goal": np.zeros(1)}).tolist()
        ('speed (2) + goal (1): 3 numbers', [[1.0, 1.0, 0.0]])
    """

    parts: tuple[Part, ...]
    encoder: Encoder | None = None
    sha256: str | None = None
    probe: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) < len(names):
            raise PotstillError(f"ObservationRule.parts: {', '.join(names) or 'none'}: expected different names")
        for part in self.parts:
            encoded = self.encoder is not None and part.is_image
            if part.width < 1 or (part.width != part.size and not encoded):
                raise PotstillError(f"{part.label}, {format_shape(part.shape)}, becomes {part.width} numbers")

    @classmethod
    def of(
        cls, arrays: Mapping[str, tuple[tuple[int, ...], str]], encoder: EncoderLike | None = None
    ) -> ObservationRule:
        """Make a rule for arrays with these shapes and types, in this order.

        Args:
            arrays: shape and type of each array by its name; empty for an observation that is no dictionary.
            encoder: the encoder of images, or a function from images [B, H, W, C] to features [B, F].

        Raises:
            PotstillError: an array is too large to be flattened, there is no image to encode, or the encoder fails.
        """
        made = None if encoder is None else as_encoder(encoder)
        plain = [Part(name, shape, dtype, int(np.prod(shape))) for name, (shape, dtype) in arrays.items()]
        large = [part for part in plain if part.size > MOST_FLAT and (made is None or not part.is_image)]
        if large:
            raise PotstillError(
                f"{large[0].label} has {large[0].size:,} numbers ({format_shape(large[0].shape)}), more than "
                f"{MOST_FLAT:,}: encode images first (potstill convert, "
                f"{name_option('encoder', 'random-conv')}), or leave it out"
            )
        if made is None:
            return cls(tuple(plain))
        if not any(part.is_image for part in plain):
            found = ", ".join(f"{part.label} {part.dtype} {part.shape}" for part in plain)
            raise PotstillError(f"there is no image to encode: {found}")
        rule = cls(tuple(plain), made)
        widths = {part.name: _measure_width(part, made) for part in rule.images}
        parts = tuple(dataclasses.replace(part, width=widths.get(part.name, part.width)) for part in plain)
        return dataclasses.replace(rule, parts=parts, sha256=rule._hash_weights(), probe=rule._compute_probe())

    @property
    def size(self) -> int:
        """S, the number of components."""
        return sum(part.width for part in self.parts)

    @property
    def images(self) -> list[Part]:
        """The parts that are images."""
        return [part for part in self.parts if part.is_image]

    @property
    def changes_values(self) -> bool:
        """Whether the rule does more than to flatten arrays and put them side by side."""
        return self.encoder is not None or any(part.divisor != 1.0 for part in self.parts)

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> Float[np.ndarray, "B S"]:
        """Turn observations, arrays [B, …] by the name of each part, into vectors [B, S]."""
        columns = []
        for part in self.parts:
            values = np.asarray(arrays[part.name])
            encoded = self.encoder is not None and part.is_image
            columns.append(self._encode(part, values) if encoded else part.flatten(values))
        return np.concatenate(columns, axis=1)

    def _encode(self, part: Part, values: np.ndarray) -> Float[np.ndarray, "B F"]:
        assert self.encoder is not None
        rows, found = count_rows_at_once(part), []
        for start in range(0, len(values), rows):
            found.append(self.encoder.encode(part.to_images(values[start : start + rows])))
        if found and found[0].shape[1] != part.width:
            raise PotstillError(
                f"{part.label}: the encoder returns {found[0].shape[1]} features, expected {part.width}"
            )
        return np.concatenate(found) if found else np.zeros((0, part.width), np.float32)

    def _hash_weights(self) -> str | None:
        assert self.encoder is not None
        hashes = [self.encoder.hash_weights(part.image_shape) for part in self.images]
        return ",".join(dict.fromkeys(one for one in hashes if one is not None)) or None

    def _compute_probe(self) -> tuple[float, ...]:
        assert self.encoder is not None
        found = np.concatenate([_encode_probe(part, self.encoder)[:, :PROBED].reshape(-1) for part in self.images])
        return tuple(float(f"{value:.6g}") for value in found)

    def check_encoder(self) -> None:
        """Check that the encoder is the one whose features were stored.

        Raises:
            PotstillError: it is another one, or it is not stored and was not given.
        """
        if self.encoder is None:
            return
        name = self.encoder.describe()
        if isinstance(self.encoder, AbsentEncoder):
            self._compute_probe()  # raises
        if self.sha256 is not None and self._hash_weights() != self.sha256:
            raise PotstillError(f"the weights of the encoder {name} differ from those that encoded the data")
        here, stored = np.array(self._compute_probe()), np.array(self.probe)
        if here.shape != stored.shape or not (np.abs(here - stored) <= TOLERANCE * np.abs(stored).max()).all():
            raise PotstillError(f"the features of the encoder {name} differ from those of the data")

    def with_encoder(self, encoder: EncoderLike) -> ObservationRule:
        """Return the rule with an encoder that it may not contain itself, such as a function.

        Raises:
            PotstillError: the rule encodes nothing, or the data were encoded by another encoder.
        """
        if self.encoder is None:
            raise PotstillError("an encoder is given, but no image of these data was encoded")
        own = as_encoder(encoder)
        known = None if self.sha256 is None else self.sha256  # a file may have moved, but not changed
        given = dataclasses.replace(self, encoder=own, sha256=known)
        given.check_encoder()
        return given

    def describe(self) -> str:
        """Describe the rule in one line."""
        words = []
        for part in self.parts:
            encoded = self.encoder is not None and part.is_image
            words.append(part.describe() + (f" as {part.width} features" if encoded else ""))
        by = "" if self.encoder is None else f", images encoded by {self.encoder.describe()}"
        return f"{' + '.join(words)}{by}: {self.size} numbers"

    def to_json(self) -> JsonObject:
        """Return the rule as JSON values, which :func:`read_rule` reads."""
        parts = []
        for part in self.parts:
            image = {"layout": part.layout, "divisor": part.divisor} if part.is_image else {}
            fields = {"name": part.name, "shape": list(part.shape), "dtype": part.dtype, "width": part.width}
            parts.append({**fields, **image})
        if self.encoder is None:
            return {"parts": parts}
        weights = {} if self.sha256 is None else {"sha256": self.sha256}
        return {"parts": parts, "encoder": self.encoder.to_json() | weights, "probe": list(self.probe)}


def _measure_width(part: Part, encoder: Encoder) -> int:
    """Measure the number of features, with random images.

    Raises:
        PotstillError: the features of an image depend on the others, or on chance.
    """
    images = _draw_probe(part)
    together, alone = encoder.encode(images), encoder.encode(images[:1])
    differs = together.shape[1] != alone.shape[1]
    with np.errstate(invalid="ignore"):  # the reader finds numbers that are not finite
        if differs or (np.abs(together[0] - alone[0]) > TOLERANCE * np.abs(together).max()).any():
            raise PotstillError(
                f"{part.label}: the encoder {encoder.describe()} gives an image other features alone than beside "
                "another one: they must not depend on other images, or on chance"
            )
    return int(together.shape[1])


def _draw_probe(part: Part) -> Float[np.ndarray, "B H W C"]:
    """Draw random images, the same for each shape."""
    return np.random.default_rng(0).random((PROBES, *part.image_shape), np.float32)


def _encode_probe(part: Part, encoder: Encoder) -> Float[np.ndarray, "B F"]:
    """Encode random images, the same for each shape."""
    return encoder.encode(_draw_probe(part))


def count_rows_at_once(part: Part) -> int:
    """Count the rows of a part that are encoded at once."""
    return max(1, BLOCK_BYTES // (BYTES * part.size))


@check_arguments
def read_rule(stored: object, size: int | None = None) -> ObservationRule | None:
    """Read the rule in a card or in metadata; ``None`` if there is none.

    Args:
        stored: the entry, or ``None``.
        size: the number of components of the states that it should make, if known.

    Raises:
        PotstillError: the entry is damaged, its size is another one, or the encoder is unknown.

    Example:
        >>> rule = ObservationRule.of({"speed": ((2,), "float32"), "goal": ((), "float64")})
        >>> read_rule(rule.to_json()) == rule, read_rule(None)
        (True, None)
    """
    if stored is None:
        return None
    try:
        assert isinstance(stored, Mapping)
        parts = tuple(_read_part(part) for part in stored["parts"])
        probe, encoder = tuple(float(value) for value in stored.get("probe", ())), stored.get("encoder")
        weights = None if encoder is None else encoder.get("sha256")
        rule = ObservationRule(parts, None if encoder is None else _read_encoder(encoder), weights, probe)
        if size not in (None, rule.size):
            raise PotstillError(f"it makes {rule.size} numbers, but states have {size}")
        return rule
    except PotstillError as error:
        raise PotstillError(f"the stored rule of observations: {error}") from None
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
        raise PotstillError(f"the stored rule of observations is damaged: {str(stored)[:60]}") from None


def _read_part(stored: JsonMapping) -> Part:
    shape: Sequence[int] = stored["shape"]
    part = Part(stored["name"], tuple(shape), stored["dtype"], stored["width"])
    if part.is_image and (stored["layout"], stored["divisor"]) != (part.layout, part.divisor):
        raise PotstillError(f"{part.label} has the axes {stored['layout']}, expected {part.layout}")
    return part


def _read_encoder(stored: JsonMapping) -> Encoder:
    settings = {key: value for key, value in stored.items() if key not in ("name", "sha256")}
    if stored["name"] == PYTHON:
        return AbsentEncoder(**settings)
    encoder: Encoder = ENCODERS[stored["name"]](**settings)
    return encoder
