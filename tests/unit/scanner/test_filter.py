"""The filter language: what it shows, what it refuses and how, and that no text at all breaks it."""

from __future__ import annotations

import operator
import re
import string
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from examples import examples
from fake_monitor import INDICATORS, TIMEFRAMES, FakeMonitor, with_troubles
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tui_feeder.monitor import SymbolState, SymbolView, TimeframeView
from tui_feeder.scanner.completion import completions, hint
from tui_feeder.scanner.fields import Kind, Subject, Subjects, field_table
from tui_feeder.scanner.filter_language import MAX_LENGTH, OPERATORS, FilterError, parse

FIELDS = field_table(TIMEFRAMES, INDICATORS)
LABELS = {60: "1m", 300: "5m", 900: "15m", 3_600: "1h", 14_400: "4h"}


def subject(name: str = "BTCUSDT", trends: str = "", now: int = 10**12, **fields: object) -> Subject:
    marks = {"^": "Buy", "v": "Sell", "=": "Neutral", "?": None}
    frames = tuple(
        TimeframeView(seconds, 0, 1.0, marks[mark], (102.0, 100.0), False, trend_since=now - 7_200_000)
        for seconds, mark in zip(TIMEFRAMES, trends, strict=False)
    )
    return Subject(SymbolView(name, SymbolState.LIVE, "", 2, timeframes=frames, **fields), now)


def shown(text: str, *those: Subject) -> list[bool]:
    found = parse(text, FIELDS)
    return [found.shows(item) for item in those]


def refused(text: str) -> FilterError:
    with pytest.raises(FilterError) as error:
        parse(text, FIELDS)
    assert 0 <= error.value.start <= error.value.end <= len(text)
    return error.value


def test_the_example_of_the_design_shows_what_it_says() -> None:
    text = "24h>3 vol>100M trend.1h=buy align>=3 near(poc)<0.2 name~1000"
    fine = subject("1000PEPEUSDT", "^^^^=", change_24h=3.5, volume_24h=2e8, price=100.1, poc=100.0)
    assert shown(text, fine) == [True]
    for changed in (
        subject("PEPEUSDT", "^^^^=", change_24h=3.5, volume_24h=2e8, price=100.1, poc=100.0),
        subject("1000PEPEUSDT", "^^^v^", change_24h=3.5, volume_24h=2e8, price=100.1, poc=100.0),
        subject("1000PEPEUSDT", "^^^^=", change_24h=2.9, volume_24h=2e8, price=100.1, poc=100.0),
        subject("1000PEPEUSDT", "^^^^=", change_24h=3.5, volume_24h=2e7, price=100.1, poc=100.0),
        subject("1000PEPEUSDT", "=^v^=", change_24h=3.5, volume_24h=2e8, price=100.1, poc=100.0),
        subject("1000PEPEUSDT", "^^^^=", change_24h=3.5, volume_24h=2e8, price=100.3, poc=100.0),
    ):
        assert shown(text, changed) == [False]
    assert parse(text, FIELDS).fields == ("24h", "vol", "trend.1h", "align", "near(poc)", "name")


def test_patterns_are_those_of_before() -> None:
    names = [subject(name) for name in ("BTCUSDT", "ETHUSDT", "SOLUSDC", "币安人生USDT")]
    assert shown("^(btc|eth)", *names) == [True, True, False, False]
    assert shown("(btc|eth)", *names) == [True, True, False, False]
    assert shown("!usdt", *names) == [False, False, True, False]
    assert shown("人生", *names) == [False, False, False, True]
    assert shown("", *names) == [True] * 4
    assert shown("   ", *names) == [True] * 4
    assert shown("btc or sol", *names) == [True, False, True, False]
    assert shown('name="btcusdt"', *names) == [True, False, False, False]
    assert shown('name~"^(SOL|ETH)"', *names) == [False, True, True, False]
    assert shown("name!~usdt$", *names) == [False, False, True, False]
    assert not parse("btc", FIELDS).live
    assert parse("btc 24h>1", FIELDS).live


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("24h>3", True), ("24h > 3", True), ("24h>=3.5%", True), ("24h<3.5", False), ("24h!=3.5", False),
        ("vol>1.5B", True), ("vol>2b", False), ("VOL>1500m", True), ("volume>1e9", True), ("vol<2.1B", True),
        ("held>1h", True), ("held>=2h", True), ("held>7201", False), ("held<=120m", True), ("held<1d", True),
        ("trend.1h!=sell", True), ("trend.1h=SELL", False), ("va=in", True), ("state=live", True),
        ("ema.4h>1.9", True), ("range>9", True), ("near(vwap)<0.1", True), ("from(poc)<0", True),
        ("from(high)>-5", True), ("pinned", False), ("not pinned", True), ("pinned=no", True),
        ("24h>3 and vol>100M", True), ("24h>9 or vol>100M", True), ("24h>9 or vol>100M 1m>9", False),
        ("(24h>9 or vol>100M) align=5", True), ("!(24h>9 or vol>100M)", False), ("24h>9||align=5", True),
        ("24h>3&&align=5", True), ("not 24h>3", False), ("!24h>3", False), ("!!24h>3", True),
        ("gaps=0 alerts=0", True),
    ],
)  # fmt: skip
def test_conditions(text: str, passes: bool) -> None:
    item = subject(
        trends="^^^^^", change_24h=3.5, change_1m=0.1, volume_24h=2e9, price=100.0, poc=101.0, vwap=100.0,
        vah=102.0, val=98.0, high_24h=104.0, low_24h=95.0,
    )  # fmt: skip
    assert shown(text, item) == [passes], text


def test_what_is_unknown_is_shown_neither_by_a_condition_nor_by_its_opposite() -> None:
    new = subject("NEWUSDT")
    for text in ("24h>3", "!24h>3", "not 24h<=3", "trend.1h=buy", "trend.1h!=buy", "near(poc)<9", "held>0",
                 "24h>3 or vol>1", "!(24h>3 and vol>1)"):  # fmt: skip
        assert shown(text, new) == [False], text
    assert shown("24h>3 or new", new) == [True]
    assert shown("!(24h>3 and btc)", new) == [True]


@pytest.mark.parametrize(
    ("text", "start", "end", "says"),
    [
        ("24hh>3", 0, 4, 'no field "24hh": 24h?'),
        (
            "btc trend.2h=buy",
            4,
            12,
            'no field "trend.2h": trend.1m, trend.5m, trend.15m, trend.1h, trend.4h?',
        ),
        ("near(pov)<1", 0, 9, 'no field "near(pov)": near(poc), near(vah)'),
        ("foo>3", 0, 3, 'no field "foo"; docs/scanner.md and the list that s opens have the fields'),
        ("vol>1,5 btc", 4, 7, '"1,5" is not understood: a number such as 3, 0.5, 250k, 100M, 1.5B; commas'),
        ("vol>lots", 4, 8, '"lots" is not understood: a number such as 3, 0.5, 250k, 100M, 1.5B'),
        ("vol>5q ", 4, 6, '"5q" is not understood'),
        ("vol>1e400", 4, 9, '"1e400" is too large'),
        ("trend.1h=up", 9, 11, 'trend.1h is one of buy, sell, neutral, not "up"'),
        ("trend.1h>buy", 8, 9, 'trend.1h is compared with = !=, not ">"'),
        ("name>btc", 4, 5, 'name is compared with ~ !~ = !=, not ">"'),
        ("24h>3)", 5, 6, '")" without "(" before it: remove it'),
        ("() btc", 1, 2, 'a condition is missing before ")"'),
        ("or btc", 0, 2, 'a condition is missing before "or"'),
        ("24h>3 and or btc", 10, 12, 'a condition is missing before "or"'),
        ("[a btc", 0, 2, "not a regular expression: unterminated character set"),
        ("24h> )", 5, 5, "a value is missing: a percentage such as 3 or -0.5"),
        ("vol btc", 0, 3, "vol needs one of > >= < <= = != and a value; for symbols of that name: name~vol"),
        ("(" * 30 + "btc" + ")" * 30, 20, 21, "more than 20 brackets within each other"),
        ("a" * (MAX_LENGTH + 1), MAX_LENGTH, MAX_LENGTH + 1, "a filter has at most 400"),
    ],
)
def test_a_fault_says_where_it_is_and_what_to_write(text: str, start: int, end: int, says: str) -> None:
    fault = refused(text)
    assert says in str(fault)
    assert (fault.start, fault.end) == (start, end)
    assert not fault.unfinished


def test_letters_typed_one_by_one_are_unfinished_or_good_never_wrong() -> None:
    text = '24h>-3.5 vol>=1e6 and trend.1h=buy !align!=3 (near(poc)<0.2 or held>2h) name~"^1000" pinned'
    for length in range(len(text) + 1):
        fault = fault_of(text[:length])
        assert fault is None or fault.unfinished, (text[:length], str(fault))
    for part in ("24h>3", "btc", "pinned", text):
        assert fault_of(part) is None
    for part in ("24h>", "24h", "24h>3 and", "trend.1h=b", "(btc", "!", "24h!"):
        fault = fault_of(part)
        assert fault is not None
        assert fault.unfinished


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("24h>3 and", 'a condition is missing after "and"'),
        ("24h>3 || ", 'a condition is missing after "||"'),
        ("btc OR", 'a condition is missing after "OR"'),
        ("(", 'a condition is missing after "("'),
        ("!", 'a condition is missing after "!"'),
        ("((price>1", '")" is missing'),
    ],
)
def test_what_is_missing_at_the_end_is_named_with_what_it_must_follow(text: str, says: str) -> None:
    fault = refused(text)
    assert fault.unfinished
    assert str(fault) == says


@pytest.mark.parametrize("number", ["108,183.7", "108183.7", "108,183.70", "+108,183.7", "0.1081837M"])
def test_numbers_have_thousands_marked_or_not(number: str) -> None:
    those = subject(price=108_183.7), subject(price=108_183.8)
    assert shown(f"price<={number}", *those) == [True, False]
    assert shown("price>1,000,000", *those) == [False, False]
    for length in range(1, len(number)):
        assert (fault := fault_of(f"price<={number[:length]}")) is None or fault.unfinished


def fault_of(text: str) -> FilterError | None:
    try:
        parse(text, FIELDS)
    except FilterError as fault:
        return fault
    return None


# Against a second reading of the language, made of trees that are written down as text.


@dataclass(frozen=True)
class Tree:
    text: str
    verdict: Callable[[Subject], bool | None]


_KLEENE_NOT = {True: False, False: True, None: None}
_RELATIONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "=": operator.eq,
              "!=": operator.ne}  # fmt: skip
_TAKEN: dict[str, Callable[[SymbolView], float | None]] = {
    "24h": lambda v: v.change_24h,
    "1m": lambda v: v.change_1m,
    "vol": lambda v: v.volume_24h,
    "relvol": lambda v: v.relative_volume,
    "price": lambda v: v.price,
}


@st.composite
def comparisons(draw: st.DrawFn) -> Tree:
    name, sign = draw(st.sampled_from(sorted(_TAKEN))), draw(st.sampled_from(sorted(_RELATIONS)))
    limit = draw(st.sampled_from([-3, 0, 0.5, 2, 3]))
    blank = draw(st.sampled_from(["", " "]))

    def verdict(item: Subject) -> bool | None:
        value = _TAKEN[name](item.view)
        return None if value is None else _RELATIONS[sign](value, limit)

    return Tree(f"{name}{blank}{sign}{blank}{limit}", verdict)


@st.composite
def trend_tests(draw: st.DrawFn) -> Tree:
    timeframe = draw(st.sampled_from(TIMEFRAMES))
    word = draw(st.sampled_from(["buy", "sell", "neutral"]))

    def verdict(item: Subject) -> bool | None:
        states = {frame.timeframe: frame.trend for frame in item.view.timeframes}
        return None if states.get(timeframe) is None else states[timeframe].lower() == word

    return Tree(f"trend.{LABELS[timeframe]}={word}", verdict)


def _all(parts: list[Tree], joint: str) -> Tree:
    def verdict(item: Subject) -> bool | None:
        found = [part.verdict(item) for part in parts]
        return False if False in found else None if None in found else True

    return Tree("(" + joint.join(part.text for part in parts) + ")", verdict)


def _any(parts: list[Tree], joint: str) -> Tree:
    def verdict(item: Subject) -> bool | None:
        found = [part.verdict(item) for part in parts]
        return True if True in found else None if None in found else False

    return Tree("(" + joint.join(part.text for part in parts) + ")", verdict)


leaves = (
    comparisons()
    | trend_tests()
    | st.sampled_from(["btc", "^1000", "usdt$"]).map(
        lambda pattern: Tree(pattern, lambda s: re.search(pattern, s.view.symbol, re.IGNORECASE) is not None)
    )
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(_all, st.lists(inner, min_size=2, max_size=3), st.sampled_from([" ", " and ", " && "])),
        st.builds(_any, st.lists(inner, min_size=2, max_size=3), st.sampled_from([" or ", "||", "  OR "])),
        st.builds(lambda t, sign: Tree(sign + t.text, lambda s: _KLEENE_NOT[t.verdict(s)]), inner,
                  st.sampled_from(["!", "not ", "! "])),
    ),
    max_leaves=8,
)  # fmt: skip
numbers = st.none() | st.sampled_from([-3.0, 0.0, 0.5, 1.0, 2.0, 3.0])
any_subject = st.builds(
    subject, st.sampled_from(["BTCUSDT", "1000PEPEUSDT", "ETHBTC"]), st.text("^v=?", max_size=5),
    change_24h=numbers, change_1m=numbers, volume_24h=numbers, relative_volume=numbers, price=numbers,
)  # fmt: skip


@given(trees, st.lists(any_subject, min_size=1, max_size=4))
@settings(max_examples=examples(300), deadline=None)
def test_a_filter_means_what_its_tree_means(tree: Tree, those: list[Subject]) -> None:
    if len(tree.text) > MAX_LENGTH:
        return
    assert shown(tree.text, *those) == [tree.verdict(item) is True for item in those], tree.text


_PIECES = st.sampled_from(
    ["24h", "trend.1h", "near(poc)", "near(", "name", "pinned", ">", "<=", "=", "!=", "!~", "~", "(", ")",
     "!", " ", "and ", "or ", "not ", '"', "3", "-", "100M", "buy", "btc", "[", "*", "\\", ".", "||", "&",
     "é", "币"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=12).map("".join) | st.text(string.printable, max_size=40))
@example("((((" * 200)
@example("!" * 399)
@example("not " * 99)
@example("a" * 50 + "(" * 300)
@example("{1,99999999999999999999}")
@settings(max_examples=examples(500), deadline=None)
def test_no_text_breaks_it_and_a_fault_lies_inside_the_text(text: str) -> None:
    fault = fault_of(text)
    if fault is None:
        parse(text, FIELDS).shows(subject("币安人生USDT", "^v"))
    else:
        assert str(fault)
        assert 0 <= fault.start <= fault.end <= len(text)
    for offer in completions(text, FIELDS):
        assert 0 <= offer.start <= len(text)
    hint(text, FIELDS)


# Completion


def offered(text: str) -> list[str]:
    return [offer.applied_to(text) for offer in completions(text, FIELDS)]


def test_completion_offers_fields_operators_and_values() -> None:
    assert offered("tr")[:2] == ["trend.1m", "trend.5m"]
    assert offered("24h>3 trend.1h=") == [f"24h>3 trend.1h={w}" for w in ("buy", "sell", "neutral")]
    assert offered("trend.1h=s") == ["trend.1h=sell"]
    assert offered("trend.1h = s") == ["trend.1h = sell"]
    assert offered("24h")[0] == "24h>"
    assert offered("near(v")[:3] == ["near(vah)", "near(val)", "near(vwap)"]
    assert offered("volu")[0] == "vol"
    assert offered("(24h>3 o")[0] == "(24h>3 or"
    assert offered("pinned=") == ["pinned=yes", "pinned=no"]
    assert offered("24h>3 ") == []
    assert offered("24h>") == []
    assert len(offered("")) == len(FIELDS)
    assert "%" in hint("24h>", FIELDS)
    assert "quote asset" in hint("vol", FIELDS)


@pytest.mark.parametrize("text", ["align", "align>", "relvol", "relvol>=", "trend.1h=", "near(poc)<"])
def test_a_hint_keeps_what_can_be_typed_where_it_is_narrow(text: str) -> None:
    whole = hint(text, FIELDS)
    typed = whole.rpartition(": ")[2]
    for width in range(len(typed), len(whole) + 1):
        shown = hint(text, FIELDS, width)
        assert len(shown) <= width
        assert shown.endswith(typed)
    assert hint(text, FIELDS, len(whole)) == whole


@given(st.lists(_PIECES, max_size=8).map("".join))
@settings(max_examples=examples(300), deadline=None)
def test_what_completion_offers_is_never_wrong_at_its_place(text: str) -> None:
    for offer in completions(text, FIELDS):
        completed = offer.applied_to(text)
        assert completed != text
        assert completed[offer.start :] == offer.text
        fault = fault_of(offer.text)
        assert fault is None or fault.unfinished or offer.text in ("and", "or"), (completed, str(fault))


def test_every_field_is_filtered_with_each_of_its_operators() -> None:
    monitor = with_troubles(FakeMonitor(14))
    those = Subjects(monitor.snapshot(), pinned=["BTCUSDT"]).values()
    values = {Kind.NUMBER: "1", Kind.PERCENT: "1", Kind.DURATION: "1m", Kind.NAME: "BTC", Kind.FLAG: "yes"}
    for field in FIELDS.values():
        for sign in OPERATORS[field.kind]:
            value = values.get(field.kind) or field.words[0]
            found = parse(f"{field.name}{sign}{value}", FIELDS)
            assert found.fields == (field.name,)
            passed = sum(found.shows(item) for item in those)
            opposite = parse(f"not {found.text}", FIELDS)
            unknown = sum(field.value(item) is None for item in those)
            assert passed + sum(opposite.shows(item) for item in those) + unknown == len(those)
