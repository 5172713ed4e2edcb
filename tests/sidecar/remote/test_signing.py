"""Signatures: AWS's own published examples for S3, to the byte, and what is cached of them."""

from __future__ import annotations

import calendar
import hashlib

import pytest

from sidecar.remote.credentials import Keys
from sidecar.remote.signing import EMPTY_SHA256, UNSIGNED, Header, Signer, path_text, query_text, signing_key

# Of "Authenticating Requests: Using the Authorization Header" in the S3 API reference.
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = Keys("AKIAIOSFODNN7EXAMPLE", SECRET)
MOMENT = float(calendar.timegm((2013, 5, 24, 0, 0, 0)))
HOST = ("host", "examplebucket.s3.amazonaws.com")

PUBLISHED: dict[str, tuple[str, str, list[Header], str, str]] = {
    "a GET with a range": (
        "GET",
        "/test.txt",
        [HOST, ("range", "bytes=0-9")],
        EMPTY_SHA256,
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "a PUT of an odd name": (
        "PUT",
        "/" + path_text("test$file.text"),
        [HOST, ("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
        hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "a query without a value": (
        "GET",
        "/?" + query_text({"lifecycle": ""}),
        [HOST],
        EMPTY_SHA256,
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "a listing": (
        "GET",
        "/?" + query_text({"prefix": "J", "max-keys": "2"}),
        [HOST],
        EMPTY_SHA256,
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


def signer(keys: Keys = KEYS, moment: float = MOMENT) -> Signer:
    return Signer(lambda: keys, "us-east-1", now=lambda: moment)


@pytest.mark.parametrize(("method", "target", "headers", "payload", "expected"), PUBLISHED.values(), ids=PUBLISHED)
def test_what_aws_published_is_signed_as_published(
    method: str, target: str, headers: list[Header], payload: str, expected: str
) -> None:
    signed = dict(signer().sign(method, target, headers, payload))
    assert signed["authorization"].endswith(f"Signature={expected}")
    assert signed["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders="
    )


def test_the_key_of_a_day_is_the_published_one() -> None:
    key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20120215", "us-east-1")
    again = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20120216", "us-east-1")
    assert len(key) == 32
    assert key != again


def test_the_next_day_other_keys_and_another_region_each_sign_anew() -> None:
    moments = iter([MOMENT, MOMENT, MOMENT + 86400, MOMENT])
    keys = iter([KEYS, Keys("AK2", "other"), KEYS, KEYS])
    one = Signer(lambda: next(keys), "us-east-1", now=lambda: next(moments))
    regions = [None, None, None, "eu-west-1"]
    words = [dict(one.sign("GET", "/a", [HOST], EMPTY_SHA256, region))["authorization"] for region in regions]
    fresh = [
        dict(signer().sign("GET", "/a", [HOST], EMPTY_SHA256))["authorization"],
        dict(signer(Keys("AK2", "other")).sign("GET", "/a", [HOST], EMPTY_SHA256))["authorization"],
        dict(signer(moment=MOMENT + 86400).sign("GET", "/a", [HOST], EMPTY_SHA256))["authorization"],
        dict(signer().sign("GET", "/a", [HOST], EMPTY_SHA256, "eu-west-1"))["authorization"],
    ]
    assert words == fresh
    assert len(set(words)) == 4


def test_a_token_is_sent_and_signed() -> None:
    signed = dict(signer(Keys("AK", "secret", "token")).sign("PUT", "/a", [HOST], UNSIGNED))
    assert signed["x-amz-security-token"] == "token"
    assert "x-amz-date;x-amz-security-token" in signed["authorization"]
    assert signed["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b", "a/b"),
        ("a//b/../c", "a//b/../c"),
        ("a b+c", "a%20b%2Bc"),
        ("ü~_-.", "%C3%BC~_-."),
        ("\n%2F", "%0A%252F"),
    ],
)
def test_a_path_is_escaped_once_and_never_normalised(path: str, expected: str) -> None:
    assert path_text(path) == expected


def test_a_query_is_sorted_and_escaped() -> None:
    assert query_text({"prefix": "a/b c", "list-type": "2"}) == "list-type=2&prefix=a%2Fb%20c"
