"""A plot as SVG: one bar a row, from nought to the median, with a line from the least to the most."""

from collections.abc import Sequence
from html import escape

ROW, LABELS, WIDTH, TOP = 24, 440, 960, 48
Bar = tuple[str, tuple[float, float, float]]


def draw(title: str, bars: Sequence[Bar]) -> str:
    """`bars` are `(name, (median, least, most))`."""
    longest = max(most for _, (_, _, most) in bars)
    scale = (WIDTH - LABELS - 90) / longest
    height = TOP + ROW * len(bars) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="28" font-size="16" fill="#111">{escape(title)}</text>',
    ]
    for place, (name, (median, least, most)) in enumerate(bars):
        y = TOP + ROW * place
        colour = "#9aa5b1" if name.startswith("F") else "#2563eb"
        parts += [
            f'<text x="{LABELS - 10}" y="{y + 15}" text-anchor="end" fill="#111">{escape(name)}</text>',
            f'<rect x="{LABELS}" y="{y + 3}" width="{median * scale:.1f}" height="{ROW - 8}" fill="{colour}"/>',
            f'<path d="M{LABELS + least * scale:.1f} {y + 11}H{LABELS + most * scale:.1f}" stroke="#111"/>',
            f'<text x="{LABELS + most * scale + 8:.1f}" y="{y + 15}" fill="#111">{median:,.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])
