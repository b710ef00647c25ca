"""The seventeen kinds of service and the fields that `add` takes for each (protocol §2)."""

import enum

import msgspec


class Kind(enum.StrEnum):
    """A service's type, in the words of `services`."""

    DEFAULT = "Default"
    PACKAGE = "Package"
    SEO = "SEO"
    CUSTOM_COMMENTS = "Custom Comments"
    CUSTOM_COMMENTS_PACKAGE = "Custom Comments Package"
    MENTIONS = "Mentions"
    MENTIONS_WITH_HASHTAGS = "Mentions with Hashtags"
    MENTIONS_CUSTOM_LIST = "Mentions Custom List"
    MENTIONS_HASHTAG = "Mentions Hashtag"
    MENTIONS_USER_FOLLOWERS = "Mentions User Followers"
    MENTIONS_MEDIA_LIKERS = "Mentions Media Likers"
    COMMENT_LIKES = "Comment Likes"
    COMMENT_REPLIES = "Comment Replies"
    POLL = "Poll"
    INVITES_FROM_GROUPS = "Invites from Groups"
    SUBSCRIPTIONS = "Subscriptions"
    WEB_TRAFFIC = "Web Traffic"


class Counting(enum.Enum):
    """Where an order's quantity comes from."""

    FIELD = "the quantity field"
    LINES = "the lines of the list field"
    ONE = "always one package"
    POSTS = "posts × max"


class KindRule(msgspec.Struct, frozen=True):
    """What `add` needs for one kind; `lines` names the field whose lines are counted."""

    fields: tuple[str, ...]
    counting: Counting = Counting.FIELD
    lines: str | None = None
    optional: tuple[str, ...] = ()

    @property
    def drips(self) -> bool:
        """Whether it may be ordered in several runs."""
        return "runs" in self.optional


_DRIP = ("runs", "interval")
RULES: dict[Kind, KindRule] = {
    Kind.DEFAULT: KindRule(("link", "quantity"), optional=_DRIP),
    Kind.PACKAGE: KindRule(("link",), Counting.ONE),
    Kind.SEO: KindRule(("link", "quantity", "keywords")),
    Kind.CUSTOM_COMMENTS: KindRule(("link", "comments"), Counting.LINES, "comments"),
    Kind.CUSTOM_COMMENTS_PACKAGE: KindRule(("link", "comments"), Counting.ONE, "comments"),
    Kind.MENTIONS: KindRule(("link", "quantity", "usernames")),
    Kind.MENTIONS_WITH_HASHTAGS: KindRule(("link", "quantity", "usernames", "hashtags")),
    Kind.MENTIONS_CUSTOM_LIST: KindRule(("link", "usernames"), Counting.LINES, "usernames"),
    Kind.MENTIONS_HASHTAG: KindRule(("link", "quantity", "hashtag")),
    Kind.MENTIONS_USER_FOLLOWERS: KindRule(("link", "quantity", "username")),
    Kind.MENTIONS_MEDIA_LIKERS: KindRule(("link", "quantity", "media")),
    Kind.COMMENT_LIKES: KindRule(("link", "quantity", "username")),
    Kind.COMMENT_REPLIES: KindRule(("link", "username", "comments"), Counting.LINES, "comments"),
    Kind.POLL: KindRule(("link", "quantity", "answer_number")),
    Kind.INVITES_FROM_GROUPS: KindRule(("link", "quantity", "groups")),
    Kind.SUBSCRIPTIONS: KindRule(
        ("username", "min", "max", "delay"), Counting.POSTS, optional=("posts", "old_posts", "expiry")
    ),
    Kind.WEB_TRAFFIC: KindRule(
        ("link", "quantity", "country", "device", "type_of_traffic"),
        optional=(*_DRIP, "google_keyword", "referring_url"),
    ),
}

_BY_NAME = {kind.value.casefold(): kind for kind in Kind}


def parse_kind(name: str) -> Kind | None:
    """The kind of an upstream's `type`, whatever its case; None for one that is not in the protocol."""
    return _BY_NAME.get(" ".join(name.split()).casefold())
