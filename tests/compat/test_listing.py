"""The list of services: the same bytes to all, compressed for those who ask."""

import asyncio
import gzip

import pytest

from compat.listing import Listing, accepts_gzip


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("gzip", True),
        ("GZIP, deflate, br", True),
        ("br;q=1.0, gzip;q=0.1", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("identity", False),
        ("", False),
        (", ".join(["x"] * 30), False),
        ("gzip;q=", False),
    ],
)
def test_what_takes_gzip(header: str, takes: bool) -> None:
    assert accepts_gzip(header) is takes


async def test_many_who_wait_share_one_compressing() -> None:
    listing = Listing(b"[" + b"1," * 100_000 + b"1]")
    packed = await asyncio.gather(*(listing.compressed() for _ in range(20)))
    assert len({id(one) for one in packed}) == 1
    assert gzip.decompress(packed[0]) == listing.plain


async def test_one_who_goes_away_does_not_end_it_for_the_others() -> None:
    listing = Listing(b"x" * 5_000_000)
    first = asyncio.create_task(listing.compressed())
    second = asyncio.create_task(listing.compressed())
    await asyncio.sleep(0)
    first.cancel()
    assert gzip.decompress(await second) == listing.plain


def test_the_tag_follows_the_bytes() -> None:
    assert Listing(b"[]").etag == Listing(b"[]").etag != Listing(b"[1]").etag
