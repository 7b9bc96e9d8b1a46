"""Azure's own emulator, where it is asked for (`make azurite`): the same destination, the same promises."""

from __future__ import annotations

import base64
import hmac
import os
import subprocess
import time
from email.utils import formatdate
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from builders import integration
from servers import free_port

from delivery.errors import DestinationRefused, NameTaken
from delivery.transfer import Found
from delivery.transfer.bucket_directory import BucketDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCOUNT = "devstoreaccount1"  # Azurite's, with its key, as Microsoft publishes both
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTENT = bytes(range(256)) * 70_001


def make_container(endpoint: str, name: str) -> None:
    """By a request of our own: obstore makes none. Tried until the server is there."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    lines = "\n".join(f"{key}:{value}" for key, value in headers.items())
    signed = "PUT" + "\n" * 12 + f"{lines}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), "sha256")).decode()
    headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"}
    for _ in range(200):
        try:
            urlopen(Request(f"{endpoint}/{name}?restype=container", method="PUT", headers=headers)).close()
        except URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("Azurite did not start")


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    program = [os.environ["AZURITE"], "--blobPort", str(port), "--location", str(tmp_path), "--silent"]
    with subprocess.Popen([*program, "--skipApiVersionCheck", "--disableTelemetry"]) as server:
        try:
            address = f"http://127.0.0.1:{port}/{ACCOUNT}"
            make_container(address, "exports")
            yield address
        finally:
            server.terminate()


def container(endpoint: str, name: str = "exports", key: str = KEY) -> BucketDirectory:
    target = {"type": "azure", "account": ACCOUNT, "bucket": name, "endpoint": endpoint, "account_key": key}
    return BucketDirectory(integration(destination=target).destination, "in/daily")  # type: ignore[arg-type]


if os.environ.get("AZURITE"):

    def test_a_container_is_a_directory(endpoint: str, tmp_path: Path) -> None:
        spool = tmp_path / "spool"
        spool.write_bytes(CONTENT)
        with container(endpoint) as there:
            for name in ("a.csv", "b.csv"):
                there.upload(spool, f".{name}.part")
                assert there.hash(f".{name}.part") == sha256(CONTENT).hexdigest()
                there.publish(f".{name}.part", name)
            with pytest.raises(NameTaken):
                there._rename("a.csv", "b.csv")
            assert (there.list(), there.look("a.csv")) == (["a.csv", "b.csv"], Found("file", len(CONTENT)))
            there.replace("a.csv", "b.csv")
            there.create("b.csv.done")
            with pytest.raises(NameTaken):
                there.create("b.csv.done")
            there.remove("b.csv.done")
            there.remove("b.csv.done")
            seen = there.probe("token")
            assert (seen.rename, seen.rename_refuses, seen.replace, seen.left) == (True, True, True, ())
            assert (there.list(), there.look("a.csv")) == (["b.csv"], None)

    def test_what_is_not_there_or_not_allowed_is_refused(endpoint: str, tmp_path: Path) -> None:
        spool = tmp_path / "spool"
        spool.write_bytes(b"x")
        with container(endpoint, "nobody-made") as there, pytest.raises(DestinationRefused, match="no such bucket"):
            there.upload(spool, ".x.part")
        wrong = base64.b64encode(b"x" * 64).decode()
        with container(endpoint, key=wrong) as there, pytest.raises(DestinationRefused, match="no permission"):
            there.look("x")
