"""The photographs that contacts send: a landscape, another one for each seed, drawn here. Pure."""

import math
import struct
import zlib
from random import Random

WIDTH, HEIGHT = 320, 200

_SKIES = (((38, 70, 140), (250, 190, 130)), ((120, 190, 235), (240, 246, 250)), ((88, 60, 130), (250, 150, 140)))
_HILLS = (((96, 130, 120), (52, 92, 82), (24, 56, 52)), ((140, 170, 150), (86, 130, 96), (44, 86, 60)))

Colour = tuple[int, int, int]


def landscape(seed: int) -> bytes:
    """A PNG of a sun above hills; the same seed draws the same one."""
    random = Random(seed)  # noqa: S311 - a picture, not a secret
    high, low = random.choice(_SKIES)
    sun = (random.randrange(60, WIDTH - 60), random.randrange(55, 95), random.randrange(16, 26))
    ranges = [_ridge(random, 105 + 28 * index, 20 - 4 * index) for index in range(3)]
    columns = list(zip(*ranges, strict=True))
    hills = random.choice(_HILLS)
    rows = bytearray()
    for y in range(HEIGHT):
        sky = _between(high, low, y / 130)
        row = bytearray(bytes(sky) * WIDTH)
        _draw_sun(row, y, sun)
        for x, ridges in enumerate(columns):
            nearest = sum(y >= ridge for ridge in ridges)
            if nearest:
                row[x * 3 : x * 3 + 3] = bytes(hills[nearest - 1])
        rows += b"\0" + row
    return _png(bytes(rows))


def _ridge(random: Random, height: int, swing: int) -> list[int]:
    first, second = random.uniform(0, 6), random.uniform(0, 6)
    return [int(height + swing * math.sin(x / 47 + first) + swing / 2 * math.sin(x / 19 + second)) for x in range(WIDTH)]


def _draw_sun(row: bytearray, y: int, sun: tuple[int, int, int]) -> None:
    x, middle, radius = sun
    if abs(y - middle) < radius:
        half = int(math.sqrt(radius**2 - (y - middle) ** 2))
        row[(x - half) * 3 : (x + half) * 3] = b"\xff\xf4\xd6" * (2 * half)


def _between(high: Colour, low: Colour, part: float) -> Colour:
    red, green, blue = (round(a + (b - a) * min(part, 1)) for a, b in zip(high, low, strict=True))
    return red, green, blue


def _png(rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
