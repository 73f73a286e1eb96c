"""Reference implementation of the measures of maps: loops and fractions, no code shared with gaaplib."""

from fractions import Fraction
from math import exp


def pixels(grid):
    return [(row, column) for row in range(len(grid)) for column in range(len(grid[0]))]


def share_on_person(heat, mask):
    return sum(Fraction(heat[r][c]) for r, c in pixels(heat) if mask[r][c])


def pointing_game(heat, mask):
    highest = max(heat[r][c] for r, c in pixels(heat))
    tied = [(r, c) for r, c in pixels(heat) if heat[r][c] == highest]
    return Fraction(sum(bool(mask[r][c]) for r, c in tied), len(tied))


def iou(heat, mask, threshold):
    highest = max(Fraction(heat[r][c]) for r, c in pixels(heat))
    found = {(r, c) for r, c in pixels(heat) if heat[r][c] >= Fraction(threshold) * highest}
    person = {(r, c) for r, c in pixels(heat) if mask[r][c]}
    return Fraction(len(found & person), len(found | person))


def centre_prior(h, w, spread, fine=400):
    """The Gaussian, summed over many points of each cell."""

    def cells(count):
        middles = [(step + 0.5) / (count * fine) for step in range(count * fine)]
        heights = [exp(-(((x - 0.5) / spread) ** 2) / 2) for x in middles]
        return [sum(heights[cell * fine : (cell + 1) * fine]) for cell in range(count)]

    rows, columns = cells(h), cells(w)
    total = sum(rows) * sum(columns)
    return [[row * column / total for column in columns] for row in rows]


def mean_mask(masks, h, w):
    """The share of the masks' pixels in each cell. The grid must divide the size of the masks."""
    tall, wide = len(masks[0]) // h, len(masks[0][0]) // w
    counts = [[0] * w for _ in range(h)]
    for mask in masks:
        for r, c in pixels(mask):
            counts[r // tall][c // wide] += bool(mask[r][c])
    total = sum(map(sum, counts))
    return [[Fraction(count, total) for count in row] for row in counts]


def deletion(image, heat, score, fill):
    """Scores of one image (rows of grey values) while its cells are removed one by one, highest first."""
    tall, wide = len(image) // len(heat), len(image[0]) // len(heat[0])
    image, curve = [list(row) for row in image], [score(image)]
    for cell_row, cell_column in sorted(pixels(heat), key=lambda cell: (-heat[cell[0]][cell[1]], cell)):
        for r, c in pixels(image):
            if (r // tall, c // wide) == (cell_row, cell_column):
                image[r][c] = fill
        curve.append(score(image))
    return curve


def auc(curve):
    """Area under the curve by the trapezoid rule, over equal steps from 0 to 1."""
    steps = len(curve) - 1
    return sum((left + right) / 2 for left, right in zip(curve[:-1], curve[1:], strict=True)) / steps
