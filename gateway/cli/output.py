"""What commands print: a table for people, or the same as one line of JSON."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import rich_click as click

json_option = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")


def print_json(value: object) -> None:
    """Amounts are strings in plain digits; what JSON has no form for is its text."""
    import msgspec

    click.echo(msgspec.json.encode(_plain(value), enc_hook=str).decode())


def print_table(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A line a row with the named fields; `columns` gives each its heading. Never cut at a width when piped."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns.values():
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(show(row[field])) for field in columns))
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
    else:
        Console(highlight=False, width=100_000).print(table)


def print_fields(values: Mapping[str, Any]) -> None:
    """A line a field, the names aligned."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        click.echo(f"{name:<{width}}  {show(value)}".rstrip())


def show(value: object) -> str:
    """One line for people."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case dict() | list() | tuple():
            import msgspec

            return msgspec.json.encode(_plain(value), enc_hook=str).decode()
        case _ if hasattr(value, "isoformat"):
            return str(value.isoformat(sep=" ", timespec="seconds"))
        case _:
            return " ".join(str(_plain(value)).split())


def _plain(value: object) -> object:
    from compat.money import format_amount

    match value:
        case Decimal():
            return format_amount(value)
        case dict():
            return {str(name): _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case _:
            return value
