"""Platform and type are told from category and name."""

import pytest

from gateway.catalog.words import platform_of, type_of


@pytest.mark.parametrize(
    ("category", "name", "platform", "kind"),
    [
        ("Instagram Likes", "Real likes", "instagram", "likes"),
        ("YouTube", "Views [fast]", "youtube", "views"),
        ("Tik-Tok | Followers", "1000 per day", "tiktok", "followers"),
        ("Instagram", "YouTube-style comment likes", "instagram", "comments"),
        ("🔥 Telegram", "Channel MEMBERS", "telegram", "members"),
        ("X", "Retweets", "twitter", "shares"),
        ("Website Traffic", "Visitors from Google", "website", "traffic"),
        ("Specials", "Mystery", "other", "other"),
        ("", "", "other", "other"),
        ("Thexample", "Unlikely", "other", "other"),
    ],
)
def test_words_tell_platform_and_type(category: str, name: str, platform: str, kind: str) -> None:
    assert (platform_of(category, name), type_of(category, name)) == (platform, kind)
