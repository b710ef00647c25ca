"""Mail over encrypted lines, and servers that hang: real SMTP, with a certificate made here."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.alerts.delivery.channels import Channel, DeliveryFailed, channels_of
from gateway.alerts.delivery.digest import TEST
from gateway.settings import Settings
from tests.support.receivers import Mailbox

SOON_S = 8.0
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """For localhost, signed by itself; the key is in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an operator trusts an authority of his own."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


class Safe(Mailbox):
    """A mailbox with a password; `passwords` are all that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.passwords: list[bytes] = []

    def admit(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.passwords.append(data.password)
        return AuthResult(success=data.password == b"hunter2", handled=False)


@asynccontextmanager
async def safe_server(certificate: Path, *, from_the_start: bool) -> AsyncIterator[tuple[Safe, int]]:
    safe = Safe()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def talk() -> SMTP:
        return SMTP(
            safe,
            hostname="localhost",
            tls_context=None if from_the_start else context,
            require_starttls=not from_the_start,
            auth_require_tls=not from_the_start,
            authenticator=safe.admit,
        )

    server = await asyncio.get_running_loop().create_server(
        talk, "127.0.0.1", 0, ssl=context if from_the_start else None
    )
    async with server:
        yield safe, server.sockets[0].getsockname()[1]


def email(url: str) -> Channel:
    settings = Settings(alert_email_to="ann@example.com", alert_email_from="gateway@example.com", smtp_url=url)
    [channel] = channels_of(settings)
    return channel


LINES = [(False, "smtp", "?starttls"), (False, "smtp", ""), (True, "smtps", "")]


@pytest.mark.parametrize(("from_the_start", "scheme", "query"), LINES)
@pytest.mark.usefixtures("trusted")
async def test_mail_goes_over_an_encrypted_line_and_the_password_with_it(
    certificate: Path, from_the_start: bool, scheme: str, query: str
) -> None:
    async with safe_server(certificate, from_the_start=from_the_start) as (safe, port):
        said = await email(f"{scheme}://gateway:hunter2@localhost:{port}{query}").send(TEST)
    assert said == "sent to 1 of 1"
    assert safe.passwords == [b"hunter2"]
    assert [text.strip() for text in safe.texts] == ["This is a test: alerts of the gateway reach you here."]


@pytest.mark.parametrize(("from_the_start", "scheme", "query"), LINES)
async def test_a_server_whose_certificate_nobody_vouches_for_gets_no_password(
    certificate: Path, from_the_start: bool, scheme: str, query: str
) -> None:
    async with safe_server(certificate, from_the_start=from_the_start) as (safe, port):
        with pytest.raises(DeliveryFailed, match=r"(?i)certificate") as failed:
            await email(f"{scheme}://gateway:hunter2@localhost:{port}{query}").send(TEST)
    assert "hunter2" not in str(failed.value)
    assert (safe.passwords, safe.messages) == ([], [])


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_of_another_name_is_refused(certificate: Path) -> None:
    async with safe_server(certificate, from_the_start=True) as (safe, port):
        with pytest.raises(DeliveryFailed, match=r"(?i)certificate"):
            await email(f"smtps://gateway:hunter2@127.0.0.1:{port}").send(TEST)
    assert safe.passwords == []


@pytest.mark.usefixtures("trusted")
async def test_a_wrong_password_is_told_without_it(certificate: Path) -> None:
    async with safe_server(certificate, from_the_start=False) as (safe, port):
        with pytest.raises(DeliveryFailed, match=r"(?i)authentication|credentials") as failed:
            await email(f"smtp://gateway:hunter3@localhost:{port}?starttls").send(TEST)
    assert "hunter3" not in str(failed.value)
    assert safe.messages == []


# Servers that hang ---------------------------------------------------------------------------


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[int]:
    """Each connection is talked to by `talk`, and then kept open without a word."""
    talks: set[asyncio.Task[None]] = set()
    over = asyncio.Event()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await talk(reader, writer)
            await over.wait()
        finally:
            writer.close()

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        over.set()
        await asyncio.gather(*talks)


async def take_one_mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Until QUIT; whether the mail was taken by then."""
    writer.write(b"220 here\r\n")
    taken = in_data = False
    while line := await reader.readline():
        if in_data:
            taken = line == b".\r\n"
            in_data = not taken
            if in_data:
                continue
        elif line.startswith(b"DATA"):
            in_data = True
        elif line.startswith(b"QUIT"):
            break
        writer.write(b"354 go on\r\n" if in_data else b"250 OK\r\n")
    return taken


async def test_a_server_that_takes_the_mail_and_then_hangs_has_taken_it() -> None:
    taken: list[bool] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(await take_one_mail(reader, writer))

    async with serving(talk) as port:
        began = time.monotonic()
        assert await email(f"smtp://127.0.0.1:{port}?starttls=never").send(TEST) == "sent to 1 of 1"
    assert time.monotonic() - began < SOON_S
    assert taken == [True]


async def test_a_process_that_stops_does_not_wait_for_a_server_that_hangs() -> None:
    asked = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        await reader.readline()
        asked.set()

    async with serving(talk) as port:
        sending = asyncio.create_task(email(f"smtp://127.0.0.1:{port}?starttls=never").send(TEST))
        await asked.wait()
        began = time.monotonic()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert time.monotonic() - began < SOON_S


@pytest.mark.parametrize("host", ["mail..example.com", "a" * 70 + ".example.com", "nowhere.invalid"])
async def test_a_server_whose_name_is_none_is_a_failure_like_others(host: str) -> None:
    with pytest.raises(DeliveryFailed):
        await email(f"smtp://gateway:hunter2@{host}").send(TEST)
