"""What is said: every sentence once, and no content word in two of the splits."""

import itertools
import math

from talkers.settings import Settings, stream

OPENINGS = ("", "yesterday", "in the end", "once again", "they say that", "last week")
NUMBERS = ("two", "three", "five", "seven", "nine", "twelve")

# Words a split has of its own, in the order train, dev, test.
ADJECTIVES = (
    "quiet brave clever tired honest lonely gentle patient cheerful stubborn "
    "careful famous hungry modest nervous polite proud rusty shiny wooden",
    "curious friendly heavy lucky narrow orange silent tiny",
    "broken crooked dusty elegant faded golden hollow jolly muddy purple sleepy warm",
)
PERSONS = (
    "farmer teacher sailor baker doctor gardener painter soldier tailor banker "
    "hunter butcher singer driver lawyer miller pilot porter shepherd writer",
    "barber captain dancer engineer jeweller nurse plumber widow",
    "carpenter drummer fisherman grocer historian juggler librarian mechanic "
    "optician poet ranger weaver",
)
VERBS = (
    "carried found washed sold painted counted borrowed followed opened moved "
    "repaired gathered admired hid",
    "collected dropped ignored lifted noticed traded",
    "bought covered delivered examined measured polished returned wanted",
)
THINGS = (
    "lamps baskets candles letters bottles blankets hammers mirrors pictures ropes "
    "boxes tickets ladders buttons spoons clocks barrels coats benches stones",
    "apples carpets feathers kettles needles pillows saddles wagons",
    "anchors bells chairs diamonds envelopes flutes goblets helmets jackets keys "
    "magnets pumpkins",
)
PLACES = (
    "across the bridge;behind the church;near the harbour;under the old oak;"
    "beside the river;before breakfast;at the station;on the hill;in the cellar;"
    "after the storm;along the beach;inside the tower;without a word;by moonlight",
    "at the airport;below the cliff;during lunch;for the museum;in a hurry;"
    "outside the palace",
    "around the lake;before sunset;beyond the village;from the attic;"
    "in the courtyard;on the island;over the weekend;through the forest",
)


def parts(split: int) -> list[tuple[str, ...]]:
    """The choices at each place of a sentence of train (0), dev (1) or test (2)."""
    words = [tuple(kind[split].split()) for kind in (ADJECTIVES, PERSONS, VERBS)]
    things = tuple(THINGS[split].split())
    places = tuple(PLACES[split].split(";"))
    return [OPENINGS, *words, NUMBERS, things, places]


def sentence(split: int, number: int) -> str:
    """Sentence `number` of a split: another number gives another sentence."""
    chosen = []
    for choices in parts(split):
        number, digit = divmod(number, len(choices))
        chosen.append(choices[digit])
    opening, *rest = chosen
    text = "{} the {} {} {} {} {} {}.".format(opening, *rest).strip()
    return text[0].upper() + text[1:]


def draw(settings: Settings, split: int):
    """An endless iterator over different sentences of a split, in random order."""
    total = math.prod(map(len, parts(split)))
    rng = stream(settings, "texts", split)
    start, step = int(rng.integers(total)), int(rng.integers(total))
    while math.gcd(step, total) != 1:
        step += 1
    return (
        sentence(split, (start + step * count) % total) for count in itertools.count()
    )
