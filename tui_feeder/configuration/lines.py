"""On which line of a TOML file each key stands, which the standard parser does not give. Pure."""

from __future__ import annotations

import re
import tomllib
from typing import TypeAlias

#: From the outermost section inwards; an element of a list is known by its index.
KeyPath: TypeAlias = tuple[str | int, ...]

#: Names below this many levels are not distinguished; it bounds what a hostile file can cost.
_DEEPEST = 16
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})|'
    r"'''.*?'''(?:'{0,2})|"
    r'"(?:[^"\\]|\\.)*"|'
    r"'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def locate(text: str) -> dict[KeyPath, int]:
    """Find the line of every key, section and list element.

    Args:
        text: TOML that has passed ``tomllib``.

    Returns:
        Lines from 1, by path. A section that only dotted keys or deeper sections make has the line of the
        first of them.
    """
    return _Locator(text).run()


class _Locator:
    """One walk over a text that is known to be valid TOML."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._lines: dict[KeyPath, int] = {}
        self._tables_in_list: dict[KeyPath, int] = {}

    def run(self) -> dict[KeyPath, int]:
        section: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                section = self._header()
            else:
                self._pair(section)
            self._skip(_BLANK)
        return self._lines

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        skipped = match[0] if match else ""
        self._line += skipped.count("\n")
        self._at += len(skipped)
        return skipped

    def _name(self, path: KeyPath) -> KeyPath:
        """Reads a dotted name under ``path`` and notes the line of each part that is new."""
        while True:
            self._skip(_SPACE)
            part = self._skip(_KEY)
            if part[0] in "\"'":
                part = tomllib.loads(f"key = {part}")["key"]
            if len(path) < _DEEPEST:
                path = (*path, part)
                self._lines.setdefault(path, self._line)
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return path
            self._at += 1
            path = self._newest_table(path)

    def _newest_table(self, path: KeyPath) -> KeyPath:
        count = self._tables_in_list.get(path)
        return path if count is None else (*path, count - 1)

    def _header(self) -> KeyPath:
        in_list = self._text.startswith("[[", self._at)
        self._at += 2 if in_list else 1
        path = self._name(())
        self._at += 2 if in_list else 1
        if in_list:
            self._tables_in_list[path] = self._tables_in_list.get(path, 0) + 1
            path = self._newest_table(path)
        self._lines[path] = self._line
        return path

    def _pair(self, section: KeyPath) -> None:
        path = self._name(section)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opening = self._text[self._at]
        if opening in "\"'":
            self._skip(_STRING)
        elif opening in "[{":
            self._at += 1
            self._skip(_BLANK)
            index = 0
            while self._text[self._at] not in "]}":
                if opening == "[":
                    self._lines[(*path, index)] = self._line
                    self._value((*path, index))
                else:
                    self._pair(path)
                index += 1
                self._skip(_BLANK)
                if self._text[self._at] == ",":
                    self._at += 1
                    self._skip(_BLANK)
            self._at += 1
        else:
            self._skip(_SCALAR)
