"""The storage keys: defaults, what is missing, what cannot be used; and secrets never in messages."""

from __future__ import annotations

import pytest

from contract.storage import Credentials, InvalidField, MissingFields, storage_from

KEYS = {
    "BUCKET_NAME": "device-bucket-6",
    "BUCKET_HOST": "play.min.io",
    "AWS_ACCESS_KEY_ID": "access",
    "AWS_SECRET_ACCESS_KEY": "planted-secret",
}


def test_the_documentations_example() -> None:
    storage = storage_from({**KEYS, "BUCKET_PORT": "443", "BUCKET_REGION": "us-east-1"})
    assert (storage.endpoint, storage.bucket, storage.region) == ("https://play.min.io", "device-bucket-6", "us-east-1")
    assert not storage.virtual_hosted


@pytest.mark.parametrize(
    ("case", "more", "endpoint"),
    [
        ("no port is https", {}, "https://play.min.io"),
        ("port 80 is http", {"BUCKET_PORT": "80"}, "http://play.min.io"),
        ("port 80 may be https", {"BUCKET_PORT": "80", "BUCKET_SCHEME": "https"}, "https://play.min.io:80"),
        ("another port is https", {"BUCKET_PORT": "9000"}, "https://play.min.io:9000"),
        ("another port may be http", {"BUCKET_PORT": "9000", "BUCKET_SCHEME": "HTTP"}, "http://play.min.io:9000"),
        ("white space is ignored", {"BUCKET_PORT": " 443\n", "BUCKET_REGION": "\n"}, "https://play.min.io"),
        ("an IPv6 address", {"BUCKET_HOST": "[::1]"}, "https://[::1]"),
    ],
)
def test_endpoints(case: str, more: dict[str, str], endpoint: str) -> None:
    assert storage_from({**KEYS, **more}).endpoint == endpoint, case


def test_an_empty_region_signs_as_servers_without_regions_want() -> None:
    assert storage_from({**KEYS, "BUCKET_REGION": ""}).region == "us-east-1"


def test_everything_missing_is_named() -> None:
    with pytest.raises(MissingFields) as raised:
        storage_from({"BUCKET_NAME": " "})
    assert raised.value.fields == ("BUCKET_NAME", "BUCKET_HOST", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def test_the_chain_needs_no_keys_and_ignores_those_there() -> None:
    storage = storage_from(KEYS, Credentials.CHAIN)
    assert storage.access_key_id is storage.secret_access_key is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("BUCKET_PORT", "https"),
        ("BUCKET_PORT", "0"),
        ("BUCKET_PORT", "65536"),
        ("BUCKET_PORT", "٤٤٣"),
        ("BUCKET_HOST", "https://play.min.io"),
        ("BUCKET_HOST", "play.min.io/path"),
        ("BUCKET_HOST", "user@host"),
        ("BUCKET_NAME", "a/b"),
        ("BUCKET_NAME", ".."),
        ("BUCKET_SCHEME", "ftp"),
        ("BUCKET_ADDRESSING", "auto"),
        ("tls.crt", "no certificate"),
    ],
)
def test_what_cannot_be_used_is_named(key: str, value: str) -> None:
    with pytest.raises(InvalidField) as raised:
        storage_from({**KEYS, key: value})
    assert raised.value.key == key


def test_secrets_are_not_in_its_repr() -> None:
    assert "planted-secret" not in repr(storage_from(KEYS))
