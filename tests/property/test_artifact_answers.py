"""What is served from artifacts is what is worked out offline from the same facts, item by item and to the last bit."""

from __future__ import annotations

from hypothesis import given, settings

from recsys.artifacts.codec import decode
from recsys.ranking.popularity import rank_popularity
from recsys.ranking.state import compose_surface
from recsys.serving.artifact_signals import build_from_artifacts
from tests.support.artifact_case import artifacts_of, as_publishable
from tests.support.cases import Case, cases
from tests.support.surfaces import ask, ask_for, rules_of, settings_of


@given(case=cases(known_users=True))
@settings(max_examples=300, deadline=None)
def test_the_answer_from_artifacts_is_that_of_the_reference(case: Case) -> None:
    case = as_publishable(case)
    artifacts = {kind: decode(kind, content) for kind, content in artifacts_of(case).items()}
    signals, config = build_from_artifacts("home", artifacts, None), settings_of(case.config)
    popularity = rank_popularity(signals, config.popularity.half_life_days)
    state = compose_surface(signals, popularity, config, rules_of(case.said))

    found = ask(state, **case.wish) if case.subject is None else ask_for(case.subject, state, **case.wish)
    assert [(each.item_id, each.score) for each in found.items] == case.reference().answer()
