"""Raw files that DuckDB's reader would stop at: functions that models call, as a plugin of dbt-duckdb.

A landing file is an outside party's. One byte that is not UTF-8, or a gzip that is cut, ends DuckDB's whole statement,
and its message quotes the line. So each new file is looked at once, in flat memory; one with a fault is taken apart.
"""

from __future__ import annotations

import atexit
import codecs
import functools
import gc
import hashlib
import json
import os
import re
from collections import deque
from datetime import datetime, timedelta
from stat import S_ISDIR, S_ISREG
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb.func import SPECIAL
from isal import igzip_lib, isal_zlib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import duckdb

CHUNK_BYTES = 1 << 20
COLUMN_END = b"\x01"  # to the model's reader; in JSON it stands nowhere, and what follows it would not be read
MOST_BYTES = 32 << 20  # of a line
WHOLE_BYTES = 1 << 20  # of a line of a file that is read as it is; for longer ones the reader would need larger buffers
LONG, UNKNOWN = b"the line is longer than 32 MB", "\ufffd".encode()
KEPT_BYTES = 1000  # of a line that is longer
SHAPES = 4096  # of JSON, kept with their answers: programs write few
# Bytes, and times its size, beyond both of which a gzip is no log of anybody's.
MOST_UNPACKED, MOST_TIMES = 1 << 30, 200
MAGIC = b"\x1f\x8b"
HEAD = 4  # bytes of a gzip's head, the last of which says what else is in it
PLAIN_HEAD, POSSIBLE_HEAD = 0b1100, 0b11111  # what DuckDB's reader takes: more fields, a name; what the format knows
GZIP = 31  # window bits: a gzip header and its checksum
ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")  # a byte of a file's name
UNREAD = re.compile(r"[\\[*?]")  # to find such a name DuckDB looks through the folder, and may stop at another's name
ODD = re.compile(rb"[\x00-\x1f\x7f]|\\x[0-9a-f]{2}")  # what a name has that is told otherwise
# In JSON, and before each of them what is no half: a backslash that stands for one, a whole character.
HALF = re.compile(
    r"\\\\|\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|\\u([dD][89a-fA-F][\da-fA-F]{2})", re.ASCII
)
MARK = r"\u0000\u0001"
MARKED = re.compile(rf"\\\\|{re.escape(MARK)}([\da-fA-F]{{4}})", re.ASCII)
EPOCH = datetime(1970, 1, 1)  # UTC, as the model has it
LANDED_FILES = "struct(file_name varchar, file_size bigint, modified_at timestamp)[]"


class Damaged(Exception):
    """Why a file cannot be read to its end; never what is in it."""


class Plugin(BasePlugin):
    """Named in profiles.yml; dbt-duckdb calls it once for each connection."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Makes the functions known to SQL."""
        # dbt keeps all that it has parsed to its end. Not looked through at each collection: a tenth of a build's CPU.
        gc.freeze()
        atexit.register(gc.unfreeze)  # or DuckDB says at the end what it thinks leaked
        functions: list[tuple[Callable[..., Any], str]] = [
            (landed_files, LANDED_FILES),
            (file_fault, "varchar"),
            (file_exists, "boolean"),
            (mended_copy, "varchar"),
            (json_fault, "varchar"),
            (halves_marked, "varchar"),
            (halves_unmarked, "varchar"),
            (a_name_comes_twice, "boolean"),
        ]
        for function, returns in functions:
            conn.create_function(
                function.__name__,
                function,
                ["varchar"],
                returns,
                null_handling=SPECIAL,  # NULL is an answer
                side_effects=function in (landed_files, file_fault, file_exists, mended_copy),  # files change
            )


def landed_files(folder: str) -> list[dict[str, Any]]:
    """What lies in a folder and those in it: names below it, bytes, times. What cannot be read has -1 bytes.

    DuckDB's own list has no links and no backslashes, and one name that is not UTF-8 ends it. Links are not followed:
    who may leave files here could point at another's.
    """
    found: list[dict[str, Any]] = []
    top = folder.encode()
    folders = [top]
    while folders:
        here = folders.pop()
        try:
            with os.scandir(here) as listed:
                entries = list(listed)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # no permission, too long a path: named, as a file that cannot be read is
            found.append({"file_name": _told(here[len(top) + 1 :]), "file_size": -1, "modified_at": EPOCH})
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif state := _state_of(entry.path):
                found.append({"file_name": _told(entry.path[len(top) + 1 :]), **state})
    return found


def _state_of(path: bytes) -> dict[str, Any] | None:
    """Bytes and time of a file; None when it is gone meanwhile. A permission that is given later changes its bytes."""
    try:
        state = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError:
        return {"file_size": -1, "modified_at": EPOCH}
    readable = S_ISREG(state.st_mode) and os.access(path, os.R_OK)
    return {
        "file_size": state.st_size if readable else -1,
        "modified_at": EPOCH + timedelta(microseconds=state.st_mtime_ns // 1000),
    }


def sha256_as_listed(path: str, listed: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Whether a file is as `landed_files` told of it, its time to the second; and its SHA-256, of one that can be read.

    path: with the name as it was told.
    """
    found = None
    try:
        if listed["file_size"] >= 0:
            with open(_path_of(path), "rb", opener=_at_once) as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return False, None
    now = _state_of(_path_of(path))
    if now is None or now["file_size"] != listed["file_size"]:
        return False, None
    return now["modified_at"].replace(microsecond=0) == listed["modified_at"].replace(microsecond=0), found


def _told(name: bytes) -> str:
    r"""A name as text that no query or log stumbles over: control characters, and bytes that are not UTF-8, as \xff."""
    try:
        if not ODD.search(name):
            return name.decode()
    except UnicodeDecodeError:
        pass
    name = re.sub(rb"[\\\x00-\x1f\x7f]", lambda sign: b"\\x%02x" % ord(sign[0]), name)
    return name.decode(errors="backslashreplace")


def _path_of(told: str) -> bytes:
    """The path of a file whose name is as `landed_files` tells it."""
    return ESCAPED.sub(lambda byte: bytes.fromhex(byte[1].decode()), told.encode())


def file_exists(path: str) -> bool:
    """Whether there is a file, or what is in the place of one: one that was seen may be gone."""
    try:
        return not S_ISDIR(os.lstat(_path_of(path)).st_mode)
    except OSError:
        return False


def file_fault(path: str) -> str | None:
    """Why DuckDB's reader would stop at a file, or read other lines than it has; None when it would not."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    length = 0  # of the line that is being read
    if UNREAD.search(path):
        return "a name that DuckDB's reader does not take"
    try:
        for chunk in _bytes_of(path, PLAIN_HEAD):
            decoder.decode(chunk)
            if COLUMN_END in chunk:
                return "a control character that ends a column"
            if b"\r" in chunk:
                return "carriage returns"
            head, line_end, _ = chunk.partition(b"\n")
            if length + len(head) > WHOLE_BYTES:
                return "a long line"
            length = len(chunk) - chunk.rindex(b"\n") - 1 if line_end else length + len(chunk)
        decoder.decode(b"", final=True)
    except Damaged as fault:
        return str(fault)
    except UnicodeDecodeError:
        return "not UTF-8"
    return None


def mended_copy(paths: str) -> str:
    """The path of a copy of files that have a fault, at which no reader stops: of each line number, fault, and itself.

    It has no name, and ends with this process. paths: a JSON list, from whose first, 1, the numbers count. A lone
    carriage return ends a line, as editors have it. A file that cannot be read is one empty line. Of a gzip that is cut
    nothing is taken: what is there may be half of what was meant, and the whole will come.
    """
    copy = TemporaryFile()  # noqa: SIM115 - read until the process ends, by its number
    atexit.register(copy.close)
    for number, path in enumerate(json.loads(paths), 1):
        began = copy.tell()
        try:
            deque(_bytes_of(path), 0)  # to its end, before any line: what cannot be read may have a billion of them
            for line, fault in map(_judged, _lines_of(path)):
                copy.write(_row(number, fault, line))
        except Damaged as why:
            copy.truncate(copy.seek(began))
            copy.write(_row(number, f"the file cannot be read: {why}".encode(), b""))
    copy.flush()
    return f"/dev/fd/{copy.fileno()}"


def _row(number: int, fault: bytes, line: bytes) -> bytes:
    return COLUMN_END.join((b"%d" % number, fault, line)) + b"\n"


def _judged(found: tuple[bytes, bool]) -> tuple[bytes, bytes]:
    """A line of UTF-8 in one column, and its fault; empty where it has none. found: as `_lines_of` tells it."""
    line, is_whole = found
    fault = b"" if is_whole else LONG
    if COLUMN_END in line:
        line, fault = line.replace(COLUMN_END, UNKNOWN), fault or b"not JSON"
    try:
        line.decode()
    except UnicodeDecodeError:
        text, fault = line.decode(errors="replace").encode(), fault or b"not UTF-8"
        line = text if len(text) <= MOST_BYTES else text[:KEPT_BYTES].decode(errors="ignore").encode()
    return line, fault


def _lines_of(path: str) -> Iterator[tuple[bytes, bool]]:
    """The lines of a file; of one that is too long its beginning, and False. Raises Damaged."""
    held, is_whole, is_first = b"", True, True

    def line(content: bytes) -> tuple[bytes, bool]:
        nonlocal is_first, is_whole
        content = content.removeprefix(codecs.BOM_UTF8) if is_first else content
        content = content.rstrip(b"\r\n")
        whole = is_whole and len(content) <= MOST_BYTES
        is_first, is_whole = False, True
        return (content if whole else content[:KEPT_BYTES]), whole

    for chunk in _bytes_of(path):
        *ended, held = (held + chunk).splitlines(keepends=True) or [b""]
        for content in ended:
            yield line(content)
        if held.endswith(b"\n"):
            yield line(held)
            held = b""
        elif len(held) > MOST_BYTES:  # a carriage return at its end may have its line feed in the next chunk
            end = b"\r" if held.endswith(b"\r") else b""
            held, is_whole = held.removesuffix(end)[:KEPT_BYTES] + end, False
    if held:
        yield line(held)


def json_fault(text: str | None) -> str | None:
    """What the standard forbids and some readers let pass: one answer for every engine."""
    if text is None:
        return None
    try:
        _check_texts(json.loads(text, object_pairs_hook=_texts_sound, parse_constant=_no_number))
    except ValueError as error:
        return str(error) if isinstance(error, _Refused) else "not JSON"
    except RecursionError:
        return "nested too deeply"
    return None


def halves_marked(text: str | None) -> str | None:
    """A JSON text with a mark in the place of each half of a character: NUL, which is a fault too."""
    return text and HALF.sub(lambda found: f"{MARK}{found[1]}" if found[1] else found[0], text)


def halves_unmarked(text: str | None) -> str | None:
    """The text with the halves themselves."""
    return text and MARKED.sub(lambda found: f"\\u{found[1]}" if found[1] else found[0], text)


@functools.lru_cache(SHAPES)
def a_name_comes_twice(shape: str | None) -> bool:
    """Whether one of the objects of a text has a name twice: one reader takes its first value, another the last.

    shape: the names of each of its objects, as a JSON list of lists, null for one that is missing; the same for most
    events of a kind.
    """
    return any(len(set(names)) < len(names) for names in json.loads(shape or "[]") if names)


class _Refused(ValueError):
    """A text that reads as JSON, and means another thing to another reader."""


def _texts_sound(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for pair in pairs:
        _check_texts(list(pair))
    return {}


def _check_texts(value: Any) -> None:
    """Of a text, or of a list of texts and lists: objects have been looked at, and are empty."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, str):
            if "\0" in part:
                raise _Refused("a text holds the character NUL")
            if not part.isascii() and any("\ud800" <= sign <= "\udfff" for sign in part):
                raise _Refused("a text holds half a character")


def _no_number(word: str) -> None:
    raise _Refused(f"{word} is no JSON")


def _bytes_of(path: str, heads: int = POSSIBLE_HEAD) -> Iterator[bytes]:
    """A file's content, unpacked where its name says so. heads: what a gzip's may have. Raises Damaged."""
    try:
        if not S_ISREG(os.lstat(_path_of(path)).st_mode):
            raise Damaged("it is a link, or no regular file")
        with open(_path_of(path), "rb", opener=_at_once) as file:
            blocks = iter(lambda: file.read(CHUNK_BYTES), b"")
            yield from _unpacked(blocks, heads) if path.endswith(".gz") else blocks
    except FileNotFoundError:
        raise Damaged("it is gone") from None
    except OSError as error:
        raise Damaged(error.strerror or "an error of the disk") from None
    except (igzip_lib.IsalError, EOFError):  # type: ignore[misc] # as it is annotated
        raise Damaged("no gzip, or a damaged one") from None


def _at_once(path: str, flags: int) -> int:
    """Opens without waiting, should a pipe have taken the file's place meanwhile: nobody may ever write to it."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _unpacked(blocks: Iterator[bytes], heads: int) -> Iterator[bytes]:
    """A gzip of one or more members, each with its checksum, as long as it is no bomb."""
    member, data = isal_zlib.decompressobj(GZIP), _with_head(next(blocks, b""), blocks, heads)
    packed, unpacked = len(data), 0
    if not data:
        raise Damaged("an empty gzip")
    while data:
        content = member.decompress(data, CHUNK_BYTES)
        unpacked += len(content)
        if unpacked > max(MOST_UNPACKED, MOST_TIMES * packed):
            raise Damaged(f"it unpacks to more than {MOST_TIMES} times its size")
        yield content
        data = member.unused_data if member.eof else member.unconsumed_tail
        if not data:
            data = next(blocks, b"")
            packed += len(data)
        if member.eof and data:
            if not data.startswith(b"\x1f"):
                raise Damaged("there is something after the end of the gzip")
            before = len(data)
            data = _with_head(data, blocks, heads)
            packed += len(data) - before
            member = isal_zlib.decompressobj(GZIP)
    if not member.eof:
        raise Damaged("the gzip is cut")


def _with_head(data: bytes, blocks: Iterator[bytes], heads: int) -> bytes:
    """The beginning of a member, as long as its head at least. Raises Damaged for a head that has what it may not."""
    while len(data) < HEAD and (more := next(blocks, b"")):
        data += more
    if data.startswith(MAGIC) and len(data) >= HEAD and data[HEAD - 1] & ~heads:
        raise Damaged("the head of the gzip has what not every reader takes")
    return data
