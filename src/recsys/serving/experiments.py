"""Which variants of a tenant's experiments a request gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recsys.domain.errors import Fault, Unprocessable
from recsys.domain.experiment import assign, concerns, subject_of
from recsys.domain.recommend import ExperimentChoice
from recsys.domain.validation import did_you_mean

if TYPE_CHECKING:
    from datetime import datetime

    from recsys.domain.config import Config, Experiment, Variant
    from recsys.domain.recommend import RecommendRequest


@dataclass(frozen=True, slots=True)
class Chosen:
    """The variants to lay over the config, in document order, and the assignments to tell of."""

    variants: tuple[Variant, ...] = ()
    assignments: list[ExperimentChoice] = field(default_factory=list)


NOBODY_CHOSEN = Chosen()


def choose_variants(config: Config, request: RecommendRequest, now: datetime) -> Chosen:
    """Assign the request's subject in every experiment that runs on its surface.

    An assignment that the caller brings holds instead of ours, whatever traffic share and window say; one for an
    experiment that the config does not have is only told of.

    Raises:
        Unprocessable: the caller's variant is none of its experiment.
    """
    wish = request.experiment
    if not config.experiments:
        return NOBODY_CHOSEN if wish is None else Chosen(assignments=[wish])
    subject = subject_of(request.user)
    variants, assignments = [], []
    for experiment in config.experiments:
        if wish is not None and wish.id == experiment.id:
            variant: Variant | None = _wished(experiment, wish.variant)
        elif concerns(experiment, request.surface, request.segment, now):
            variant = assign(experiment, subject)
        else:
            continue
        if variant is not None:
            variants.append(variant)
            assignments.append(ExperimentChoice(id=experiment.id, variant=variant.name))
    if wish is not None and all(experiment.id != wish.id for experiment in config.experiments):
        assignments.append(wish)
    return Chosen(tuple(variants), assignments)


def _wished(experiment: Experiment, name: str) -> Variant:
    named = {variant.name: variant for variant in experiment.variants}
    if name not in named:
        detail = f"The experiment {experiment.id!r} has no variant {name!r}; it has {', '.join(named)}."
        raise Unprocessable(faults=[Fault("/experiment/variant", detail, did_you_mean(name, named))])
    return named[name]
