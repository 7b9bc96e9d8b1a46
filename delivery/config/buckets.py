"""Buckets: where they are, and with which credentials; without any, the machine's own are used.

Places are told apart by `url`, so nothing of the environment may move one.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from delivery.config.values import LONGEST, TEMPORARY_NAME, KeyFile, Secret, TemporaryName


def _endpoint(value: str) -> str:
    found = re.fullmatch(r"(https?)://(localhost|127\.[\d.]+|\[::1\]|[\w.-]+)(:\d{1,5})?(/[\w.-]+)*/?", value)
    if not found or (found[1] == "http" and not re.match(r"localhost|127\.|\[", found[2])):
        raise ValueError("must be an address as https://minio.example.com:9000; without TLS on this machine only")
    return value.rstrip("/").lower()


BucketName = Annotated[str, Field(pattern=r"^[A-Za-z0-9$][A-Za-z0-9._-]{2,221}$")]
Endpoint = Annotated[str, AfterValidator(_endpoint)]


class _Bucket(BaseModel):
    """What every bucket may say. Of files in it there are no modes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file_mode: ClassVar[int] = 0o600

    bucket: BucketName
    publish: Literal["rename", "look-and-rename"] = Field(
        default="rename",
        description="look-and-rename: for a store without conditional copies, where nobody else writes",
    )
    temporary_name: TemporaryName = Field(default=TEMPORARY_NAME, description="while a file is uploaded")
    verify: Literal["hash", "size"] = Field(
        default="hash", description="what is held against the file after its upload; reading it back may cost"
    )
    timeout: float = Field(default=120.0, gt=0, le=LONGEST, description="seconds that any one request may take")
    connections: int = Field(default=4, ge=1, le=16, description="deliveries to the bucket at once, at most")


class S3Destination(_Bucket):
    """A bucket of Amazon S3, or of what speaks as it does at an `endpoint`."""

    type: Literal["s3"]
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]+$")
    endpoint: Endpoint | None = Field(default=None, description="of another store than Amazon's")
    access_key_id: str | None = Field(default=None, min_length=1)
    secret_access_key: Secret | None = None

    @property
    def url(self) -> str:
        """The one name of the bucket."""
        return f"s3://{self.endpoint.partition('://')[2] + '/' if self.endpoint else ''}{self.bucket}"

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("needs both access_key_id and secret_access_key, or neither: then the machine's are used")
        return self


class GcsDestination(_Bucket):
    """A bucket of Google Cloud Storage. service_account: its key file; the machine's own account by default."""

    type: Literal["gcs"]
    service_account: KeyFile | None = None

    @property
    def url(self) -> str:
        """The one name of the bucket."""
        return f"gs://{self.bucket}"


class AzureDestination(_Bucket):
    """A container of Azure Blob Storage; `bucket` is its name."""

    type: Literal["azure"]
    account: str = Field(pattern=r"^[a-z0-9]{3,24}$")
    endpoint: Endpoint | None = Field(default=None, description="of another cloud than the public one")
    account_key: Secret | None = None
    sas_token: Secret | None = None

    @property
    def url(self) -> str:
        """The one name of the container."""
        return f"az://{self.endpoint.partition('://')[2] if self.endpoint else self.account}/{self.bucket}"


BucketDestination = S3Destination | GcsDestination | AzureDestination
