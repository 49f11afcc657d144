"""The card of a published distillate: the header that the Hub reads, the files, how to use them, and their origin."""

from __future__ import annotations

from collections.abc import Mapping

from potstill.distillate import Distillate
from potstill.exports.card import CONFIGS, LICENCE, TAGS, format_facts, format_header
from potstill.exports.hub.place import CROISSANT, DISTILLATE, PAIRS, UNKNOWN, HubPlace
from potstill.exports.metadata import NOTE, describe_model, describe_source, find_name
from potstill.exports.metadata import join_lines as join

CARD = """\
{head}

{pairs} (state, action) pairs, distilled from an offline reinforcement learning dataset. A student network
that is trained on them by behavioural cloning imitates {model}.

**{note}**

| file | content |
|---|---|
| `{distillate}` | pairs, normaliser, action bounds, recipe and metadata, as potstill reads them |
| `{text}` | the same pairs, one JSON object per line: `states` ({states} numbers in the units of the environment, not standardised) and `actions` ({actions} {unit}){weights} |
| `{croissant}` | these files, described in [Croissant 1.0](https://docs.mlcommons.org/croissant/) |

## How to train a student

```python
import potstill  # pip install potstill
from huggingface_hub import hf_hub_download

distillate = potstill.load(hf_hub_download("{repo}", "{distillate}", repo_type="dataset"))
policy = distillate.train_student(seed=0)  # observation in, action out
```

The pairs are distilled for the student recipe in the file: {recipe}. Other students have not been shown to
reach the same returns. Without potstill, `datasets.load_dataset("{repo}")` reads the pairs, and
`{distillate}` holds what scales them: `state_mean`, `state_scale`, `action_low` and `action_high`.
{scores}
## Source

{facts}

The command that made them:

    {command}

{licence} The licence of the original dataset may also apply
to data derived from it.
"""  # noqa: E501

SCORES = """
## Scores

Measured by potstill after the distillation: mean ± standard deviation.

| of | score |
|---|---|
{rows}
"""


def format_hub_card(distillate: Distillate, place: HubPlace, scores: Mapping[str, str]) -> str:
    """Format the card of a distillate: Markdown with the YAML header that the Hub reads.

    Args:
        distillate: the pairs.
        place: where they are published.
        scores: the measured scores, by what was scored; may be empty.
    """
    metadata, discrete = distillate.metadata, distillate.action_bounds.discrete
    title = f"{find_name(metadata['dataset'])}, distilled to {len(distillate)} pairs"
    tags = (*TAGS, "croissant")
    chosen = f"## Licence\n\n`{place.licence}`, chosen by the publisher."
    rows = "\n".join(f"| {name} | {score} |" for name, score in scores.items())
    return CARD.format(
        head=format_header(title, len(distillate), tags, CONFIGS.format(file=PAIRS), place.licence),
        pairs=len(distillate),
        model=describe_model(metadata),
        note=NOTE,
        distillate=DISTILLATE,
        text=PAIRS,
        croissant=CROISSANT,
        states=distillate.states.shape[1],
        actions=distillate.actions.shape[1],
        unit="probabilities of the actions 0, 1, 2, …" if discrete else "numbers in the units of the environment",
        weights="" if distillate.weights is None else ", with the `weights` of the pairs in the loss",
        repo=place.repo,
        recipe=", ".join(f"{name} {value}" for name, value in distillate.recipe.to_metadata().items()),
        scores=SCORES.format(rows=rows) if rows else "",
        facts=format_facts(describe_source(distillate)),
        command=join(distillate.command),
        licence=LICENCE if place.licence == UNKNOWN else chosen,
    )
