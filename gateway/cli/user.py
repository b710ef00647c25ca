"""`gateway user`: who may hold keys and money."""

from typing import TYPE_CHECKING

import rich_click as click

from gateway.cli.output import json_option, print_json, print_table
from gateway.cli.parameters import Email
from gateway.cli.surroundings import read_secret, with_database

if TYPE_CHECKING:
    from gateway.accounts.model import Role, UserStatus
    from gateway.accounts.people.model import User
    from gateway.db.engine import Database
    from gateway.settings import Settings


@click.group()
def user() -> None:
    """Add users and change their status."""


@user.command()
@click.argument("email", type=Email())
@click.option("--role", type=click.Choice(["reseller", "user", "admin"]), required=True)
@click.option("--password-stdin", is_flag=True, help="Read a password from stdin; without it the user has none.")
@json_option
def add(email: str, role: "Role", password_stdin: bool, as_json: bool) -> None:
    """Add a user."""
    password = read_secret("password") if password_stdin else None

    async def action(db: "Database", settings: "Settings") -> str:
        from gateway.accounts.users import add_user, hash_password

        password_hash = await hash_password(password)
        async with db.transaction() as tx:
            return str(await add_user(tx, email, role, password_hash))

    user_id = with_database(action)
    if as_json:
        print_json({"id": user_id, "email": email.strip().lower(), "role": role})
    else:
        click.echo(user_id)


@user.command()
@click.argument("email", type=Email())
@click.argument("new_status", metavar="STATUS", type=click.Choice(["active", "suspended", "banned"]))
@json_option
def status(email: str, new_status: "UserStatus", as_json: bool) -> None:
    """Let a user in again, or keep all the user's keys out within a second."""

    async def action(db: "Database", settings: "Settings") -> None:
        from gateway.accounts.users import set_user_status

        async with db.transaction() as tx:
            await set_user_status(tx, email, new_status)

    with_database(action)
    if as_json:
        print_json({"email": email.strip().lower(), "status": new_status})
    else:
        click.echo(f"{email} is {new_status}")


@user.command("list")
@click.option("--role", type=click.Choice(["reseller", "user", "admin"]))
@click.option("--status", "with_status", type=click.Choice(["active", "suspended", "banned"]))
@click.option("--email", "part", help="A part of the address.")
@click.option("--most", type=click.IntRange(1, 10_000), default=1000, show_default=True)
@json_option
def list_users(role: str | None, with_status: str | None, part: str | None, most: int, as_json: bool) -> None:
    """List users, in the order in which they came."""

    async def action(db: "Database", settings: "Settings") -> "list[User]":
        from gateway.accounts.people import store
        from gateway.accounts.people.model import Wanted

        async with db.connection() as connection:
            return await store.list_users(connection, Wanted(role=role, status=with_status, email=part, most=most))

    import msgspec

    rows = [msgspec.structs.asdict(each) for each in with_database(action)]
    if as_json:
        print_json(rows)
    else:
        print_table({"id": "ID", "email": "EMAIL", "role": "ROLE", "status": "STATUS", "created_at": "CREATED"}, rows)


@user.command()
@click.argument("email", type=Email())
@click.argument("new_role", metavar="ROLE", type=click.Choice(["reseller", "user", "admin"]))
@json_option
def role(email: str, new_role: "Role", as_json: bool) -> None:
    """Give a user another role. The last active administrator stays one."""

    async def action(db: "Database", settings: "Settings") -> None:
        from gateway.accounts.people import store
        from gateway.accounts.people.changing import change_user
        from gateway.accounts.people.model import UserEdit
        from gateway.accounts.users import normal_email
        from gateway.errors import NotFound

        async with db.transaction() as tx:
            found = await store.find_user_by_email(tx, normal_email(email))
            if found is None:
                raise NotFound(f"user {email}")
            await change_user(tx, found.id, UserEdit(role=new_role))

    with_database(action)
    if as_json:
        print_json({"email": email.strip().lower(), "role": new_role})
    else:
        click.echo(f"{email} is {new_role}")
