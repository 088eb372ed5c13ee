"""
Draws the speeds as a plot: a row per peer, a logarithmic axis, two marks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import attrs

_ROW, _TOP, _LEFT, _WIDTH, _RIGHT = 30, 58, 330, 480, 40
_DECADES: Final = (2, 6)
_OURS, _THEIRS, _LINE, _TEXT = "#0b6e4f", "#7a7f87", "#d5d8dc", "#22262b"
_LOOKS: Final = f'font-family="system-ui, sans-serif" font-size="13" fill="{_TEXT}"'


@attrs.frozen(kw_only=True)
class Row:
    """
    A peer's two speeds in items per second; `None` where there is none.
    """

    title: str
    ours: bool
    per_item: float | None
    per_fifty: float | None


def svg(title: str, rows: Sequence[Row]) -> str:
    """
    Return the plot.
    """
    width, height = _LEFT + _WIDTH + _RIGHT, _TOP + _ROW * len(rows) + 44
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {_LOOKS} role="img">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            f'<text x="12" y="22" font-size="15" font-weight="600">{escape(title)}</text>',
            *_legend(),
            *_axis(len(rows)),
            *(line for number, row in enumerate(rows) for line in _marks(number, row)),
            "</svg>\n",
        ]
    )


def _x(speed: float) -> float:
    low, high = _DECADES
    return _LEFT + _WIDTH * (math.log10(speed) - low) / (high - low)


def _legend() -> Iterator[str]:
    yield f'<circle cx="{_LEFT + 6}" cy="40" r="6" fill="{_THEIRS}"/>'
    yield f'<text x="{_LEFT + 18}" y="44">a job per item</text>'
    yield f'<circle cx="{_LEFT + 146}" cy="40" r="5" fill="#ffffff" stroke="{_THEIRS}" stroke-width="2"/>'
    yield f'<text x="{_LEFT + 158}" y="44">50 items per job</text>'


def _axis(rows: int) -> Iterator[str]:
    bottom = _TOP + _ROW * rows
    for decade in range(_DECADES[0], _DECADES[1] + 1):
        x = _x(10**decade)
        yield f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="{_LINE}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{10**decade:,}</text>'
    yield f'<text x="{_LEFT + _WIDTH / 2}" y="{bottom + 36}" text-anchor="middle">items per second</text>'


def _marks(number: int, row: Row) -> Iterator[str]:
    y = _TOP + _ROW * number + _ROW / 2
    colour, weight = (_OURS, "600") if row.ours else (_THEIRS, "400")
    yield (
        f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end" font-weight="{weight}">{escape(row.title)}</text>'
    )
    if row.per_item is None:
        yield f'<text x="{_LEFT + 8}" y="{y + 4}">not measured here</text>'
        return
    if row.per_fifty is not None:
        ends = f"M{_x(row.per_item):.1f} {y}H{_x(row.per_fifty):.1f}"
        yield f'<path d="{ends}" stroke="{colour}" stroke-width="2" opacity="0.35"/>'
        yield (
            f'<circle cx="{_x(row.per_fifty):.1f}" cy="{y}" r="5" fill="#ffffff" stroke="{colour}"'
            ' stroke-width="2"/>'
        )
    yield f'<circle cx="{_x(row.per_item):.1f}" cy="{y}" r="6" fill="{colour}"/>'
