"""Experiments: a keyed hash decides who sees which variant, so every replica decides alike and nothing is stored."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from recsys.domain.config import Experiment, Variant
    from recsys.domain.recommend import User

_BITS = 53
"""As many as a float holds exactly."""


def subject_of(user: User) -> str:
    """Whom an assignment belongs to: the user, else the anonymous visitor, else the session."""
    return user.user_id or user.anonymous_id or user.session_id or ""


def concerns(experiment: Experiment, surface: str, segment: str, now: datetime) -> bool:
    """Whether an experiment runs here and now; its window is half-open."""
    here = experiment.surface in (None, surface) and experiment.segment in (None, segment)
    started = experiment.starts_at is None or experiment.starts_at <= now
    return here and started and (experiment.ends_at is None or now < experiment.ends_at)


def assign(experiment: Experiment, subject: str) -> Variant | None:
    """The variant of a subject; None: the subject is outside the experiment's share of the traffic.

    HMAC-SHA256 of experiment and subject under the salt gives a uniform number in [0, 1) for the traffic share and,
    independently of it, one for the variant: raising ``traffic`` moves nobody from one variant to another.
    """
    if _uniform(experiment, "traffic", subject) >= experiment.traffic:
        return None
    point = _uniform(experiment, "variant", subject) * sum(variant.weight for variant in experiment.variants)
    reached = 0.0
    weighty = [variant for variant in experiment.variants if variant.weight > 0]
    for variant in weighty:
        reached += variant.weight
        if point < reached:
            return variant
    return weighty[-1]


def _uniform(experiment: Experiment, purpose: str, subject: str) -> float:
    key = (experiment.salt or experiment.id).encode()
    digest = hmac.digest(key, f"{purpose}\0{experiment.id}\0{subject}".encode(), hashlib.sha256)
    return (int.from_bytes(digest[:8]) >> (64 - _BITS)) * 2.0**-_BITS
