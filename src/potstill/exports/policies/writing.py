"""Write a policy in a format for devices or other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.errors import PotstillError
from potstill.exports.policies.base import ExportedPolicy, PolicyFormat
from potstill.exports.writing import check_target, write_complete
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import StrPath


@check_arguments
def write_policy(policy: ExportedPolicy, path: StrPath, form: PolicyFormat, *, force: bool = False) -> Path:
    """Write a policy in a format. The file is written completely or not at all.

    Args:
        policy: the policy to write.
        path: the file to make.
        form: the format, such as ``POLICY_FORMATS["numpy"]``.
        force: replace an existing file.

    Returns:
        ``path``.

    Raises:
        PotstillError: the library of the format is missing, the format cannot hold the policy, its weights are not
            finite, or the path exists or cannot be written.

    Example:
        >>> import tempfile
        >>> import potstill
        >>> from potstill.exports.policies import POLICY_FORMATS, write_policy
        >>> from potstill.exports.policies.base import stack_policies
        >>> teacher = potstill.load_teacher("hopper-medium-replay")
        >>> policy = stack_policies([teacher.policy], {"policy": "teacher"})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     "def act(" in write_policy(policy, f"{folder}/hopper.py", POLICY_FORMATS["numpy"]).read_text()
        True
    """
    path = Path(path)
    form.check_installed()
    form.check_members(policy.members, path)
    if not all(np.isfinite(array).all() for layer in policy.layers for array in layer.values()):
        raise PotstillError(f"{path}: the weights of the policy are not finite, because its training diverged")
    check_target(path, force=force, is_file=True)
    write_complete(form, policy, path)
    return path
