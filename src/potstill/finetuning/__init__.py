"""Fine-tuning in the environment: TD3 that starts from a student, with the distillate as a constraint that fades.

:func:`make_agent` makes the agent of stable-baselines3 from a policy and a distillate. :class:`FineTuning` has its
settings. :func:`copy_policy` copies the actor back into a :class:`potstill.Policy`. ``potstill finetune`` does all this
and evaluates the policy on the way. This package needs the extra ``collect``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.finetuning.agent import copy_policy, make_agent
    from potstill.finetuning.settings import FineTuning

__all__ = ["FineTuning", "copy_policy", "make_agent"]

__getattr__ = import_lazily(__name__, {"FineTuning": "settings", "copy_policy": "agent", "make_agent": "agent"})


def __dir__() -> list[str]:
    return sorted(__all__)
