"""Hostile inputs for the fuzz of the parsers: bytes, mutated files, made-up grammar.

An input is a function of (seed, name of the parser, number), so any can be made again.
"""

import random
import re
import struct

from hypothesis import strategies as st

NUMBERS = (
    "0", "-0", "-1", "1", "7", "2147483647", "2147483648", "4294967295",
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "1" * 25,
    "9" * 400, "9" * 5000, "1e308", "1e309", "-1e999", "1e-999", "nan", "NaN", "inf",
    "-inf", "-Infinity", "0x10", "0x" + "f" * 5000, "1_000", "007", "1.", ".5", ".",
    "+3", "--3", "1e", "0b11", "1:30:00", "٣", "¾", "1,5", "-5:3", "5:-3",
)  # fmt: skip
ODD = tuple(
    text.encode()
    for text in (
        "\0", "\r", "\r\n", "\n", "\n\n", "\t", " ", "  ", "\v", "\f", "\x1b[2J",
        "\x1c",
        "\x7f", "\x85", "\xa0", "\u2003", "\u2028", "\ufeff", "\u202e", "é", "e\u0301",
        "\U0001f600", "|", "| ", ":", "[", "]", "[0:1]", "[:,0:1]", ":5", "`id`",
        "$(id)",
        "${HOME}", "; id", "&& id", "../../x", "-", "--", "-rf", "~", "/", "/dev/null",
        "*", "#", "'", '"', "\\", "%s", "%n", "{}", "{0}", "<", ">", "=", "!", "&a",
        "*a",
        "!!python/name:os.system ", "!!int ", "!!float ", "!!timestamp ", "!!bool ",
        "!!binary ", "!!set ", "!!omap ", "!!str ", "? ", "<<: ", "--- ", "...\n",
        "%YAML ",
        "- ", "null", "true", "\\u0000", "\\ud800", "__proto__", "PKL", "JOB",
    )
)  # fmt: skip
ODD += (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xff\xfe", b"\x80\x04\x95", b"\0B", b"\4")
INT32 = tuple(
    struct.pack("<i", value)
    for value in (0, 1, -1, 2**31 - 1, -(2**31), 2**30, 65536, 2**24, 12, 0x7FFFFFF0)
)
FLOATS = tuple(
    struct.pack("<f", value)
    for value in (float("nan"), float("inf"), float("-inf"), 3e38, 1e-45, -0.0)
)
LONG = (100, 5000, 70000)


def random_bytes(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 2, 4, 8, 16, 40, 100, 400)))


def random_words(rng: random.Random, tokens: tuple[bytes, ...]) -> bytes:
    """Words of the grammar with odd ones between them, in no order."""
    parts = []
    for _ in range(rng.randint(0, 24)):
        kind = rng.random()
        if kind < 0.75 and tokens:
            parts.append(rng.choice(tokens))
        elif kind < 0.87:
            parts.append(rng.choice(NUMBERS).encode())
        else:
            parts.append(rng.choice(ODD))
    return b"".join(parts)


def _span(rng: random.Random, data: bytes) -> tuple[int, int]:
    first = rng.randint(0, len(data))
    longest = rng.choice((1, 4, 16, 64, len(data)))
    return first, min(len(data), first + rng.randint(0, longest))


def _flip(rng, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if changed:
            place = rng.randrange(min(len(changed), rng.choice((16, 64, 10**9))))
            changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng, data: bytes) -> bytes:
    first, last = _span(rng, data)
    return rng.choice((data[:first], data[first:], data[:first] + data[last:]))


def _double(rng, data: bytes) -> bytes:
    first, last = _span(rng, data)
    times = rng.choice((2, 2, 2, 3, 50))
    return data[:first] + data[first:last] * times + data[last:]


def _move(rng, data: bytes) -> bytes:
    first, last = _span(rng, data)
    rest = data[:first] + data[last:]
    place = rng.randint(0, len(rest))
    return rest[:place] + data[first:last] + rest[place:]


def _insert(rng, data: bytes) -> bytes:
    first, last = _span(rng, data)
    odd = rng.choice((*ODD, b"", rng.randbytes(3)))
    return data[:first] + odd + data[rng.choice((first, last)) :]


def _number(rng, data: bytes) -> bytes:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not found:
        return _insert(rng, data)
    match = rng.choice(found)
    number = rng.choice(NUMBERS).encode()
    return data[: match.start()] + number + data[match.end() :]


def _word(rng, data: bytes) -> bytes:
    """One word for another of the same text."""
    found = list(re.finditer(rb"\S+", data[:4000]))
    if len(found) < 2:
        return _flip(rng, data)
    one, other = rng.choice(found), rng.choice(found)
    return data[: one.start()] + other[0] + data[one.end() :]


def _integer(rng, data: bytes) -> bytes:
    place = rng.randint(0, min(len(data), rng.choice((64, 10**9))))
    return data[:place] + rng.choice(INT32 + FLOATS) + data[place + 4 :]


def _lines(rng, data: bytes) -> bytes:
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(6)
    if kind == 0:
        lines.insert(other, lines[one])
    elif kind == 1:
        del lines[one]
    elif kind == 2:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 3:
        lines = [line + b"\r" for line in lines]
    elif kind == 4:
        lines[one] = lines[one].replace(b" ", rng.choice(ODD))
    else:
        lines[one] += b" " + lines[other]
    return b"\n".join(lines)


def _stretch(rng, data: bytes) -> bytes:
    first, _ = _span(rng, data)
    piece = rng.choice(
        (data[first : first + 1], rng.choice(ODD), b"x", b"[", b"{", b"1")
    )
    return data[:first] + piece * rng.choice(LONG) + data[first:]


_COMMON = (_flip, _cut, _double, _move, _insert, _number, _word, _lines)
TEXT_MUTATIONS = _COMMON * 6 + (_stretch,)
BINARY_MUTATIONS = (_flip, _cut, _double, _move, _insert, _integer, _integer) * 6 + (
    _stretch,
)


def mutate(rng, seeds: tuple[bytes, ...], mutations) -> bytes:
    """A valid file, changed once or a few times."""
    data = rng.choice(seeds)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        data = rng.choice(mutations)(rng, data)
        if len(data) > 2**20:
            data = data[: 2**20]
    if rng.random() < 0.02:
        data = rng.choice(seeds) + data
    return data


def make(seed: int, parser, number: int) -> bytes:
    """Input `number` of a parser: bytes (1 of 10), grammar (2 of 10), or mutations."""
    rng = random.Random(f"{seed} {parser.name} {number}")
    if number < len(parser.seeds):
        return parser.seeds[number]
    kind = number % 10
    if kind == 0:
        head = rng.choice((b"", b"", rng.choice(parser.tokens)))
        return head + random_bytes(rng)
    if kind in (1, 2):
        return random_words(rng, parser.tokens)
    mutations = BINARY_MUTATIONS if parser.binary else TEXT_MUTATIONS
    return mutate(rng, parser.seeds, mutations)


def strategy(parser) -> st.SearchStrategy[bytes]:
    """What hypothesis draws for a parser: words of its grammar, numbers, any text."""
    number = st.integers() | st.floats() | st.sampled_from(NUMBERS)
    word = (
        st.sampled_from(parser.tokens)
        | st.binary(max_size=8)
        | st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass"))
        | number.map(lambda value: str(value).encode())
    )
    words = st.lists(word, max_size=20).map(b"".join)
    tails = st.tuples(st.sampled_from(parser.seeds), words).map(b"".join)
    return words | tails | st.binary(max_size=60)
