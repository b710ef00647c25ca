"""What an address of a mail server says."""

import pytest

from gateway.alerts.delivery.channels import smtp_of


@pytest.mark.parametrize(
    ("url", "port", "use_tls", "start_tls"),
    [
        ("smtp://mail.example.com", 25, False, None),
        ("smtp://127.0.0.1:2525", 2525, False, None),
        ("smtp://u:p@127.0.0.1", 25, False, None),
        ("smtp://u:p@mail.example.com", 587, False, True),
        ("smtp://mail.example.com?starttls", 587, False, True),
        ("smtp://mail.example.com:25?starttls=never", 25, False, False),
        ("smtps://u:p@mail.example.com", 465, True, False),
        ("smtps://mail.example.com?starttls", 465, True, False),
    ],
)
def test_a_password_goes_over_an_open_line_only_to_this_machine(
    url: str, port: int, use_tls: bool, start_tls: bool | None
) -> None:
    server = smtp_of(url)
    assert (server.port, server.use_tls, server.start_tls) == (port, use_tls, start_tls)


def test_user_and_password_are_unquoted() -> None:
    server = smtp_of("smtp://ann%40example.com:p%2Fw%3A@mail.example.com:587")
    assert (server.username, server.password, server.host) == ("ann@example.com", "p/w:", "mail.example.com")
