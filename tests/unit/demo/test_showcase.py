"""The choice of what to show, and the documents the demo starts with."""

from __future__ import annotations

from typing import get_args

import pytest

from recsys.demo.categories import OTHER
from recsys.demo.naming import PRICE_BANDS
from recsys.demo.product import Product, catalogue
from recsys.demo.showcase import MIN_TAGGED, DataMode, Sales, Showcase, bad_rules, choose, config, rules
from recsys.domain.config import PopularityConfig, config_faults, config_mistakes, read_config, resolve
from recsys.domain.rules import Rule, read_rules, rules_faults, rules_mistakes


def product(item_id: str, category: str = "bags", *tags: str) -> Product:
    return Product(item_id, f"Item {item_id}", (*tags, PRICE_BANDS[0]), category, 1.0, "2011-01-03T10:00:00Z")


def group(prefix: str, category: str, tag: str, size: int = MIN_TAGGED) -> list[Product]:
    return [product(f"{prefix}{n:02}", category, tag) for n in range(size)]


STARS, EGGS = group("S", "christmas", "star"), group("E", "easter", "egg")
SHOP = [*STARS, *EGGS, *group("O", OTHER, "odd"), *group("F", "garden", "few", MIN_TAGGED - 1)]
SOLD = {
    **{each.item_id: Sales(10, 5) for each in STARS},
    **{each.item_id: Sales(10, 1) for each in EGGS},
    **{each.item_id: Sales(10, 9) for each in SHOP if each.category == OTHER},
    **{each.item_id: Sales(10, 0) for each in SHOP if each.category == "garden"},
    "S03": Sales(40, 20),
}


@pytest.fixture
def showcase() -> Showcase:
    return choose(SHOP, SOLD, "E07")


def test_the_showcase_follows_the_sales(showcase: Showcase) -> None:
    assert showcase.anchor.item_id == "E07"
    assert showcase.bestseller.item_id == "S03"
    assert showcase.in_season.category == "christmas"  # not other, which sold better
    assert showcase.in_season.item_id == "S03"
    assert showcase.tag_out_of_season == "egg"  # not few, which is on too few items


def test_ties_go_to_the_smaller_id() -> None:
    shop = [product("20"), product("100"), product("3")]
    chosen = choose(shop, {each.item_id: Sales(1, 0) for each in shop}, None)
    assert chosen.bestseller.item_id == chosen.anchor.item_id == "100"


def test_the_bestsellers_own_tags_are_not_blocked() -> None:
    shop = [*group("A", "bags", "old"), *group("B", "toys", "new")]
    sold = {each.item_id: Sales(10, 0 if each.category == "bags" else 5) for each in shop} | {"A00": Sales(99, 0)}
    assert choose(shop, sold, None).tag_out_of_season == "new"


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to show"):
        choose([], {}, None)


@pytest.mark.parametrize("mode", get_args(DataMode))
def test_config_is_a_config_document(mode: DataMode) -> None:
    document = config(mode)
    assert [*config_faults(document), *config_mistakes(document)] == []
    home, pdp = (resolve(read_config(document), surface) for surface in ("home", "pdp"))
    assert home.enable_rules
    assert home.limits.max_pins == 3
    assert (home.diversity.category_cap, pdp.diversity.category_cap) == (4, None)


def test_the_decay_of_popularity_is_the_configs_only_where_it_counts() -> None:
    assert read_config(config("tables")).popularity == PopularityConfig(half_life_days=30)
    assert read_config(config("artifacts")).popularity is None


def test_rules_are_rules_documents(showcase: Showcase) -> None:
    for document in (rules(showcase), bad_rules(showcase)):
        assert [*rules_faults(document), *rules_mistakes(document)] == []
    assert [rule.action for rule in read_rules(rules(showcase))] == ["pin", "boost", "block"]


def blocked(item: Product, document: list[Rule]) -> bool:
    tags = {*item.tags, f"category:{item.category}"}
    return any(rule.action == "block" and rule.target_tag() in tags for rule in document)


def test_rules_leave_a_home_list_and_bad_rules_empty_it(showcase: Showcase) -> None:
    good, bad = read_rules(rules(showcase)), read_rules(bad_rules(showcase))
    assert not blocked(showcase.bestseller, good)
    assert [each for each in SHOP if not blocked(each, good)]
    assert not [each for each in SHOP if not blocked(each, bad)]
    assert {rule.surface for rule in bad[len(good) :]} == {"home"}
    assert bad[: len(good)] == good, "the bad change only adds"


def test_catalogue_keeps_the_order_of_its_rows() -> None:
    made = catalogue([("2", "RED MUG", 12.0, "2011-01-03T10:00:00Z"), ("1", "BLUE BAG", 0.5, "2011-01-04T10:00:00Z")])
    assert made == [
        Product("2", "Red Mug", ("price:over-10",), "kitchen", 12.0, "2011-01-03T10:00:00Z"),
        Product("1", "Blue Bag", ("price:under-2",), "bags", 0.5, "2011-01-04T10:00:00Z"),
    ]
