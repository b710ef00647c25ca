"""SQL of users for operators."""

from uuid import UUID

from msgspec import UNSET

from gateway.accounts.people.model import User, UserEdit, Wanted
from gateway.db.engine import Transaction

_COLUMNS = "id, email, role, status, password_hash <> '!' AS has_password, created_at, updated_at"


async def list_users(tx: Transaction, wanted: Wanted) -> list[User]:
    """In the order in which they came."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM users
         WHERE ($1::text IS NULL OR role = $1) AND ($2::text IS NULL OR status = $2)
           AND ($3::text IS NULL OR strpos(email, lower($3)) > 0) AND ($4::uuid IS NULL OR id > $4)
         ORDER BY id LIMIT $5
        """,
        wanted.role,
        wanted.status,
        wanted.email,
        wanted.after,
        wanted.most,
    )
    return [User(**row) for row in rows]


async def find_user(tx: Transaction, user_id: UUID, *, lock: bool = False) -> User | None:
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM users WHERE id = $1{' FOR NO KEY UPDATE' if lock else ''}", user_id
    )
    return User(**row) if row else None


async def find_user_by_email(tx: Transaction, email: str) -> User | None:
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM users WHERE email = $1", email)
    return User(**row) if row else None


async def lock_other_administrators(tx: Transaction, user_id: UUID) -> int:
    """How many active ones there are besides, locked, so that of two who go at once one stays."""
    rows = await tx.fetch(
        "SELECT id FROM users WHERE role = 'admin' AND status = 'active' ORDER BY id FOR NO KEY UPDATE",
    )
    return sum(row["id"] != user_id for row in rows)


async def update_user(tx: Transaction, user_id: UUID, changes: UserEdit) -> None:
    await tx.execute(
        """
        UPDATE users SET role = coalesce($2, role), status = coalesce($3, status),
               password_hash = coalesce($4, password_hash) WHERE id = $1
        """,
        user_id,
        *(None if value is UNSET else value for value in (changes.role, changes.status, changes.password_hash)),
    )
