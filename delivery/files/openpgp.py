"""OpenPGP: files encrypted to a client's certificates by GnuPG, with a home of its own that holds no key.

GnuPG judges them at the moment of encryption, too; what is said here is why it would refuse.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, cast

from delivery.errors import ConfigError, WriteFailed
from delivery.files.disk import exclusive, hash_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

CHUNK_BYTES = 1 << 20
HINT = "Ask the client for a certificate (public key) that is valid and can encrypt, and put it there."


def check_certificates(paths: Iterable[Path]) -> None:
    """Raises ConfigError, naming file and reason, when files cannot be encrypted to one of the certificates."""
    for path in paths:
        if reason := _why_not(_listed(path)):
            raise ConfigError(f"The certificate {path} {reason}.", hint=HINT)


@dataclass(frozen=True)
class Encrypted:
    """What was encrypted, and what came of it: SHA-256 of both, and the size of the result."""

    source_sha256: str
    bytes: int
    sha256: str


def encrypt(source: IO[bytes], target: Path, certificates: Sequence[Path]) -> Encrypted:
    """Encrypts all of source to a new file of mode 0600, binary and not armored, in flat memory.

    The owner of any of the certificates can read it. Raises ConfigError when one of them cannot be used, WriteFailed
    when the disk or GnuPG fails.
    """
    check_certificates(certificates)
    digest = hashlib.sha256()
    with exclusive(target) as disk, _gnupg() as command:
        asked = ["--trust-model", "always", "--compress-algo", "none"]
        for certificate in certificates:
            asked += ["--recipient-file", str(certificate.resolve())]
        with subprocess.Popen(
            [*command, *asked, "--encrypt"], stdin=subprocess.PIPE, stdout=disk, stderr=subprocess.DEVNULL
        ) as process:
            feed = cast("IO[bytes]", process.stdin)
            try:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    feed.write(chunk)
                feed.close()
            except BrokenPipeError:
                pass  # it says why by its exit code
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise WriteFailed(
                f"{target.name} could not be encrypted: gpg ended with {process.returncode}.",
                hint="Check the disk of the spool and the certificates, then run again.",
            )
    return Encrypted(digest.hexdigest(), target.stat().st_size, hash_file(target))


@contextmanager
def _gnupg() -> Iterator[list[str]]:
    """The command, with an empty home: nobody's keys, nobody's options, no agent."""
    program = shutil.which("gpg")
    if program is None:
        raise ConfigError("encryption: openpgp needs gpg.", hint="Install GnuPG (Debian: gpg).")
    with tempfile.TemporaryDirectory(prefix="delivery-gnupg-") as home:
        yield [program, "--homedir", home, "--batch", "--no-tty", "--no-options", "--no-autostart", "--quiet"]


def _listed(path: Path) -> list[list[str]]:
    """The keys in the file, as GnuPG lists them with colons."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The certificate {path} cannot be read: {error.strerror}.", hint=HINT) from None
    with _gnupg() as command:
        done = subprocess.run(
            [*command, "--with-colons", "--show-keys"], input=content, capture_output=True, check=False
        )
    return [line.split(":") for line in done.stdout.decode("utf-8", "replace").splitlines()]


def _why_not(lines: list[list[str]]) -> str | None:
    kinds = [fields[0] for fields in lines]
    if {"sec", "ssb"} & {*kinds}:
        return "holds a secret key, which the client must keep"
    if kinds.count("pub") != 1:
        return "is not an OpenPGP certificate" if "pub" not in kinds else "holds several certificates"
    primary = lines[kinds.index("pub")]
    if primary[1] == "r":
        return "was revoked"
    if primary[1] == "e":
        return f"expired on {_day(primary[6])}"
    if "E" in primary[11]:  # in capitals: what the certificate as a whole can do now
        return None
    able = [fields for fields in lines if fields[0] == "sub" and "e" in fields[11]]
    if any(fields[1] == "e" for fields in able):
        return f"has a key for encryption that expired on {max(_day(f[6]) for f in able if f[1] == 'e')}"
    return "has only a revoked key for encryption" if able else "can only sign: it has no key for encryption"


def _day(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).date().isoformat()
