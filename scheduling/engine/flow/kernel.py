"""The greedy on the network, compiled: steps in the order of their price, each filled to its maximum by rerouting.

The loads of the top per step that can be realised form a polymatroid, so filling the cheapest step first, without
ever taking from a step that came before, ends at least cost (Federgruen & Groenevelt 1986). A step is filled directly
as far as rooms allow, then along augmenting paths: one vehicle takes the step, another gives up its place in a node
that both share and takes a step it may still use. A search that finds no path leaves a closed set of nodes, steps and
vehicles which no later path can enter; it is deleted, so that all failing searches together look at each arc once.

Vehicles are bits of 64-bit words, each node's own vehicles in words of their own; steps are bits as well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros
from numpy.typing import NDArray

from scheduling.engine.arrays import BoolArray, FloatArray, IntArray
from scheduling.engine.flow.compiled import compiled, inner

Bits = NDArray[np.uint64]

_lowest: Any = trailing_zeros
_NONE = np.uint64(0)
_ONE = np.uint64(1)
_FROM_PARENT = -1
_ORIGIN = -2
_BUCKETS = 1024
_STEP_BITS = 20
_PAST = 1 << _STEP_BITS
_STEP = _PAST - 1
_ALREADY_ON_H = 0.5
"""Laxity that being on in the neighbouring step is worth, h: fewer periods."""
_IN_FORCE_H = 12.0
"""Laxity that being on in this step of the plan in force is worth, h: replanning stays with it."""


class Graph(NamedTuple):
    """What does not change: n vehicles on m nodes over T steps, node 0 on top; energies in quanta."""

    leaf: IntArray  # (n,) node that the vehicle hangs on
    first: IntArray  # (n,) first usable step
    start: IntArray  # (n + 1,) arcs of vehicle i are start[i]:start[i + 1], one per step from first[i]
    most: IntArray  # (n_arcs,) most energy that the nodes count
    free: IntArray  # (n_arcs,) most energy past all nodes but the top; empty if nobody has any
    parent: IntArray  # (m,) -1 for the top
    child_at: IntArray  # (m + 1,)
    child: IntArray  # children of node v are child[child_at[v]:child_at[v + 1]]
    word_at: IntArray  # (m + 1,) words of the vehicles that hang on node v
    place: IntArray  # (n,) number of the vehicle's bit
    vehicle: IntArray  # (64 * words,) and back
    hours_per_quantum: FloatArray  # (n,) at full power
    head_start: FloatArray  # (n,) laxity that each vehicle is ahead of the others, h
    scarcity: FloatArray  # (T,) hours of a step, weighted with how much of its crowd the top can serve
    in_force: BoolArray  # (n_arcs,) on in the plan in force; empty if there is none


class Flow(NamedTuple):
    """Where the energy goes, quanta; filling continues from it."""

    rest: IntArray  # (n,) need that has no place yet
    counted: IntArray  # (n_arcs,) through the nodes
    passed: IntArray  # (n_arcs,) past the nodes; empty if nobody can
    load: IntArray  # (m, T) what every node carries, at the top with what has passed


class _Search(NamedTuple):
    open: Bits  # (words,) vehicles with a rest
    spare: Bits  # (T, words) vehicles that can take more of a step through the nodes
    spare_past: Bits  # (T, words) and past them
    used: Bits  # (n, step words) steps that a vehicle takes through the nodes
    used_past: Bits  # (n, step words) and past them
    dead: Bits  # (words,) vehicles in closed sets
    seen: Bits  # (words,)
    dead_at: Bits  # (m, step words) steps of nodes in closed sets
    seen_at: Bits  # (m, step words)
    through: IntArray  # (n,) step by which the search came to a vehicle, + _PAST if past the nodes
    reached: IntArray  # (m, T) how it came to a node: _FROM_PARENT, _ORIGIN, vehicle i, or n + i if past the nodes
    queue: IntArray  # (m * T,) node << _STEP_BITS | step
    slack: FloatArray  # (n,) weighted hours of steps not treated yet
    candidate: IntArray  # (n,)
    urgency: FloatArray  # (n,)
    ranked: IntArray  # (n,)
    bucket: IntArray  # (_BUCKETS + 1,)


@compiled
def fill(
    graph: Graph,
    flow: Flow,
    room: IntArray,
    order: IntArray,
    ceiling: IntArray,
    reroutes: bool,
    closed_at: IntArray,
    contested: BoolArray,
) -> int:
    """Place the rests of `flow`, entry by entry: step order[k] up to a total of ceiling[k] at the top.

    Writes to closed_at (T,), where steps are -1, the entry at which no further room in a step could help any more, and
    clears contested (n,) for vehicles in closed sets. Gives the entry at which nothing was left to place, or
    len(order). `room` is (m, T); that of the top is not read.
    """
    steps = room.shape[1]
    search = _start(graph, flow, steps)
    pending = 0
    for i in range(len(flow.rest)):
        if flow.rest[i] > 0:
            pending += 1
    for k in range(len(order)):
        if pending == 0:
            return max(k - 1, 0)
        step = order[k]
        if _has(search.dead_at, 0, step):
            continue
        if flow.load[0, step] < ceiling[k]:
            pending -= _fill_directly(graph, flow, search, room, step, ceiling[k])
        while reroutes and pending > 0 and flow.load[0, step] < ceiling[k]:
            finished, found = _reroute(graph, flow, search, room, step, ceiling[k])
            pending -= finished
            if not found:
                _close(search, closed_at, k)
                break
    if pending == 0:
        return max(len(order) - 1, 0)
    for i in range(len(flow.rest)):
        contested[i] = (search.dead[graph.place[i] >> 6] >> np.uint64(graph.place[i] & 63)) & _ONE == _NONE
    return len(order)


@inner
def _has(bits: Bits, row: int, k: int) -> bool:
    return bool((bits[row, k >> 6] >> np.uint64(k & 63)) & _ONE)


@inner
def _set(bits: Bits, row: int, k: int) -> None:
    bits[row, k >> 6] |= _ONE << np.uint64(k & 63)


@inner
def _clear(bits: Bits, row: int, k: int) -> None:
    bits[row, k >> 6] &= ~(_ONE << np.uint64(k & 63))


@inner
def _start(graph: Graph, flow: Flow, steps: int) -> _Search:
    """Empty marks and the bits that follow from the flow."""
    n, nodes, past = len(flow.rest), len(graph.parent), len(flow.passed) > 0
    words, step_words = graph.word_at[nodes], (steps + 63) >> 6
    search = _Search(
        np.zeros(words, np.uint64),
        np.zeros((steps, words), np.uint64),
        np.zeros((steps, words if past else 0), np.uint64),
        np.zeros((n, step_words), np.uint64),
        np.zeros((n if past else 0, step_words), np.uint64),
        np.zeros(words, np.uint64),
        np.zeros(words, np.uint64),
        np.zeros((nodes, step_words), np.uint64),
        np.zeros((nodes, step_words), np.uint64),
        np.zeros(n, np.int64),
        np.zeros((nodes, steps), np.int64),
        np.zeros(nodes * steps, np.int64),
        np.zeros(n, np.float64),
        np.zeros(n, np.int64),
        np.zeros(n, np.float64),
        np.zeros(n, np.int64),
        np.zeros(_BUCKETS + 1, np.int64),
    )
    for i in range(n):
        place = graph.place[i]
        if flow.rest[i] > 0:
            search.open[place >> 6] |= _ONE << np.uint64(place & 63)
        for arc in range(graph.start[i], graph.start[i + 1]):
            step = graph.first[i] + arc - graph.start[i]
            search.slack[i] += graph.scarcity[step]
            if flow.counted[arc] < graph.most[arc]:
                _set(search.spare, step, place)
            if flow.counted[arc] > 0:
                _set(search.used, i, step)
            if past:
                if flow.passed[arc] < graph.free[arc]:
                    _set(search.spare_past, step, place)
                if flow.passed[arc] > 0:
                    _set(search.used_past, i, step)
    return search


@inner
def _close(search: _Search, closed_at: IntArray, k: int) -> None:
    """What the failed search of entry k has seen is deleted."""
    for word in range(search.dead_at.shape[1]):
        fresh = search.seen_at[0, word] & ~search.dead_at[0, word]
        while fresh != _NONE:
            closed_at[word * 64 + np.int64(_lowest(fresh))] = k
            fresh &= fresh - _ONE
    _copy(search.seen, search.seen_at, search.dead, search.dead_at)


@inner
def _copy(vehicles: Bits, places: Bits, to_vehicles: Bits, to_places: Bits) -> None:
    for word in range(len(vehicles)):
        to_vehicles[word] = vehicles[word]
    for node in range(places.shape[0]):
        for word in range(places.shape[1]):
            to_places[node, word] = places[node, word]


@inner
def _fill_directly(graph: Graph, flow: Flow, search: _Search, room: IntArray, step: int, ceiling: int) -> int:
    """Give the step to vehicles with a rest, the most urgent first; how many have none left."""
    m = _collect(graph, flow, search, step)
    _rank(search, m)
    finished = 0
    for k in range(m):
        i = search.ranked[k]
        arc = graph.start[i] + step - graph.first[i]
        if len(flow.passed) > 0:
            more = min(graph.free[arc] - flow.passed[arc], flow.rest[i], ceiling - flow.load[0, step])
            if more > 0:
                _change_past(graph, flow, search, i, step, more)
                flow.load[0, step] += more
                flow.rest[i] -= more
        more = min(graph.most[arc] - flow.counted[arc], flow.rest[i], ceiling - flow.load[0, step])
        node = graph.leaf[i]
        while node > 0:
            more = min(more, room[node, step] - flow.load[node, step])
            node = graph.parent[node]
        if more > 0:
            _change_counted(graph, flow, search, i, step, more)
            node = graph.leaf[i]
            while node >= 0:
                flow.load[node, step] += more
                node = graph.parent[node]
            flow.rest[i] -= more
        if flow.rest[i] == 0:
            search.open[graph.place[i] >> 6] &= ~(_ONE << np.uint64(graph.place[i] & 63))
            finished += 1
        if flow.load[0, step] >= ceiling:
            break
    return finished


@inner
def _collect(graph: Graph, flow: Flow, search: _Search, step: int) -> int:
    """List the vehicles that can take more of the step, with their laxity; how many they are."""
    past = len(flow.passed) > 0
    m = 0
    for word in range(len(search.open)):
        able = search.spare[step, word]
        if past:
            able |= search.spare_past[step, word]
        able &= search.open[word] & ~search.dead[word]
        while able != _NONE:
            i = graph.vehicle[word * 64 + np.int64(_lowest(able))]
            able &= able - _ONE
            search.slack[i] -= graph.scarcity[step]
            laxity = search.slack[i] - flow.rest[i] * graph.hours_per_quantum[i] - graph.head_start[i]
            arc = graph.start[i] + step - graph.first[i]
            on_before = arc > graph.start[i] and _is_on(flow, arc - 1)
            if on_before or (arc + 1 < graph.start[i + 1] and _is_on(flow, arc + 1)):
                laxity -= _ALREADY_ON_H
            if len(graph.in_force) > 0 and graph.in_force[arc]:
                laxity -= _IN_FORCE_H
            search.candidate[m] = i
            search.urgency[m] = laxity
            m += 1
    return m


@inner
def _is_on(flow: Flow, arc: int) -> bool:
    return flow.counted[arc] > 0 or (len(flow.passed) > 0 and flow.passed[arc] > 0)


@inner
def _rank(search: _Search, m: int) -> None:
    """Sort the first m candidates by laxity into `ranked`: by buckets, stable and linear, as exact order is idle."""
    low = high = search.urgency[0] if m > 0 else 0.0
    for k in range(m):
        low = min(low, search.urgency[k])
        high = max(high, search.urgency[k])
    scale = (_BUCKETS - 1) / (high - low) if high > low else 0.0
    for b in range(_BUCKETS + 1):
        search.bucket[b] = 0
    for k in range(m):
        search.bucket[np.int64((search.urgency[k] - low) * scale) + 1] += 1
    for b in range(_BUCKETS):
        search.bucket[b + 1] += search.bucket[b]
    for k in range(m):
        at = np.int64((search.urgency[k] - low) * scale)
        search.ranked[search.bucket[at]] = search.candidate[k]
        search.bucket[at] += 1


@inner
def _change_counted(graph: Graph, flow: Flow, search: _Search, i: int, step: int, more: int) -> None:
    """Change what vehicle i takes through the nodes; their loads are the caller's business."""
    arc = graph.start[i] + step - graph.first[i]
    flow.counted[arc] += more
    if flow.counted[arc] > 0:
        _set(search.used, i, step)
    else:
        _clear(search.used, i, step)
    if flow.counted[arc] < graph.most[arc]:
        _set(search.spare, step, graph.place[i])
    else:
        _clear(search.spare, step, graph.place[i])


@inner
def _change_past(graph: Graph, flow: Flow, search: _Search, i: int, step: int, more: int) -> None:
    """The same for what it takes past the nodes."""
    arc = graph.start[i] + step - graph.first[i]
    flow.passed[arc] += more
    if flow.passed[arc] > 0:
        _set(search.used_past, i, step)
    else:
        _clear(search.used_past, i, step)
    if flow.passed[arc] < graph.free[arc]:
        _set(search.spare_past, step, graph.place[i])
    else:
        _clear(search.spare_past, step, graph.place[i])


@inner
def _reroute(graph: Graph, flow: Flow, search: _Search, room: IntArray, origin: int, ceiling: int) -> tuple[int, bool]:
    """Search backwards from the step for vehicles with a rest; push along every path found while the paths hold.

    Gives how many vehicles have no rest any more, and whether there was a path at all.
    """
    # Plain arrays: handing on whole tuples in the innermost loops would cost more than the search itself.
    leaf, parent, vehicle, load = graph.leaf, graph.parent, graph.vehicle, flow.load
    spare, spare_past, used, used_past = search.spare, search.spare_past, search.used, search.used_past
    seen, seen_at, through = search.seen, search.seen_at, search.through
    reached, queue = search.reached, search.queue
    n, past = len(leaf), len(flow.passed) > 0
    _copy(search.dead, search.dead_at, seen, seen_at)
    _set(seen_at, 0, origin)
    reached[0, origin] = _ORIGIN
    queue[0] = origin
    head, tail = 0, 1
    finished, found = 0, False
    while head < tail:
        node, step = queue[head] >> _STEP_BITS, queue[head] & _STEP
        head += 1
        for way in range(2 if node == 0 and past else 1):
            from_word = 0 if way else graph.word_at[node]
            to_word = len(seen) if way else graph.word_at[node + 1]
            for word in range(from_word, to_word):
                able = (spare_past[step, word] if way else spare[step, word]) & search.open[word] & ~seen[word]
                while able != _NONE:
                    i = vehicle[word * 64 + np.int64(_lowest(able))]
                    able &= able - _ONE
                    through[i] = step | (way << _STEP_BITS)
                    found = True
                    if not _push(graph, flow, search, room, i, ceiling):
                        return finished, found
                    if flow.rest[i] == 0:
                        finished += 1
                    if load[0, origin] >= ceiling:
                        return finished, found
            for word in range(from_word, to_word):
                able = (spare_past[step, word] if way else spare[step, word]) & ~seen[word]
                seen[word] |= able
                while able != _NONE:
                    i = vehicle[word * 64 + np.int64(_lowest(able))]
                    able &= able - _ONE
                    through[i] = step | (way << _STEP_BITS)
                    above = leaf[i]
                    while above >= 0:
                        tail = _queue_steps(used, i, above, i, seen_at, reached, queue, tail)
                        above = parent[above]
                    if past:
                        tail = _queue_steps(used_past, i, 0, n + i, seen_at, reached, queue, tail)
        for at in range(graph.child_at[node], graph.child_at[node + 1]):
            child = graph.child[at]
            if not _has(seen_at, child, step) and load[child, step] < room[child, step]:
                _set(seen_at, child, step)
                reached[child, step] = _FROM_PARENT
                queue[tail] = (child << _STEP_BITS) | step
                tail += 1
    return finished, found


@inner
def _queue_steps(
    taken: Bits,
    i: int,
    node: int,
    because: int,
    seen_at: Bits,
    reached: IntArray,
    queue: IntArray,
    tail: int,
) -> int:
    """Queue a node in all steps that vehicle i takes there and could give up; the queue's new end."""
    for word in range(taken.shape[1]):
        fresh = taken[i, word] & ~seen_at[node, word]
        seen_at[node, word] |= fresh
        while fresh != _NONE:
            step = word * 64 + np.int64(_lowest(fresh))
            fresh &= fresh - _ONE
            reached[node, step] = because
            queue[tail] = (node << _STEP_BITS) | step
            tail += 1
    return tail


@inner
def _push(graph: Graph, flow: Flow, search: _Search, room: IntArray, first: int, ceiling: int) -> bool:
    """Move as much of the vehicle's rest along its path as fits; False if an earlier push has filled the path."""
    amount = _bottleneck(graph, flow, search, room, first, ceiling)
    if amount <= 0:
        return False
    n = len(graph.leaf)
    flow.rest[first] -= amount
    if flow.rest[first] == 0:
        search.open[graph.place[first] >> 6] &= ~(_ONE << np.uint64(graph.place[first] & 63))
    i = first
    while True:
        step = search.through[i] & _STEP
        node = 0
        if search.through[i] < _PAST:
            _change_counted(graph, flow, search, i, step, amount)
            node = graph.leaf[i]
        else:
            _change_past(graph, flow, search, i, step, amount)
        while search.reached[node, step] == _FROM_PARENT:
            flow.load[node, step] += amount
            node = graph.parent[node]
        giver = search.reached[node, step]
        if giver == _ORIGIN:
            flow.load[node, step] += amount
            return True
        if giver >= n:
            i = giver - n
            _change_past(graph, flow, search, i, step, -amount)
        else:
            i = giver
            _change_counted(graph, flow, search, i, step, -amount)
            below = graph.leaf[i]
            while below != node:
                flow.load[below, step] -= amount
                below = graph.parent[below]


@inner
def _bottleneck(graph: Graph, flow: Flow, search: _Search, room: IntArray, first: int, ceiling: int) -> int:
    """Most that the path from the vehicle to the origin of the search carries now."""
    n = len(graph.leaf)
    amount: int = flow.rest[first]
    i = first
    while True:
        step = search.through[i] & _STEP
        arc = graph.start[i] + step - graph.first[i]
        node = 0
        if search.through[i] < _PAST:
            amount = min(amount, graph.most[arc] - flow.counted[arc])
            node = graph.leaf[i]
        else:
            amount = min(amount, graph.free[arc] - flow.passed[arc])
        while search.reached[node, step] == _FROM_PARENT:
            amount = min(amount, room[node, step] - flow.load[node, step])
            node = graph.parent[node]
        giver = search.reached[node, step]
        if giver == _ORIGIN:
            left: int = ceiling - flow.load[0, step]
            return min(amount, left)
        i = giver - n if giver >= n else giver
        arc = graph.start[i] + step - graph.first[i]
        amount = min(amount, flow.passed[arc] if giver >= n else flow.counted[arc])
