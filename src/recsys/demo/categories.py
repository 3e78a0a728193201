"""A coarse category for a product, read from the nouns in its title."""

from __future__ import annotations

import re
from typing import Final

OTHER: Final = "other"

_SEASONS: Final = {
    "christmas": "advent bauble baubles christmas noel reindeer santa snowflake snowflakes snowman snowmen xmas",
    "easter": "easter",
}
"""A season decides alone: a Christmas bag is bought for Christmas."""

_NOUNS: Final = {
    "bags": """
        backpack bag bags basket baskets handbag luggage purse rucksack satchel shopper shoppers suitcase tote wallet
        washbag
    """,
    "bathroom": "balm flannel lip makeup manicure perfume shower soap sponge toothbrush",
    "decoration": """
        bell bells block clock decoration decorations doorsign doorstop ducks frame frames gnome magnet magnets mirror
        mirrors ornament ornaments paperweight photoframe picture plaque print sculpture sign statue thermometer tile
        tiles vase windchime wreath
    """,
    "garden": """
        birdhouse bucket deckchair doormat flowerpot gardener gardeners greenhouse hammock herb herbs parasol planter
        planters pot pots seed seeds spade trellis trowel umbrella watering wheelbarrow windmill windsock
    """,
    "jewellery": """
        anklet bangle bangles bracelet bracelets brooch choker earring earrings hairclip hairclips hairslide jewellery
        keyring lariat neckl necklace necklaces pendant tiara tiaras
    """,
    "kitchen": """
        apron baking beaker beakers biscuit bottle bottles bowl bowls bread breakfast butter cake cakes cakestand
        cannister chopping chopsticks coaster coasters cocktail coffee colander cook cookie cookies cooking corkscrew
        cosy cup cups cutlery cutter cutters dinner dish flask fork glasses goblet grinder jam jar jars jelly jug knife
        ladle milk mould moulds mug mugs napkin napkins oven pan pantry placemat placemats plate plates platter popcorn
        ramekin ramekins recipe saucer snack spoon spoons squeezer straws sugar tea teacup teapot teaspoons toast
        toastrack tray trays tumbler warmer whisk
    """,
    "lights": """
        candelabra candle candleholder candlepot candles candlestick chandelier incense lamp lampshade lampshades
        lantern lanterns light lightbulb lights nightlight t-light t-lights tealight torch votive
    """,
    "party": "balloon balloons bunting confetti doilies garland streamer",
    "stationery": """
        blackboard book books calendar card cards chalk chalkboard clipboard crayons envelope envelopes eraser erasers
        journal memo memoboard notebook notebooks notelets notepad passport pen pencil pencils pens postcard ribbon
        ribbons ruler sharpener sketchbook stamp stamps stationery stencil sticker stickers tag tags tape tapes tissue
        tissues wrap writing
    """,
    "storage": """
        bin box boxes cabinet chest crate cupboard drawer drawers hanger hangers hook hooks knob organiser rack shelf
        shelves storage tidy tin tins trunk
    """,
    "textiles": """
        blanket curtain cushion cushions fabric filler gloves hat hottie knitting pillow quilt rug scarf sewing slipper
        slippers tablecloth throw towel towels
    """,
    "toys": """
        badges bingo clay doll dolls domino dominoes game games gliders harmonica helicopter inflatable jigsaw ludo
        marbles plasters playhouse puppet puppets puzzle robot rocket rocking skipping skittles snap soldier soldiers
        teddy toy toys whistle yo-yo
    """,
}
"""What an item is."""

_THEMES: Final = {
    "bathroom": "bath bathroom lavender scent scented toilet",
    "decoration": """
        alphabet angel art cherub chick dove fairy feather feathers flower flowers hanging heart hearts hen letter
        letters mirrored rabbit star stars wall word
    """,
    "garden": "bird bunny butterfly door garden outdoor picnic plant",
    "jewellery": "bead beaded beads charm charms diamante hair murano ring rings",
    "kitchen": "egg food glass hot kitchen lunch wine",
    "party": "birthday doily party",
    "stationery": "gift paper",
    "storage": "case cases stand",
    "textiles": "cotton crochet knitted lace patchwork",
    "toys": "babushka childrens childs circus dinosaur dolly feltcraft kids mobile spaceboy spinning toadstool",
}
"""What an item is about or made of: asked only when no noun is known, and less telling."""

CATEGORIES: Final = (*sorted({*_SEASONS, *_NOUNS, *_THEMES}), OTHER)
"""Every category there is."""

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
_TAIL = re.compile(r" (?:with|in|for) .*")


def _by_word(table: dict[str, str]) -> dict[str, str]:
    return {word: category for category, words in table.items() for word in words.split()}


_SEASON_OF, _NOUN_OF, _THEME_OF = _by_word(_SEASONS), _by_word(_NOUNS), _by_word(_THEMES)


def category(title: str) -> str:
    """The one of ``CATEGORIES`` for a title: by season, else by its head noun, else by theme, else ``other``.

    In English the head noun comes last (a *cake tin* is a tin), unless a tail follows: ``Candle in Jewelled Box``.
    """
    text = title.lower().replace("'", "")
    for known, of in (
        (_SEASON_OF, text),
        (_NOUN_OF, _TAIL.sub("", text)),
        (_NOUN_OF, text),
        (_THEME_OF, text),
    ):
        found = [known[word] for word in _WORD.findall(of) if word in known]
        if found:
            return found[-1]
    return OTHER
