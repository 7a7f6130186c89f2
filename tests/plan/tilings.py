"""Random tensors and the boxes they are cut into. A box is (offsets, sizes)."""

import itertools


def random_size(source, largest_rank=5):
    """A size of up to a few thousand elements, 0 to 5 dimensions; now and then more than 8."""
    if source.random() < 0.05:
        return [source.choice((1, 1, 1, 2, 3)) for _ in range(source.randint(8, 12))]
    ndim = source.randint(0, largest_rank)
    most = {0: 1, 1: 60, 2: 24, 3: 12, 4: 7, 5: 5}[ndim]
    return [source.randint(0, most) if source.random() < 0.1 else source.randint(1, most) for _ in range(ndim)]


def grid(cuts):
    """The cells of split points per dimension, row-major."""
    for cell in itertools.product(*(zip(points, points[1:]) for points in cuts)):
        yield [begin for begin, _ in cell], [end - begin for begin, end in cell]


def parts_of(source, size, choices):
    """Parts per dimension, together at most 200."""
    parts, cells = [], 1
    for _ in size:
        parts.append(source.choice([n for n in choices if n * cells <= 200]))
        cells *= parts[-1]
    return parts


def even_cuts(source, size):
    cuts = []
    for n, parts in zip(size, parts_of(source, size, (1, 1, 2, 3, 4, 7))):
        step = -(-n // parts)
        cuts.append([min(i * step, n) for i in range(parts + 1)])
    return cuts


def uneven_cuts(source, size):
    parts = parts_of(source, size, (1, 1, 2, 3, 5))
    return [[0, *sorted(source.randint(0, n) for _ in range(p - 1)), n] for n, p in zip(size, parts)]


def guillotine(source, size, pieces):
    """Cuts again and again one box in two: a tiling that mostly is no grid."""
    boxes = [([0] * len(size), list(size))]
    for _ in range(pieces):
        i = source.randrange(len(boxes))
        offsets, sizes = boxes[i]
        d = source.randrange(len(size))
        if sizes[d] < 2:
            continue
        at = source.randint(1, sizes[d] - 1)
        low, high = list(sizes), list(sizes)
        low[d], high[d] = at, sizes[d] - at
        moved = list(offsets)
        moved[d] += at
        boxes[i : i + 1] = [(offsets, low), (moved, high)]
    return boxes


def random_box(source, size):
    offsets, sizes = [], []
    for n in size:
        begin, end = sorted((source.randint(0, n), source.randint(0, n)))
        if source.random() < 0.3:
            begin, end = 0, n
        offsets.append(begin)
        sizes.append(end - begin)
    return offsets, sizes


def random_boxes(source, size):
    """Boxes inside a tensor: an exact tiling, or one that is damaged, or chaos."""
    if not size:
        return [([], [])] * source.choice((0, 1, 1, 1, 2, 3))
    kind = source.randrange(5)
    if kind == 0:
        boxes = list(grid(even_cuts(source, size)))
    elif kind == 1:
        boxes = list(grid(uneven_cuts(source, size)))
    elif kind == 2:
        boxes = guillotine(source, size, source.randint(0, 12))
    elif kind == 3:
        boxes = [random_box(source, size) for _ in range(source.randint(0, 8))]
    else:
        boxes = guillotine(source, size, source.randint(0, 12))
        for _ in range(source.randint(0, 2)):
            damage = source.randrange(4)
            if damage == 0 and boxes:
                boxes.pop(source.randrange(len(boxes)))
            elif damage == 1:
                boxes.append(random_box(source, size))
            elif damage == 2:
                offsets, sizes = random_box(source, size)
                sizes[source.randrange(len(size))] = 0
                boxes.append((offsets, sizes))
            elif boxes:
                boxes.append(source.choice(boxes))
    if source.random() < 0.5:
        source.shuffle(boxes)
    return boxes
