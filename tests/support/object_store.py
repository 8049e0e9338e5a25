"""A real S3 on this machine: moto's server, in a thread of its own, which listens on a port of 127.0.0.1."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SECRET = "wJalrXUtnFEMI-of-the-loopback-store"
BUCKET = "screens"


class ObjectStore:
    """One bucket of the server."""

    def __init__(self, server: Any) -> None:
        import boto3

        host, port = server.get_host_and_port()
        self.address = f"http://{host}:{port}"
        self.url = f"s3://{BUCKET}/shop"
        self.environment = {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "AKIALOOPBACKSTORE",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        keys = {"aws_access_key_id": "AKIALOOPBACKSTORE", "aws_secret_access_key": SECRET}
        self._client: Any = boto3.client("s3", endpoint_url=self.address, region_name="us-east-1", **keys)
        self._client.create_bucket(Bucket=BUCKET)

    def put(self, name: str, data: bytes) -> None:
        """An object of the bucket's folder, or another version of it."""
        self._client.put_object(Bucket=BUCKET, Key=f"shop/{name}", Body=data)

    def put_all(self, folder: Path) -> None:
        """The pictures of a folder."""
        for path in folder.glob("*.png"):
            self.put(path.name, path.read_bytes())

    def remove(self, name: str) -> None:
        """The object is no more."""
        self._client.delete_object(Bucket=BUCKET, Key=f"shop/{name}")

    def user(self, *forbidden: str) -> dict[str, str]:
        """The credentials of somebody who may read all objects but some, for `refuse`."""
        import boto3

        keys = {"aws_access_key_id": "AKIALOOPBACKSTORE", "aws_secret_access_key": SECRET}
        iam: Any = boto3.client("iam", endpoint_url=self.address, region_name="us-east-1", **keys)
        denied = [f"arn:aws:s3:::{BUCKET}/shop/{name}" for name in forbidden]
        rules = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]
        rules += [{"Effect": "Deny", "Action": "s3:GetObject", "Resource": resource} for resource in denied]
        name = f"reader-{secrets.token_hex(4)}"  # users outlive the server
        iam.create_user(UserName=name)
        text = json.dumps({"Version": "2012-10-17", "Statement": rules})
        iam.put_user_policy(UserName=name, PolicyName="reads", PolicyDocument=text)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}

    def refuse(self) -> None:
        """From here on the server reads credentials: those of `user` alone are known to it."""
        asked = urllib.request.Request(
            f"{self.address}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(asked).close()


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """The store, for the length of some tests."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    settings = pytest.importorskip("moto.settings")
    before = settings.INITIAL_NO_AUTH_ACTION_COUNT
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield ObjectStore(server)
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = before
        server.stop()
