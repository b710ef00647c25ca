"""What the simulator sells: realistic services over every kind of the protocol, with ids that stay."""

from decimal import Decimal

from compat.kinds import Kind
from compat.wire import Service

_ROWS: tuple[tuple[int, Kind, str, str, str, int, int], ...] = (
    (1, Kind.DEFAULT, "Instagram", "Instagram Followers [Real, 30 days refill]", "0.90", 50, 10_000),
    (2, Kind.DEFAULT, "Instagram", "Instagram Likes [Instant]", "0.12", 10, 50_000),
    (3, Kind.DEFAULT, "Instagram", "Instagram Reel Views", "0.004", 100, 1_000_000),
    (4, Kind.DEFAULT, "TikTok", "TikTok Followers", "1.85", 20, 20_000),
    (5, Kind.DEFAULT, "TikTok", "TikTok Video Views", "0.0012", 100, 10_000_000),
    (6, Kind.DEFAULT, "YouTube", "YouTube Subscribers [Non drop]", "14.50", 50, 5_000),
    (7, Kind.DEFAULT, "Telegram", "Telegram Channel Members", "0.75", 100, 100_000),
    (8, Kind.PACKAGE, "Instagram", "Instagram Starter Package [500 followers + 500 likes]", "2.40", 1, 1),
    (9, Kind.PACKAGE, "Spotify", "Spotify Artist Package", "6.00", 1, 1),
    (10, Kind.CUSTOM_COMMENTS, "Instagram", "Instagram Custom Comments", "9.00", 5, 1_000),
    (11, Kind.CUSTOM_COMMENTS, "YouTube", "YouTube Custom Comments", "18.00", 5, 500),
    (12, Kind.CUSTOM_COMMENTS_PACKAGE, "Facebook", "Facebook Comments Package", "3.20", 1, 1),
    (13, Kind.SEO, "Google", "SEO Backlinks by Keyword", "22.00", 10, 1_000),
    (14, Kind.MENTIONS, "Instagram", "Instagram Mentions", "4.00", 100, 20_000),
    (15, Kind.MENTIONS_WITH_HASHTAGS, "Instagram", "Instagram Mentions with Hashtags", "4.50", 100, 20_000),
    (16, Kind.MENTIONS_CUSTOM_LIST, "Instagram", "Instagram Mentions [Custom List]", "3.10", 10, 5_000),
    (17, Kind.MENTIONS_HASHTAG, "Instagram", "Instagram Mentions [By Hashtag]", "3.40", 100, 20_000),
    (18, Kind.MENTIONS_USER_FOLLOWERS, "Instagram", "Instagram Mentions [User Followers]", "3.60", 100, 20_000),
    (19, Kind.MENTIONS_MEDIA_LIKERS, "Instagram", "Instagram Mentions [Media Likers]", "3.60", 100, 20_000),
    (20, Kind.COMMENT_LIKES, "YouTube", "YouTube Comment Likes", "5.20", 20, 5_000),
    (21, Kind.COMMENT_REPLIES, "YouTube", "YouTube Comment Replies", "16.00", 5, 200),
    (22, Kind.POLL, "Telegram", "Telegram Poll Votes", "0.60", 10, 20_000),
    (23, Kind.INVITES_FROM_GROUPS, "Telegram", "Telegram Invites from Groups", "7.00", 50, 5_000),
    (24, Kind.SUBSCRIPTIONS, "Instagram", "Instagram Auto Likes [Subscription]", "0.20", 10, 10_000),
    (25, Kind.WEB_TRAFFIC, "Websites", "Website Traffic [Choose country]", "0.35", 100, 1_000_000),
)  # fmt: skip

CATALOGUE: tuple[Service, ...] = tuple(
    Service(
        service=number,
        name=name,
        type=kind.value,
        category=category,
        rate=Decimal(rate),
        min=least,
        max=most,
        refill="refill" in name,
        cancel=kind in (Kind.DEFAULT, Kind.WEB_TRAFFIC, Kind.SUBSCRIPTIONS),
        dripfeed=kind in (Kind.DEFAULT, Kind.WEB_TRAFFIC),
        desc=f"{name}. Start: 0-1 hour.",
    )
    for number, kind, category, name, rate, least, most in _ROWS
)
