"""Named tuples whose fields are checked when a user makes them, but not when JAX rebuilds them."""

from __future__ import annotations

from typing import Any, TypeVar

from jax.tree_util import GetAttrKey, register_pytree_with_keys

Kind = TypeVar("Kind", bound=type)


def register_named_tuple(kind: Kind) -> Kind:
    """Decorate a named tuple so that JAX rebuilds its objects without calling the class.

    Inside :func:`jax.tree.map` and :func:`jax.vmap`, the fields of a named tuple are axes, shardings or placeholders
    as well as arrays. :func:`~potstill.runtime.arguments.check_arguments` would refuse them.
    """

    def flatten_with_keys(values: Any) -> tuple[list[tuple[GetAttrKey, Any]], None]:
        return [(GetAttrKey(name), value) for name, value in zip(values._fields, values, strict=True)], None

    def unflatten(_: None, values: Any) -> Any:
        return tuple.__new__(kind, values)

    register_pytree_with_keys(kind, flatten_with_keys, unflatten, lambda values: (tuple(values), None))
    return kind
