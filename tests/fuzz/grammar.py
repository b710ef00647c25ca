"""Requests of the panel endpoint as nobody should send them, made from a seed: one raw HTTP/1.1 request each."""

import json
import random
from urllib.parse import quote, quote_plus

ACTIONS = (
    "services", "add", "add", "add", "status", "statuses", "multi_status", "orders", "refill", "refill_status",
    "cancel", "balance", "ADD", " Status ", "", "dance", "\x00",
)  # fmt: skip
NAMES = (
    "service", "link", "quantity", "comments", "usernames", "hashtags", "hashtag", "username", "media", "media_url",
    "answer_number", "groups", "keywords", "min", "max", "delay", "posts", "old_posts", "expiry", "runs", "interval",
    "country", "device", "type_of_traffic", "google_keyword", "referring_url", "order", "orders", "refill", "refills",
    "order[]", "orders[]", "orders[0]", "idempotency_key", "key", "api_token", "action", "junk", "", "ключ",
)  # fmt: skip
VALUES = (
    "", "0", "1", "-0", "-1", "100", "1000", "1e3", "1_000", "12.0", "2.3501001e+07", "9223372036854775808",
    "999999999", "1000000000", "2147483648", "NaN", "Infinity", "null", "undefined", "true", "٣", "100001", "100002",
    "1,2,,3,", "100001,100002,x", "1/1/2030", "31/02/2030", "https://example.com/p/1", "a\nb\r\nc\\nd",
    "\x00", "\ud800", "\N{GRINNING FACE}", "' OR 1=1 --", "<script>", "%00%ff", "a" * 300,
)  # fmt: skip
PLAUSIBLE = {
    "link": "https://example.com/p/1", "quantity": "100", "comments": "a\nb", "usernames": "a\nb", "hashtags": "#a",
    "hashtag": "#a", "username": "ann", "media": "m", "answer_number": "1", "groups": "g", "keywords": "k",
    "min": "50", "max": "60", "delay": "0", "posts": "2", "country": "DE", "device": "1", "type_of_traffic": "3",
}  # fmt: skip
HOST = b"Host: gateway\r\n"


class Grammar:
    """Makes one request for each number; the same seed and number make the same request."""

    def __init__(self, seed: int, key: str, services: int) -> None:
        self._seed = seed
        self._key = key
        self._services = services

    def request(self, number: int) -> bytes:
        chance = random.Random(f"{self._seed} {number}")
        pairs = self._pairs(chance)
        method = chance.choice(("POST",) * 8 + ("GET", "GET", "PUT", "HEAD"))
        path = chance.choice(("/api/v2", "/api/v2", "/api/v2/", "/api", "/api/v1"))
        return chance.choice((_form, _form, _form, _query, _json, _multipart, _broken))(chance, method, path, pairs)

    def _pairs(self, chance: random.Random) -> list[tuple[str, str]]:
        key = chance.choice((self._key,) * 9 + ("wrong", ""))
        pairs = [("key", key), ("action", chance.choice(ACTIONS))]
        if pairs[1][1].strip().lower() == "add" and chance.random() < 0.8:
            pairs.append(("service", str(chance.randint(1, self._services))))
            wanted = [name for name in PLAUSIBLE if chance.random() < 0.9]
            pairs += [(name, PLAUSIBLE[name]) for name in wanted]
            if chance.random() < 0.3:
                pairs += [("runs", "3"), ("interval", "10")]
            if chance.random() < 0.3:
                pairs.append(("idempotency_key", f"k{chance.randint(1, 9)}"))
        pairs += [(chance.choice(NAMES), self._value(chance)) for _ in range(chance.choice((0, 1, 1, 2, 3, 70)))]
        if chance.random() < 0.5:
            chance.shuffle(pairs)
        return pairs

    def _value(self, chance: random.Random) -> str:
        match chance.randrange(60):
            case 0:
                return "https://example.com/" + "x" * 10_000
            case 1:
                return ",".join(str(order) for order in range(100_001, 100_001 + chance.choice((499, 501, 100_001))))
            case 2:
                return "".join(chr(chance.randrange(1, 0xD000)) for _ in range(chance.randrange(40)))
            case _:
                return chance.choice(VALUES)


def _escape(text: str) -> str:
    return quote_plus(text.encode("utf-8", "surrogatepass"))


def _joined(pairs: list[tuple[str, str]]) -> bytes:
    return "&".join(f"{_escape(name)}={_escape(value)}" for name, value in pairs).encode()


def _with_body(method: str, path: str, content_type: bytes, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\n".encode() + HOST + b"Connection: close\r\n"
    return head + b"Content-Type: " + content_type + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _form(chance: random.Random, method: str, path: str, pairs: list[tuple[str, str]]) -> bytes:
    kind = chance.choice((b"application/x-www-form-urlencoded",) * 4 + (b"text/plain", b"application/json", b""))
    return _with_body(method, path, kind, _joined(pairs))


def _query(chance: random.Random, method: str, path: str, pairs: list[tuple[str, str]]) -> bytes:
    query = _joined(pairs)[:60_000].decode()
    return f"{method} {path}?{query} HTTP/1.1\r\n".encode() + HOST + b"Connection: close\r\n\r\n"


def _json(chance: random.Random, method: str, path: str, pairs: list[tuple[str, str]]) -> bytes:
    def typed(value: str) -> object:
        match chance.randrange(8):
            case 0:
                return [value, value]
            case 1:
                return {"0": value}
            case 2:
                return chance.choice((None, True, 1.5, -0.0, 2**63, 10**30, 12, [], {}, [[[[]]]]))
            case _:
                return int(value) if value.isascii() and value.isdigit() else value

    body = json.dumps(
        {name: typed(value) if name not in ("key", "action") else value for name, value in pairs}
    ).encode()
    if chance.random() < 0.2:
        body = chance.choice(
            (body[:-3], b"[" * 5000, b"\xef\xbb\xbf" + body, b"  " + body, b'{"key":NaN}', body + b"x")
        )
    return _with_body(method, path, b"application/json", body)


def _multipart(chance: random.Random, method: str, path: str, pairs: list[tuple[str, str]]) -> bytes:
    parts = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (quote(name).encode(), value.encode("utf-8", "surrogatepass"))
        for name, value in pairs
    )
    body = parts + chance.choice((b"--b--\r\n", b"--b--", b"--b", b""))
    return _with_body(method, path, chance.choice((b"multipart/form-data; boundary=b", b"multipart/form-data")), body)


def _broken(chance: random.Random, method: str, path: str, pairs: list[tuple[str, str]]) -> bytes:
    """Wrong lengths and encodings, and bytes that are hardly HTTP."""
    body = _joined(pairs)
    start = f"{method} {path} HTTP/1.1\r\n".encode() + HOST + b"Connection: close\r\n"
    return chance.choice(
        (
            start + b"Content-Length: 999999999\r\n\r\n" + body,
            start + b"Content-Length: -1\r\n\r\n" + body,
            start + b"Content-Length: x\r\n\r\n" + body,
            start + b"Content-Length: 3\r\n\r\n" + body,
            start + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
            start + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n",
            start + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + body,
            start + b"Idempotency-Key: " + b"k" * 70 + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
            b"\x16\x03\x01\x02\x00" + body,
            body + b"\r\n\r\n",
            start + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        )
    )
