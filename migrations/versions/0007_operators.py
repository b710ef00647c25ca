"""A sync that an operator asks the worker for, and taught words in the audit log."""

from importlib import import_module

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_RECORD_AUDIT = import_module("migrations.versions.0005_native_api").FUNCTIONS["record_audit()"].replace(
    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
)  # fmt: skip
_NAMED = "  row_id := coalesce(row_id, coalesce(after, before) ->> 'name');\n"
_WORDS = (
    "  row_id := coalesce(row_id, left((coalesce(after, before) ->> 'provider_id') || ' '\n"
    "    || (coalesce(after, before) ->> 'words'), 255));\n"
)
"""Taught words have neither id nor name: they are the provider's id and the words."""
_ALTERED = (
    "ALTER TABLE providers ADD COLUMN sync_wanted VARCHAR(20)",
    "ALTER TABLE providers ADD CONSTRAINT ck_providers_sync_wanted CHECK (sync_wanted IN ('usual', 'shrunk'))",
    "GRANT SELECT (sync_wanted) ON providers TO gateway_report",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in (_RECORD_AUDIT.replace(_NAMED, _NAMED + _WORDS), *_ALTERED):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(_RECORD_AUDIT)
    connection.exec_driver_sql("ALTER TABLE providers DROP COLUMN sync_wanted")
