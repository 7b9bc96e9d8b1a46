"""A bucket's prefix as a directory, by obstore: S3, Google Cloud Storage and Azure behave alike here.

A file is uploaded under its temporary name, in parts, and proven there. Its final name is a copy that the store itself
makes, only if nothing has the name; then the temporary one goes. Nobody sees a file under a name before it is whole.
"""

from __future__ import annotations

import hashlib
import posixpath
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from delivery.config.buckets import GcsDestination, S3Destination
from delivery.errors import ConfigError, DestinationFailed, DestinationRefused, LoginRefused, NameTaken
from delivery.schedule.names import check_name
from delivery.transfer import Capabilities, Found, Handling
from delivery.transfer.probe import prove

try:
    import obstore
    from obstore import exceptions
    from obstore.store import AzureStore, GCSStore, S3Store
except ImportError:
    raise ConfigError(
        "Buckets need the package obstore.", hint="Install it: pip install 'dbt-delivery[buckets]'."
    ) from None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from obstore.store import ObjectStore

    from delivery.config.buckets import BucketDestination

PART_BYTES = 8 << 20
MOST_PARTS = 9_000  # S3 takes 10,000
AT_ONCE = 2  # parts of one file under way
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")  # S3, Azure, Google
_SAID: dict[type[Exception], str] = {
    exceptions.PermissionDeniedError: "no permission",
    exceptions.UnauthenticatedError: "the credentials were refused",
    exceptions.NotSupportedError: "the store does not support this",
}


class BucketDirectory:
    """Destination in a bucket; see `Destination` for what each method promises."""

    def __init__(self, target: BucketDestination, directory: str) -> None:
        """directory: the prefix. Only what is below it is touched."""
        self.handling = Handling.of(target)
        self._target = target
        self._prefix = posixpath.normpath(f"/{directory}").strip("/")
        self._is_cut = threading.Event()

    def __enter__(self) -> Self:
        with self._step("connect"):
            self._store = _open(self._target)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def cut(self) -> None:
        """Send no further part; a request under way ends by its time."""
        self._is_cut.set()

    def describe(self) -> str:
        """Name bucket and prefix."""
        return f"{self._target.url}/{self._prefix}"

    def look(self, name: str) -> Found | None:
        """HEAD."""
        with self._step("look"), suppress(FileNotFoundError):
            return Found("file", obstore.head(self._store, self._key(name))["size"])
        return None

    def look_at(self, *names: str) -> list[Found | None]:
        """The same, one after the other."""
        return [self.look(name) for name in names]

    def hash(self, name: str, size: int | None = None) -> str:
        """Read it back, a part in each request."""
        digest = hashlib.sha256()
        with self._step("verify"):
            known = obstore.head(self._store, self._key(name))["size"] if size is None else size
            for start in range(0, known, PART_BYTES):
                self._check_goes_on()
                length = min(PART_BYTES, known - start)
                digest.update(obstore.get_range(self._store, self._key(name), start=start, length=length))
        return digest.hexdigest()

    def upload(self, spool: Path, temp: str, progress: Callable[[int], None] | None = None) -> None:
        """In parts, of which none is seen before the last one is there; S3 holds each against its SHA-256."""
        if self.look(temp):
            raise NameTaken(f"{self.describe()}: {temp} exists already")
        size = spool.stat().st_size
        part_bytes = max(PART_BYTES, -(-size // MOST_PARTS))
        with self._step("upload"):
            parts = self._parts(spool, part_bytes, progress)
            obstore.put(self._store, self._key(temp), parts, chunk_size=part_bytes, max_concurrency=AT_ONCE)
            arrived = obstore.head(self._store, self._key(temp))["size"]
        if arrived != size:
            raise DestinationFailed(f"{self.describe()}: {arrived} bytes arrived of {size}", step="upload")

    def create(self, name: str) -> None:
        """PUT, if nothing has the name."""
        with self._step("open"):
            try:
                obstore.put(self._store, self._key(name), b"", mode="create")
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                raise NameTaken(f"{self.describe()}: {name} exists already") from None

    @property
    def server(self) -> str | None:
        """The bucket: all prefixes of it are alike."""
        return f"{self._target.url}/"

    @property
    def software(self) -> str:
        """A store does not say."""
        return self._target.type

    def publish(self, temp: str, final: str) -> None:
        """Copy if nothing has the name, then remove; or, where the integration says so, look, and copy."""
        if self.look(final):
            raise NameTaken(f"{self.describe()}: {final} exists already")
        (self.replace if self._target.publish == "look-and-rename" else self._rename)(temp, final)

    def replace(self, temp: str, final: str) -> None:
        """Copy over what lies there, then remove."""
        with self._step("publish"):
            obstore.copy(self._store, self._key(temp), self._key(final))
        self.remove(temp)

    def remove(self, name: str) -> None:
        """Delete."""
        with self._step("remove"), suppress(FileNotFoundError):
            obstore.delete(self._store, self._key(name))

    def list(self) -> list[str]:
        """The names directly below the prefix."""
        with self._step("list"):
            found = obstore.list_with_delimiter(self._store, self._prefix or None)["objects"]
            return sorted(one["path"].rpartition("/")[2] for one in found)

    def probe(self, token: str) -> Capabilities:
        """Try each step; the rest is known."""
        proof = prove(self, token, self.replace if self._target.publish == "look-and-rename" else self._rename)
        return Capabilities(
            **vars(proof), fsync=True, remote_hash=False, statvfs=False, request_bytes=PART_BYTES, free_bytes=None
        )

    def _rename(self, old: str, new: str) -> None:
        with self._step("publish"):
            try:
                obstore.copy(self._store, self._key(old), self._key(new), overwrite=False)
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                raise NameTaken(f"{self.describe()}: {new} exists already") from None
        self.remove(old)

    def _parts(self, spool: Path, size: int, progress: Callable[[int], None] | None) -> Iterator[bytes]:
        with spool.open("rb") as source:
            while chunk := source.read(size):
                self._check_goes_on()
                yield chunk
                if progress:
                    progress(source.tell())

    def _key(self, name: str) -> str:
        return posixpath.join(self._prefix, check_name(name))

    def _check_goes_on(self) -> None:
        if self._is_cut.is_set():
            raise DestinationFailed(f"{self.describe()}: cut off", step="upload")

    @contextmanager
    def _step(self, step: str) -> Iterator[None]:
        """Translate; what a store says of an error may name keys and tokens, and is not passed on."""
        self._check_goes_on()
        try:
            yield
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            refused = LoginRefused if isinstance(error, exceptions.UnauthenticatedError) else DestinationRefused
            raise refused(
                f"{self.describe()}: {step}: {_SAID[type(error)]}",
                hint="Ask the bucket's owner for the right to read, write, list and delete below this prefix.",
            ) from None
        except FileNotFoundError as error:
            if any(word in str(error) for word in _NO_BUCKET):
                hint = "Ask the bucket's owner to create it, or correct `bucket`."
                raise DestinationRefused(f"{self.describe()}: no such bucket", hint=hint) from None
            raise DestinationFailed(f"{self.describe()}: {step}: it is not there", step=step) from None
        except (exceptions.BaseError, ValueError, OSError) as error:
            late = "TimedOut" in str(error)
            words = "no answer in time" if late else _SAID.get(type(error), "the request failed")
            raise DestinationFailed(
                f"{self.describe()}: {step}: {words}",
                hint="Run again. If it stays so, check the network, `endpoint`, `region` and credentials.",
                step=step,
                late=late,
            ) from None


def _open(target: BucketDestination) -> ObjectStore:
    """What the environment says of endpoints is not asked: it would move the place."""
    local = not isinstance(target, GcsDestination) and (target.endpoint or "").startswith("http:")
    common: dict[str, Any] = {
        "client_options": {"timeout": f"{target.timeout}s", "allow_http": local},
        "retry_config": {"max_retries": 0},  # the protocol looks before it tries again
    }
    if isinstance(target, S3Destination):
        endpoint = target.endpoint or f"https://s3.{target.region}.amazonaws.com"
        if target.access_key_id and target.secret_access_key:
            key, secret = target.access_key_id, target.secret_access_key.get_secret_value()
            common["credential_provider"] = lambda: {
                "access_key_id": key, "secret_access_key": secret, "token": None, "expires_at": None,
            }  # fmt: skip
        return S3Store(
            target.bucket,
            region=target.region,
            endpoint=endpoint,
            aws_endpoint_url_s3=endpoint,
            checksum_algorithm="SHA256",
            copy_if_not_exists="multipart",
            **common,
        )
    if isinstance(target, GcsDestination):
        account: dict[str, Any] = {"service_account": str(target.service_account)} if target.service_account else {}
        return GCSStore(target.bucket, **account, **common)
    secrets = {"account_key": target.account_key, "sas_token": target.sas_token}
    given: dict[str, Any] = {name: secret.get_secret_value() for name, secret in secrets.items() if secret}
    endpoint = target.endpoint or f"https://{target.account}.blob.core.windows.net"
    return AzureStore(target.bucket, account_name=target.account, endpoint=endpoint, **given, **common)
