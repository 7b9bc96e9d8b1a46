"""OpenPGP: files encrypted to a client's certificates by GnuPG, with a home of its own that holds no key.

GnuPG judges them at the moment of encryption, too; what is said here is why it would refuse.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from pydantic import SecretStr

from delivery.errors import ConfigError, WriteFailed
from delivery.files.disk import exclusive, hash_file, locked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from delivery.config.integrations import Signature

CHUNK_BYTES = 1 << 20
_HOME = "delivery-gnupg-"
_LONGEST_HOME = 107 - len("/S.gpg-agent.browser")  # bytes of a socket's path
_YOUNG_SECONDS = 5  # within which a folder that was just made is locked
SIGN_HINT = "Give signature.private_key an OpenPGP secret key that is valid and can sign, and its passphrase."
HINT = "Ask the client for a certificate (public key) that is valid and can encrypt, and put it there."


def check_certificates(paths: Iterable[Path]) -> None:
    """Raises ConfigError, naming file and reason, when files cannot be encrypted to one of the certificates."""
    for path in paths:
        if reason := _why_not(_listed(path)):
            raise ConfigError(f"The certificate {path} {reason}.", hint=HINT)


def check_signature(signature: Signature | None) -> None:
    """Raises ConfigError when the key cannot sign, as far as can be told without its passphrase."""
    if signature:
        with _gnupg(signature) as command, _signing(command, signature):
            pass


@dataclass(frozen=True)
class Encrypted:
    """What was encrypted, and what came of it: SHA-256 of both, and the size of the result."""

    source_sha256: str
    bytes: int
    sha256: str


def encrypt(
    source: IO[bytes],
    target: Path,
    certificates: Sequence[Path],
    *,
    armor: bool = False,
    signature: Signature | None = None,
) -> Encrypted:
    """Encrypts all of source to a new file of mode 0600, in flat memory; armor: as text; signature: and signs it.

    The owner of any of the certificates can read it. Raises ConfigError when one of them, or the key that signs, cannot
    be used, WriteFailed when the disk or GnuPG fails.
    """
    check_certificates(certificates)
    digest = hashlib.sha256()
    with exclusive(target) as disk, _gnupg(signature) as command, _signing(command, signature) as signed:
        asked = ["--trust-model", "always", "--compress-algo", "none", *(["--armor"] if armor else []), *signed.asked]
        for certificate in certificates:
            asked += ["--recipient-file", str(certificate.resolve())]
        with subprocess.Popen(
            [*command, *asked, "--encrypt"],
            stdin=subprocess.PIPE, stdout=disk, stderr=subprocess.DEVNULL, pass_fds=signed.open,
        ) as process:  # fmt: skip
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
                hint="Check the disk of the spool, the certificates"
                f"{' and the passphrase of the signing key' if signature else ''}, then run again.",
            )
    return Encrypted(digest.hexdigest(), target.stat().st_size, hash_file(target))


@contextmanager
def _gnupg(signature: Signature | None = None) -> Iterator[list[str]]:
    """The command, with an empty home: nobody's keys, nobody's options; an agent, which ends with it, only to sign."""
    program = shutil.which("gpg")
    if program is None:
        raise ConfigError("encryption: openpgp needs gpg.", hint="Install GnuPG (Debian: gpg).")
    with _home() as home:
        command = [program, "--homedir", home, "--batch", "--no-tty", "--no-options", "--quiet"]
        if signature is None:
            yield [*command, "--no-autostart"]
            return
        try:
            yield [*command, "--pinentry-mode", "loopback"]
        finally:
            end = [shutil.which("gpgconf") or "gpgconf", "--homedir", home, "--kill", "gpg-agent"]
            subprocess.run(end, capture_output=True, check=False)


@contextmanager
def _home() -> Iterator[str]:
    """A folder for one call, locked while it is used: one that nobody holds is of a process that was killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_HOME}*"):
        _remove_left(left)
    with tempfile.TemporaryDirectory(prefix=_HOME) as home, locked(Path(home)):
        yield home


def _remove_left(home: Path) -> None:
    """With the key that was to sign there. Its agent, which outlives who began it, ends when it is gone."""
    with suppress(OSError), locked(home, wait=False) as held:  # in use, or another's
        if os.fstat(held).st_mtime < time.time() - _YOUNG_SECONDS:
            shutil.rmtree(home)


class _Signed(NamedTuple):
    """asked: what makes GnuPG sign; open: descriptors that it reads then."""

    asked: list[str]
    open: tuple[int, ...]


@contextmanager
def _signing(command: list[str], signature: Signature | None) -> Iterator[_Signed]:
    """The key in the home of this one call. No secret is an argument."""
    if signature is None:
        yield _Signed([], ())
        return
    subprocess.run([*command, "--import"], input=_content(signature.private_key), capture_output=True, check=False)
    if reason := _why_not_signing(_columns(command, "--list-secret-keys")):
        if len(os.fsencode(home := command[command.index("--homedir") + 1])) > _LONGEST_HOME:
            hint = "Set TMPDIR to a folder with a shorter path, as /tmp."
            raise ConfigError(f"gpg cannot sign below {home}: that is too long for its agent's socket.", hint=hint)
        raise ConfigError(f"signature.private_key {reason}.", hint=SIGN_HINT)
    reads, writes = os.pipe()
    with os.fdopen(reads), os.fdopen(writes, "w", encoding="utf-8") as passphrase:
        passphrase.write(signature.passphrase.get_secret_value() if signature.passphrase else "")
        passphrase.close()
        yield _Signed(["--passphrase-fd", str(reads), "--sign"], (reads,))


def _content(key: Path | SecretStr) -> bytes:
    if isinstance(key, SecretStr):
        return key.get_secret_value().encode()
    try:
        return key.read_bytes()
    except OSError as error:
        raise ConfigError(f"signature.private_key {key} cannot be read: {error.strerror}.", hint=SIGN_HINT) from None


def _why_not_signing(lines: list[list[str]]) -> str | None:
    primary = [fields for fields in lines if fields[0] == "sec"]
    if len(primary) != 1:
        return "holds several secret keys" if primary else "is not an OpenPGP secret key"
    if primary[0][1] == "e":
        return f"expired on {_day(primary[0][6])}"
    return None if "S" in primary[0][11] and primary[0][1] != "r" else "cannot sign, or was revoked"


def _columns(command: list[str], *asked: str, given: bytes = b"") -> list[list[str]]:
    """What GnuPG lists with colons."""
    done = subprocess.run([*command, "--with-colons", *asked], input=given, capture_output=True, check=False)
    return [line.split(":") for line in done.stdout.decode("utf-8", "replace").splitlines()]


def _listed(path: Path) -> list[list[str]]:
    """The keys in the file, as GnuPG lists them with colons."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The certificate {path} cannot be read: {error.strerror}.", hint=HINT) from None
    with _gnupg() as command:
        return _columns(command, "--show-keys", given=content)


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
