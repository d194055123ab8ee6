"""The fronts of all seeds at once, compiled: each voxel keeps its two nearest labels.

A path from a seed carries the lowest and the highest value on it; its barrier is the difference. Fronts grow in the
order of their barrier, as in Dijkstra's algorithm. A voxel has two slots, `2 * voxel` and `2 * voxel + 1`, for the best
paths of two different labels. A slot is overwritten by smaller barriers only, and barriers come in rising order, so a
slot that was taken from the queue never changes: no mark of it is kept.

Arrays are flat and framed by one voxel along each axis. Slots of the frame have a barrier below all others, which
keeps every front out.
"""

from __future__ import annotations

import numpy as np

from monai_boundary.kernels.compiled import compiled, int64, prefetch, uintp

__all__ = ["FLOAT_SLOT", "LEVEL_SLOT", "NUM_LEVELS", "propagate_floats", "propagate_levels"]

NUM_LEVELS = 256
LEVEL_SLOT = np.dtype([("label", "i4"), ("barrier", "i2"), ("low", "u1"), ("high", "u1")])
FLOAT_SLOT = np.dtype([("label", "i4"), ("barrier", "f4"), ("low", "f4"), ("high", "f4")])
# Slots wait in one line per level. A line is a chain of blocks of the array `queue`; the last entry of a block is the
# place of the next block. `ends` holds of each line the places of its first entry and behind its last one; its row
# `_SPARE` the first of the blocks given back (or -1), chained by their first entries, and the begin of the unused part.
_BLOCK, _SPARE = np.uintp(64), np.uintp(NUM_LEVELS)
_AHEAD = np.uintp(6)  # entries between the one in work and the one whose surroundings are fetched from memory


@compiled()
def _slot_to_write(slots, voxel, label, barrier):  # type: ignore[no-untyped-def]
    """Return the slot of `voxel` that a path of `label` improves, or -1; the worse one goes if the label is new."""
    first = uintp(2 * voxel)  # unsigned: numba tests signed indices for negative ones
    second = first + uintp(1)
    if barrier >= max(slots[first].barrier, slots[second].barrier):
        return int64(-1)
    if slots[first].label == label:
        slot = first
    elif slots[second].label == label or slots[first].barrier <= slots[second].barrier:
        slot = second
    else:
        slot = first
    return int64(slot) if barrier < slots[slot].barrier else int64(-1)


@compiled()
def _enter(queue, ends, level, slot):  # type: ignore[no-untyped-def]
    """Put `slot` at the end of the line of `level`."""
    place = uintp(ends[level, 1])
    if place % _BLOCK == _BLOCK - uintp(1):
        block = ends[_SPARE, 0]
        if block >= 0:
            ends[_SPARE, 0] = queue[uintp(block)]
        else:
            block = ends[_SPARE, 1]
            ends[_SPARE, 1] += int64(_BLOCK)
        queue[place] = block
        place = uintp(block)
    queue[place] = slot
    ends[level, 1] = place + uintp(1)


@compiled()
def _leave(queue, ends, level):  # type: ignore[no-untyped-def]
    """Take the first entry from the line of `level` and return its place."""
    place = uintp(ends[level, 0])
    if place % _BLOCK == _BLOCK - uintp(1):
        block = place + uintp(1) - _BLOCK
        place = uintp(queue[place])
        queue[block] = ends[_SPARE, 0]
        ends[_SPARE, 0] = block
    ends[level, 0] = place + uintp(1)
    return place


@compiled()
def _write(slots, slot, label, low, high, barrier):  # type: ignore[no-untyped-def]
    slots[slot].label = label
    slots[slot].low = low
    slots[slot].high = high
    slots[slot].barrier = barrier


@compiled()
def _start_levels(values, slots, seeds, labels, queue, ends):  # type: ignore[no-untyped-def]
    for level in range(NUM_LEVELS + 1):
        ends[level, :] = level * int64(_BLOCK)
    ends[_SPARE, 0] = -1
    for index in range(len(seeds)):
        seed, slot = uintp(seeds[index]), uintp(2 * seeds[index])
        _write(slots, slot, labels[index], values[seed], values[seed], 0)
        _enter(queue, ends, uintp(0), slot)


@compiled()
def _spread_levels(values, slots, offsets, queue, ends):  # type: ignore[no-untyped-def]
    """Let the fronts grow until all lines are empty; return whether they are, or else the queue needs more room."""
    full = len(queue) - int64(_BLOCK) * len(offsets)
    for number in range(NUM_LEVELS):
        level = uintp(number)
        while ends[level, 0] != ends[level, 1]:
            if ends[_SPARE, 1] > full:
                return False
            place = _leave(queue, ends, level)
            coming = int64(queue[place + _AHEAD]) >> 1  # any number where the line ends: a fetch does no harm
            for offset in offsets:
                prefetch(values, uintp(coming + offset))
                prefetch(slots, uintp(2 * (coming + offset)))
            slot = uintp(queue[place])
            if int64(slots[slot].barrier) != number:
                continue  # it was improved later, and left from the line of that barrier
            voxel, label = int64(slot >> uintp(1)), slots[slot].label
            low, high = int64(slots[slot].low), int64(slots[slot].high)
            for offset in offsets:
                value = int64(values[uintp(voxel + offset)])
                lowest, highest = min(low, value), max(high, value)
                found = _slot_to_write(slots, voxel + offset, label, highest - lowest)
                if found >= 0:
                    _write(slots, uintp(found), label, lowest, highest, highest - lowest)
                    _enter(queue, ends, uintp(highest - lowest), found)
    return True


@compiled()
def propagate_levels(values, slots, seeds, labels, offsets, room):  # type: ignore[no-untyped-def]
    """Fill `slots` for 8-bit `values`; paths of one barrier go on in the order in which they came.

    Args:
        values: Uint8 `(N,)`.
        slots: `LEVEL_SLOT` `(2 * N,)`; barriers -1 on the frame, `NUM_LEVELS` elsewhere; labels 0.
        seeds: Int64 `(K,)`, indices of voxels.
        labels: Int64 `(K,)`, > 0.
        offsets: Int64, differences of index to the neighbours.
        room: Entries of the queue to begin with, beside those of the seeds; N is as many as ever wait in most images.
    """
    blocks = NUM_LEVELS + len(offsets) + 2 + len(seeds) // (int64(_BLOCK) - 1)
    queue = np.empty(int64(_BLOCK) * blocks + room, np.int32)
    ends = np.empty((NUM_LEVELS + 1, 2), np.int64)
    _start_levels(values, slots, seeds, labels, queue, ends)
    while not _spread_levels(values, slots, offsets, queue, ends):
        queue = np.append(queue, np.empty_like(queue))


@compiled()
def _push(keys, items, size, key, item):  # type: ignore[no-untyped-def]
    """Add to a binary heap whose smallest key is first."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if keys[parent] <= key:
            break
        keys[place], items[place] = keys[parent], items[parent]
        place = parent
    keys[place], items[place] = key, item


@compiled()
def _pop(keys, items, size):  # type: ignore[no-untyped-def]
    """Move the first entry of a heap of `size` to its end, where it no longer belongs to the heap."""
    top_key, top_item = keys[0], items[0]
    key, item = keys[size - 1], items[size - 1]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size - 1:
            break
        if child + 1 < size - 1 and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[place], items[place] = keys[child], items[child]
        place = child
    keys[place], items[place] = key, item
    keys[size - 1], items[size - 1] = top_key, top_item


@compiled()
def propagate_floats(values, slots, seeds, labels, offsets):  # type: ignore[no-untyped-def]
    """Fill `slots` for float32 `values`, as `propagate_levels` does; slots are `FLOAT_SLOT` `(2 * N,)`, empty ones inf.

    An entry of the heap whose slot was improved later is passed over when its turn comes.
    """
    capacity = max(256, len(values) // 4, len(seeds))  # every seed waits at the start
    keys, items, size = np.empty(capacity, np.float32), np.empty(capacity, np.int64), 0
    for index in range(len(seeds)):
        seed, slot = uintp(seeds[index]), uintp(2 * seeds[index])
        _write(slots, slot, labels[index], values[seed], values[seed], np.float32(0))
        _push(keys, items, size, np.float32(0), slot)
        size += 1
    while size > 0:
        _pop(keys, items, size)
        size -= 1
        slot = uintp(items[size])
        if slots[slot].barrier != keys[size]:
            continue
        if size + len(offsets) > capacity:
            keys, items = np.append(keys, np.empty_like(keys)), np.append(items, np.empty_like(items))
            capacity *= 2
        voxel, label, low, high = int64(slot >> uintp(1)), slots[slot].label, slots[slot].low, slots[slot].high
        for offset in offsets:
            value = values[uintp(voxel + offset)]
            lowest, highest = min(low, value), max(high, value)
            found = _slot_to_write(slots, voxel + offset, label, highest - lowest)
            if found >= 0:
                _write(slots, uintp(found), label, lowest, highest, highest - lowest)
                _push(keys, items, size, highest - lowest, found)
                size += 1
