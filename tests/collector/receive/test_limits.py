"""Bodies nobody vouches for: capped, whole, and in an encoding we read."""

import gzip
import time
import zlib

import pytest
import zstandard

from kibitz_collector.config import Settings
from kibitz_collector.errors import BadPayload, TooLarge, Unsupported
from kibitz_collector.receive.limits import inflate

TEXT = b"some text " * 1000
BOMB = b"\0" * (200 * 2**20)
SETTINGS = Settings()


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "identity": bytes,
    "": bytes,
}


@pytest.mark.parametrize("encoding", PACKERS)
def test_body_comes_out_as_it_went_in(encoding: str) -> None:
    assert bytes(inflate(PACKERS[encoding](TEXT), encoding, SETTINGS)) == TEXT
    assert bytes(inflate(b"", encoding, SETTINGS)) == b""


def test_deflate_without_its_header_is_read_too() -> None:
    assert bytes(inflate(raw_deflate(TEXT), "deflate", SETTINGS)) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_several_members_are_one_body(encoding: str) -> None:
    pack = PACKERS[encoding]
    packed = pack(TEXT[:3000]) + pack(TEXT[3000:])
    assert bytes(inflate(packed, encoding, SETTINGS)) == TEXT


def test_zero_padding_after_gzip_is_allowed() -> None:
    assert bytes(inflate(gzip.compress(TEXT) + b"\0" * 512, "gzip", SETTINGS)) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_cut_off_or_followed_by_garbage_is_refused(encoding: str) -> None:
    packed = PACKERS[encoding](TEXT)
    for damaged in (packed[:-5], packed[: len(packed) // 2], packed + b"garbage", b"garbage"):
        with pytest.raises(BadPayload):
            inflate(damaged, encoding, SETTINGS)


def test_wrong_checksum_is_refused() -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[-6] ^= 0xFF
    with pytest.raises(BadPayload):
        inflate(packed, "gzip", SETTINGS)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_bomb_is_refused_early(encoding: str) -> None:
    packed = PACKERS[encoding](BOMB)
    begun = time.perf_counter()
    with pytest.raises(TooLarge):
        inflate(packed, encoding, SETTINGS)
    assert time.perf_counter() - begun < 2  # a fraction of it on a quiet machine


def test_bomb_of_many_members_is_refused() -> None:
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"\0" * 2**20) * 100, "gzip", SETTINGS)
    with pytest.raises(BadPayload):
        inflate(gzip.compress(b"") * 2000, "gzip", SETTINGS)


def test_small_repetitive_body_is_no_bomb() -> None:
    text = b"a" * 500_000
    assert bytes(inflate(gzip.compress(text), "gzip", SETTINGS)) == text


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "compress"])
def test_other_encodings_are_named_and_refused(encoding: str) -> None:
    with pytest.raises(Unsupported, match=encoding):
        inflate(b"x", encoding, SETTINGS)
