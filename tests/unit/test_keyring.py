"""The keyring: hashes and sealed values across rotation, and clear refusals."""

import string
from uuid import uuid4

import pytest

from gateway.errors import ConfigurationError
from gateway.keyring import Keyring, KeyringError

OLD, NEW = "an old secret, long enough", "a new secret, long enough"
ROW = uuid4()


def sealed(secret: str = NEW) -> str:
    return Keyring((secret,)).seal("upstream-key", "providers", "api_key_encrypted", ROW)


def test_a_key_issued_before_a_rotation_is_still_found_after_it() -> None:
    kid, stored = Keyring((OLD,)).hash_api_key("yb_abc")
    rotated = Keyring((NEW, OLD))
    assert stored in rotated.api_key_hashes("yb_abc")
    assert rotated.hash_api_key("yb_abc") != (kid, stored)
    assert rotated.api_key_hashes("yb_abc")[0] == rotated.hash_api_key("yb_abc")[1]


def test_the_id_of_a_secret_is_stable_short_and_not_the_secret() -> None:
    kid = Keyring((NEW,)).kid
    assert kid == Keyring((NEW, OLD)).kid != Keyring((OLD,)).kid
    assert len(kid) == 16
    assert kid not in NEW


def test_what_is_sealed_opens_in_its_own_row_after_a_rotation() -> None:
    rotated = Keyring((NEW, OLD))
    assert rotated.unseal(sealed(OLD), "providers", "api_key_encrypted", str(ROW)) == "upstream-key"


def test_sealing_twice_gives_two_different_blobs_that_name_the_secret() -> None:
    assert sealed() != sealed()
    assert sealed().startswith(f"v1.{Keyring((NEW,)).kid}.")


@pytest.mark.parametrize(
    "place",
    [("providers", "api_key_encrypted", uuid4()), ("providers", "name", ROW), ("webhooks", "secret", ROW)],
)
def test_a_blob_copied_to_another_place_does_not_open(place: tuple[str, str, str]) -> None:
    with pytest.raises(KeyringError, match="not of"):
        Keyring((NEW,)).unseal(sealed(), *place)


def test_a_blob_under_a_secret_that_was_dropped_names_its_id() -> None:
    with pytest.raises(KeyringError, match=Keyring((OLD,)).kid):
        Keyring((NEW,)).unseal(sealed(OLD), "providers", "api_key_encrypted", ROW)


@pytest.mark.parametrize(
    "blob",
    [
        "",
        "plain",
        "v2.a.b",
        f"v1.{Keyring((NEW,)).kid}.",
        f"v1.{Keyring((NEW,)).kid}.AAAA",
        "v1.a.é",
        "v1.a.!",
    ],
)
def test_a_blob_that_is_no_blob_is_a_clear_error(blob: str) -> None:
    with pytest.raises(KeyringError):
        Keyring((NEW,)).unseal(blob, "providers", "api_key_encrypted", ROW)


def test_one_changed_character_is_noticed() -> None:
    """Also in the last one, of which base64 does not use all bits."""
    blob = sealed()
    for other in string.ascii_letters + string.digits + "-_":
        if other != blob[-1]:
            with pytest.raises(KeyringError):
                Keyring((NEW,)).unseal(blob[:-1] + other, "providers", "api_key_encrypted", ROW)


@pytest.mark.parametrize("secrets", [(), ("",), (NEW, "  ")])
def test_a_ring_without_a_real_secret_is_refused(secrets: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        Keyring(secrets)
