"""One fault: a piece of a file's text and what stands there instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """`before` stands at `start` of the file's text; `kind` says what sort of fault `after` is."""

    file: str
    start: int
    before: str
    after: str
    kind: str

    def apply(self, text: str) -> str:
        """The file's text with the fault in it."""
        end = self.start + len(self.before)
        if text[self.start : end] != self.before:
            raise ValueError(f"{self.file} is another file now")
        return text[: self.start] + self.after + text[end:]

    def line(self, text: str) -> int:
        """The line where the changed text begins, from 1; blank lines in front of it do not count."""
        blank = len(self.before) - len(self.before.lstrip())
        return text.count("\n", 0, self.start + (blank if self.before.strip() else 0)) + 1

    def last_line(self, text: str) -> int:
        """The line where the changed text ends."""
        return max(self.line(text), text.count("\n", 0, self.start + len(self.before.rstrip())) + 1)

    def diff(self, text: str) -> tuple[str, str]:
        """The changed lines before and after, each on one line."""
        first = text.rfind("\n", 0, self.start) + 1
        end = self.start + len(self.before)
        last = text.find("\n", end - self.before.endswith("\n"))
        last = len(text) if last < 0 else last
        before = text[first:last]
        after = text[first : self.start] + self.after + text[end : max(last, end)]
        return " ".join(before.split()), " ".join(after.split())
