"""Private keys: what is read, with a certificate beside it, and what is not."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519
from pydantic import SecretStr
from servers import keygen

from delivery.errors import ConfigError
from delivery.sftp.keys import read_private_key

PLAIN = serialization.NoEncryption()
FORM = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_of_a_file_and_of_the_environment(tmp_path: Path, kind: str) -> None:
    public = keygen(path := tmp_path / "key", kind)
    for source in (path, SecretStr(path.read_text())):
        key = read_private_key(source, None)
        assert f"{key.get_name()} {key.get_base64()}" == public


def test_a_certificate_beside_a_key_is_offered_with_it(tmp_path: Path) -> None:
    """Not one of a file of another name."""
    keygen(path := tmp_path / "key")
    own, authority = asyncssh.read_private_key(path), asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_user_certificate(own, "acme", principals=["acme"])
    certificate.write_certificate(str(tmp_path / "other-cert.pub"))
    assert read_private_key(path, None).public_blob is None
    certificate.write_certificate(f"{path}-cert.pub")
    blob = read_private_key(path, None).public_blob
    assert blob is not None
    assert (blob.key_type, blob.key_blob) == (certificate.algorithm.decode(), certificate.public_data)


@pytest.mark.parametrize("mode", [0o601, 0o602, 0o604, 0o610, 0o620, 0o640])
def test_a_key_that_others_reach_is_refused_with_its_mode(tmp_path: Path, mode: int) -> None:
    keygen(path := tmp_path / "key")
    path.chmod(mode)
    with pytest.raises(ConfigError) as refused:
        read_private_key(path, None)
    assert refused.value.message == f"private_key: {path} is open to others (mode 0{mode:o})"
    assert refused.value.hint == f"chmod 600 {path}"


def test_what_is_no_key_that_can_be_used(tmp_path: Path) -> None:
    """None of them is quoted."""
    ours = ed25519.Ed25519PrivateKey.generate()
    locked = serialization.BestAvailableEncryption(b"open sesame")
    texts = {
        "of a type that nobody takes": dsa.generate_private_key(1024).private_bytes(*FORM, PLAIN),
        "locked": ours.private_bytes(*FORM, locked),
        "cut": ours.private_bytes(*FORM, PLAIN)[:-40],
        "none": b"hunter2",
    }
    for text in texts.values():
        for source, name in ((SecretStr(text.decode()), "what the environment has"), (tmp_path / "key", None)):
            if isinstance(source, Path):
                source.write_bytes(text)
                source.chmod(0o600)
            with pytest.raises(ConfigError) as refused:
                read_private_key(source, None)
            assert refused.value.message == (
                f"private_key: {name or source} cannot be read as a key with this passphrase"
            )
    assert read_private_key(SecretStr(texts["locked"].decode()), "open sesame").get_name() == "ssh-ed25519"
    with pytest.raises(ConfigError, match="none: No such file or directory"):
        read_private_key(tmp_path / "none", None)
