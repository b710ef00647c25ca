"""The words by which an imported service's platform and type are told."""

import re

OTHER = "other"

PLATFORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("instagram", ("instagram", "insta", "ig", "igtv", "reels")),
    ("youtube", ("youtube", "yt", "shorts")),
    ("tiktok", ("tiktok", "tik tok", "tt")),
    ("facebook", ("facebook", "fb")),
    ("twitter", ("twitter", "x", "tweet", "tweets", "retweet", "retweets")),
    ("telegram", ("telegram", "tg")),
    ("threads", ("threads",)),
    ("linkedin", ("linkedin",)),
    ("twitch", ("twitch",)),
    ("discord", ("discord",)),
    ("spotify", ("spotify",)),
    ("soundcloud", ("soundcloud",)),
    ("pinterest", ("pinterest",)),
    ("reddit", ("reddit",)),
    ("snapchat", ("snapchat",)),
    ("whatsapp", ("whatsapp",)),
    ("vk", ("vk", "vkontakte")),
    ("google", ("google",)),
    ("website", ("website", "web", "traffic", "seo")),
)
"""The first that has a word in the text; the networks come before the general words."""

TYPES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("comments", ("comment", "comments", "replies")),
    ("subscribers", ("subscriber", "subscribers", "subs")),
    ("followers", ("follower", "followers", "fans")),
    ("members", ("member", "members")),
    ("views", ("view", "views", "watch", "watchtime", "viewers", "impressions", "reach")),
    ("likes", ("like", "likes", "reactions", "reaction", "hearts", "favorites")),
    ("shares", ("share", "shares", "repost", "reposts", "retweet", "retweets")),
    ("saves", ("save", "saves")),
    ("plays", ("play", "plays", "streams", "listeners")),
    ("votes", ("vote", "votes", "poll")),
    ("mentions", ("mention", "mentions")),
    ("reviews", ("review", "reviews", "rating", "ratings")),
    ("traffic", ("traffic", "visitors", "visits")),
)
"""The first that has a word in the text: what is counted comes before what it is counted on."""

_WORD = re.compile(r"[^\W_]+")


def platform_of(category: str, name: str) -> str:
    """By the category, which names it more often, then by the name; else `other`."""
    return _find(PLATFORMS, category) or _find(PLATFORMS, name) or OTHER


def type_of(category: str, name: str) -> str:
    """By the name, which is the closer one here, then by the category; else `other`."""
    return _find(TYPES, name) or _find(TYPES, category) or OTHER


def _find(table: tuple[tuple[str, tuple[str, ...]], ...], text: str) -> str | None:
    spaced = f" {' '.join(_WORD.findall(text.casefold()))} "
    return next((meaning for meaning, words in table if any(f" {word} " in spaced for word in words)), None)
