"""Public keys of servers, as OpenSSH, `ssh-keyscan` and known_hosts write them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Self

KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


@dataclass(frozen=True)
class HostKey:
    """A server's public key: its type, as in OpenSSH, and its bytes."""

    kind: str
    blob: bytes

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read `ssh-ed25519 AAAA… [comment]`, or the same after the hosts that it is of; ValueError for anything else.

        Marked lines (`@revoked`, `@cert-authority`) pin no key and are refused.
        """
        words = line.split()
        at = 0 if words and words[0] in KEY_TYPES else 1
        kind, text, *_ = [*words[at:], "", ""]
        try:
            blob = base64.b64decode(text, validate=True)
        except binascii.Error:
            blob = b""
        named = len(kind).to_bytes(4, "big") + kind.encode()
        if kind not in KEY_TYPES or words[0].startswith("@") or not blob.startswith(named) or blob == named:
            known = ", ".join(KEY_TYPES)
            raise ValueError(f"is no public key of a server: one line as `ssh-keyscan` prints it, of type {known}")
        return cls(kind, blob)

    @property
    def line(self) -> str:
        """The key as OpenSSH writes it."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """The key as `ssh-keygen -l` shows it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
