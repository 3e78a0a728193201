"""Titles, tags, price bands and categories, from text alone."""

from __future__ import annotations

import pytest

from recsys.demo.categories import CATEGORIES, OTHER, category
from recsys.demo.naming import MIN_ITEMS, PRICE_BANDS, describing_tags, price_band, title, words


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "White Hanging Heart T-Light Holder"),
        ("SET OF 3  CAKE TINS ", "Set of 3 Cake Tins"),
        ("LUNCH BAG  BLACK SKULL.", "Lunch Bag Black Skull"),
        ("PAPER CHAIN KIT 50'S CHRISTMAS", "Paper Chain Kit 50's Christmas"),
        ("BAG 125g SWIRLY MARBLES", "Bag 125g Swirly Marbles"),
        ("3 TRADITIONAl BISCUIT CUTTERS SET", "3 Traditional Biscuit Cutters Set"),
        ("RED TOADSTOOL LED NIGHT LIGHT", "Red Toadstool LED Night Light"),
        ("3D DOG PICTURE PLAYING CARDS", "3D Dog Picture Playing Cards"),
        ("KEY FOB , SHED", "Key Fob, Shed"),
        ("FOLK ART GREETING CARD,pack/12", "Folk Art Greeting Card, Pack/12"),
        ('LETTER "A" BLING KEY RING', 'Letter "A" Bling Key Ring'),
        ("FAIRY CAKES NOTEBOOK A6 SIZE", "Fairy Cakes Notebook A6 Size"),
        ("A PRETTY THANK YOU CARD", "A Pretty Thank You Card"),
    ],
    ids=lambda text: text,
)
def test_title_reads_like_a_shop_window(description: str, expected: str) -> None:
    assert title(description) == expected


def test_words_are_lower_case_once_each_and_without_stop_words() -> None:
    assert words("Set of 2 Children's T-Light Mugs, Mugs with Dog A4") == ["childrens", "t-light", "mugs", "dog"]


def test_tags_are_words_that_are_neither_rare_nor_everywhere() -> None:
    often = [f"Gadget Mug {letter}" for letter in "ABCDEFGHIJ"]
    rare = ["Gadget Kettle"] * (MIN_ITEMS - 1)
    filling = ["Gadget"] * 10
    tags = describing_tags(often + rare + filling)
    assert tags[0] == ["mug"]
    assert tags[len(often)] == []  # nine kettles are too few, and a gadget is everything


def test_tags_are_the_five_most_shared_words_ties_by_code_point() -> None:
    titles = ["Fox Elk Dog Cat Bee Ape"] * 10 + ["Fox"] + ["Nothing"] * 19
    assert describing_tags(titles)[0] == ["fox", "ape", "bee", "cat", "dog"]


def test_a_colour_comes_last_and_never_alone() -> None:
    titles = ["Pink Mug"] * 10 + ["Pink"] * 2 + ["Nothing"] * 20
    tags = describing_tags(titles)
    assert tags[0] == ["mug", "pink"]
    assert tags[10] == []


def test_tags_of_nothing_are_nothing() -> None:
    assert describing_tags([]) == []


@pytest.mark.parametrize(
    ("price", "band"),
    [
        (0.04, "price:under-2"),
        (1.99, "price:under-2"),
        (2.0, "price:2-5"),
        (5.0, "price:5-10"),
        (9.99, "price:5-10"),
        (10.0, "price:over-10"),
        (295.0, "price:over-10"),
    ],
    ids=str,
)
def test_price_band_holds_its_lower_bound(price: float, band: str) -> None:
    assert price_band(price) == band
    assert band in PRICE_BANDS


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Jumbo Bag Red Retrospot", "bags"),
        ("Jumbo Bag 50's Christmas", "christmas"),
        ("Easter Tin Bunny Bouquet", "easter"),
        ("Rabbit Night Light", "lights"),
        ("Set of 3 Regency Cake Tins", "storage"),
        ("Vanilla Scent Candle in Jewelled Box", "lights"),
        ("Cream Heart Card Holder", "stationery"),
        ("Heart of Wicker Small", "decoration"),
        ("Children's Circus Parade", "toys"),
        ("Inflatable Political Globe", "toys"),
        ("Porcelain Rose Small", OTHER),
    ],
    ids=lambda text: text,
)
def test_category_goes_by_season_then_head_noun_then_theme(name: str, expected: str) -> None:
    assert category(name) == expected
    assert expected in CATEGORIES


def test_other_is_the_last_category() -> None:
    assert CATEGORIES[-1] == OTHER
    assert len(set(CATEGORIES)) == len(CATEGORIES)
