"""Point of control and value area kept up to date while rows grow, one candle at a time.

:mod:`.value_area` grows the area step by step, the heavier side first. Seen from the point of control both
sides are lists of steps, and a merge that always compares their heads takes the steps in the order of
their *running minima*: the key of a step is the least weight of the steps from the point of control up to it;
larger keys come first, of equal keys the lower side. So whether ``(low, high)`` lies on the way of that
merge follows from the least step taken and the next step of either side. When a candle has been
counted, the area of the minute before is moved onto the way again (``_close``), then back (``_shrink``) or
forth (``_grow``) until it holds enough: mostly no step at all. Only a new point of control starts afresh.

Weights are whole numbers: sums are exact in any order, so this gives what the merge from nothing gives.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

_ALL = float("inf")  # key of a side of which nothing is taken


class IncrementalValueArea:
    """Rows with their weights, the heaviest of them (ties: the higher price), and the value area around it.

    Args:
        step: 1 or 2 rows are compared and added at once.
        share: numerator and denominator of the part of the weight that is enough.
    """

    __slots__ = (
        "_down", "_inside", "_needs", "_pending", "_poc", "_share", "_step", "_up", "high", "low", "total",
        "touched", "weights",
    )  # fmt: skip

    def __init__(self, step: int, share: tuple[int, int]) -> None:
        self.weights: dict[int, int] = {}
        self.touched: list[int] = []  # the rows of weights, ascending
        self.total = 0
        self.low = self.high = 0  # rows inside; the last pair may reach beyond the last row
        self._step = step
        self._share = share
        self._poc: int | None = None  # None: the area begins from nothing
        self._inside = 0
        self._needs = 0
        self._pending: list[tuple[int, int]] = []  # rows that grew since the last look, and by what
        # Of each side the steps taken that weigh less than all before: outermost row and weight.
        self._up: list[tuple[int, int]] = []
        self._down: list[tuple[int, int]] = []

    def load(self, weights: dict[int, int]) -> None:
        """Starts again with other rows.

        Args:
            weights: weight of each row by its index, integers in a unit of the caller's.
        """
        self.weights = weights
        self.touched = sorted(weights)
        self.total = sum(weights.values())
        self._poc = None
        self._pending.clear()

    def scale(self, factor: int) -> None:
        """Changes the unit of all weights.

        Args:
            factor: how many new units make an old one.
        """
        self.load({row: weight * factor for row, weight in self.weights.items()})

    def add(self, row: int, weight: int) -> None:
        """Adds weight to a row.

        Args:
            row: index of the row.
            weight: what is added, > 0.
        """
        weights = self.weights
        if row in weights:
            weights[row] += weight
        else:
            weights[row] = weight
            insort(self.touched, row)
        self.total += weight
        self._pending.append((row, weight))

    def settle(self) -> tuple[int, int]:
        """Bring the area up to date.

        Returns:
            The row of the point of control, and the weight inside the area.
        """
        weights = self.weights
        part, whole = self._share
        self._needs = -(-self.total * part // whole)
        poc, pending = self._poc, self._pending
        if poc is None:
            heaviest = max(weights.values())
            poc = max(row for row, weight in weights.items() if weight == heaviest)
            self._begin(poc)
        else:
            most, best = weights[poc], poc
            for row, _ in pending:
                weight = weights[row]
                if weight > most or (weight == most and row > best):
                    most, best = weight, row
            if best != poc:
                self._begin(best)
            else:
                low, high, disturbed = self.low, self.high, False
                for row, weight in pending:
                    if low <= row <= high:
                        self._inside += weight
                        if weight and row != poc and self._regard(row, poc):
                            disturbed = True
                    else:
                        disturbed = True
                if disturbed:  # by the weight of a next step, or by the key of one that is taken
                    self._close()
                self._shrink(poc)
        pending.clear()
        self._grow()
        assert self._poc is not None
        return self._poc, self._inside

    def _begin(self, poc: int) -> None:
        self._poc = self.low = self.high = poc
        self._inside = self.weights[poc]
        self._up, self._down = [], []

    def _regard(self, row: int, poc: int) -> bool:
        """A row inside has grown. Whether its step weighed less than all before it; another may now."""
        step = self._step
        if row > poc:
            return self._refresh(self._up, poc + -(-(row - poc) // step) * step, self.high, step)
        return self._refresh(self._down, poc - -(-(poc - row) // step) * step, self.low, -step)

    def _refresh(self, least: list[tuple[int, int]], at: int, last: int, by: int) -> bool:
        place = len(least) - 1
        while place >= 0 and least[place][0] != at:
            place -= 1
        if place < 0:
            return False
        end = least[place + 1][0] if place + 1 < len(least) else last + by
        key: float = least[place - 1][1] if place else _ALL
        found = []
        inward = 0 if self._step == 1 else (-1 if by > 0 else 1)
        get = self.weights.get
        while at != end and key:
            weight = get(at, 0) + get(at + inward, 0) if inward else get(at, 0)
            if weight < key:
                key = weight
                found.append((at, weight))
            at += by
        least[place : place + 1] = found
        return True

    def _above(self) -> int:
        """Weight of the next step above; -1 if no row is left."""
        high = self.high
        if high >= self.touched[-1]:
            return -1
        get = self.weights.get
        return get(high + 1, 0) + get(high + 2, 0) if self._step == 2 else get(high + 1, 0)

    def _below(self) -> int:
        low = self.low
        if low <= self.touched[0]:
            return -1
        get = self.weights.get
        return get(low - 1, 0) + get(low - 2, 0) if self._step == 2 else get(low - 1, 0)

    def _take_above(self, weight: int) -> None:
        self.high += self._step
        self._inside += weight
        if not self._up or weight < self._up[-1][1]:
            self._up.append((self.high, weight))

    def _take_below(self, weight: int) -> None:
        self.low -= self._step
        self._inside += weight
        if not self._down or weight < self._down[-1][1]:
            self._down.append((self.low, weight))

    def _close(self) -> None:
        """Take every step that comes before one that is taken."""
        if self._up:
            key = self._up[-1][1]
            if key == 0:  # the lower side comes before it as a whole
                while self._down_key() and (weight := self._below()) >= 0:
                    self._take_below(weight)
                self._sweep_below(None)
            else:
                while self._down_key() >= key and (weight := self._below()) >= key:
                    self._take_below(weight)
        if self._down:
            key = self._down[-1][1]
            while self._up_key() > key and (weight := self._above()) > key:
                self._take_above(weight)

    def _up_key(self) -> float:
        return self._up[-1][1] if self._up else _ALL

    def _down_key(self) -> float:
        return self._down[-1][1] if self._down else _ALL

    def _shrink(self, poc: int) -> None:
        """Give back the steps that came last, as long as enough remains inside."""
        get, step, needs = self.weights.get, self._step, self._needs
        while self._inside >= needs and (self._up or self._down):
            if self._up and self._up_key() <= self._down_key():
                high, least = self.high, self._up
                weight = get(high, 0) + get(high - 1, 0) if step == 2 else get(high, 0)
                if self._inside - weight < needs:
                    return
                high -= step
                if not weight:  # so are others: the next row with weight is what matters
                    row = self.touched[bisect_right(self.touched, high) - 1]
                    high = max(poc + -(-(row - poc) // step) * step, least[-1][0] - step)
                self.high = high
                while least and least[-1][0] > high:
                    least.pop()
            else:
                low, least = self.low, self._down
                weight = get(low, 0) + get(low + 1, 0) if step == 2 else get(low, 0)
                if self._inside - weight < needs:
                    return
                low += step
                if not weight:
                    row = self.touched[bisect_left(self.touched, low)]
                    low = min(poc - -(-(poc - row) // step) * step, least[-1][0] + step)
                self.low = low
                while least and least[-1][0] < low:
                    least.pop()
            self._inside -= weight

    def _grow(self) -> None:
        """Take steps until enough is inside."""
        needs = self._needs
        while self._inside < needs:
            above, below = self._above(), self._below()
            if above > below:
                if not self._up_key():  # then nothing is left below
                    self._sweep_above(needs)
                else:
                    self._take_above(above)
            elif above <= 0 and not self._down_key():
                self._sweep_below(needs)
            else:
                self._take_below(below)

    def _sweep_below(self, needs: int | None) -> None:
        """Take steps below until enough is inside (None: all), no other coming before them."""
        touched, weights = self.touched, self.weights
        place = bisect_left(touched, self.low)
        if not place:
            return
        inside, row = self._inside, self.low
        while place and (needs is None or inside < needs):
            place -= 1
            row = touched[place]
            inside += weights[row]
        if self._step == 2:
            self.low -= -(-(self.low - row) // 2) * 2
            if self.low < row:
                inside += weights.get(self.low, 0)
        else:
            self.low = row
        self._inside = inside

    def _sweep_above(self, needs: int) -> None:
        touched, weights = self.touched, self.weights
        place, end = bisect_right(touched, self.high), len(touched)
        inside, row = self._inside, self.high
        while place < end and inside < needs:
            row = touched[place]
            inside += weights[row]
            place += 1
        if self._step == 2:
            self.high += -(-(row - self.high) // 2) * 2
            if self.high > row:
                inside += weights.get(self.high, 0)
        else:
            self.high = row
        self._inside = inside
