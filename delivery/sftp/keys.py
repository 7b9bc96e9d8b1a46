"""Private keys, as OpenSSH, OpenSSL (PKCS#8, PEM) and others write them; the messages never quote one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from delivery.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import SecretStr

_LOADERS = (forms.load_ssh_private_key, forms.load_pem_private_key, forms.load_der_private_key)
_KINDS = (
    (RSAPrivateKey, paramiko.RSAKey),
    (Ed25519PrivateKey, paramiko.Ed25519Key),
    (EllipticCurvePrivateKey, paramiko.ECDSAKey),
)


def read_private_key(source: Path | SecretStr, passphrase: str | None) -> paramiko.PKey:
    """A key from a file that only its owner can read, or from its text. Raises ConfigError.

    A certificate `<file>-cert.pub` beside a file is offered with it.
    """
    name = str(source) if isinstance(source, Path) else "what the environment has"
    try:
        data = _content(source) if isinstance(source, Path) else source.get_secret_value().encode()
        key = _read(data, passphrase.encode() if passphrase else None)
    except OSError as error:
        raise ConfigError(f"private_key: {name}: {error.strerror}", hint="Give the path of a readable key.") from None
    except (ValueError, TypeError, UnsupportedAlgorithm, paramiko.SSHException):
        hint = "Check the passphrase; types: ed25519, ECDSA, RSA. `puttygen -O private-openssh` converts a .ppk."
        raise ConfigError(f"private_key: {name} cannot be read as a key with this passphrase", hint=hint) from None
    if isinstance(source, Path) and (certificate := source.with_name(source.name + "-cert.pub")).exists():
        key.load_certificate(str(certificate))
    return key


def _content(path: Path) -> bytes:
    path = path.expanduser()
    mode = path.stat().st_mode
    if mode & 0o077:
        hint = f"chmod 600 {path}"
        raise ConfigError(f"private_key: {path} is open to others (mode {mode & 0o777:04o})", hint=hint)
    return path.read_bytes()


def _read(data: bytes, passphrase: bytes | None) -> paramiko.PKey:
    """Whatever form it has: as OpenSSH writes it, which is what paramiko reads of every type."""
    for load in _LOADERS:
        try:
            key = load(data, passphrase)
            break
        except ValueError:
            continue
    else:
        raise ValueError
    plain = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.OpenSSH, forms.NoEncryption()).decode()
    kind = next((kind for form, kind in _KINDS if isinstance(key, form)), None)
    if kind is None:
        raise ValueError
    return kind.from_private_key(io.StringIO(plain))
