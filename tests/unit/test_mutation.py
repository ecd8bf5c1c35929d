"""What mutation testing changes of a module, one at a time."""

from __future__ import annotations

from mutation import mutants

SOURCE = '''
class Range:
    def __init__(self, low: int, high: int = 9) -> None:
        """Nothing of this line."""
        assert low < 3
        self.low, self.high = low, high

    @property
    def middle(self) -> float:
        if not self.low:
            return self.high / 2
        return min(self.low, 1.5)
'''


def test_each_operator_constant_condition_and_call_is_changed_once() -> None:
    found = list(mutants(SOURCE))
    assert [(each.function, each.change) for each in found] == [
        ("Range.__init__", "def __init__(self, low: int, high: int=9) : 9 -> 10"),
        ("Range.middle", "if not self.low: : not self.low -> True"),
        ("Range.middle", "if not self.low: : not self.low -> False"),
        ("Range.middle", "if not self.low: : not self.low -> self.low"),
        ("Range.middle", "return self.high / 2 -> return None"),
        ("Range.middle", "return self.high / 2 : self.high / 2 -> self.high * 2"),
        ("Range.middle", "return self.high / 2 : 2 -> 3"),
        ("Range.middle", "return min(self.low, 1.5) -> return None"),
        ("Range.middle", "return min(self.low, 1.5) : min(self.low, 1.5) -> max(self.low, 1.5)"),
        ("Range.middle", "return min(self.low, 1.5) : 1.5 -> 2.5"),
    ]  # fmt: skip
    assert {each.change.rpartition(": ")[2]: sorted(each.lines) for each in found}["2 -> 3"] == [11]


def test_the_module_itself_stays_as_it_is() -> None:
    all_of_them = list(mutants(SOURCE))
    assert len({id(each.tree) for each in all_of_them}) == len(all_of_them)
