"""SQL of the paces: when the next order may go out, one row a provider."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from gateway.db.engine import Transaction
from gateway.providers.paces.model import Pace


async def lock_paces(tx: Transaction, provider_ids: Sequence[UUID]) -> dict[UUID, Pace]:
    """The paces of those providers that have one, locked; one that another worker holds is not waited for."""
    rows = await tx.fetch(
        """
        WITH paced AS (SELECT id, sends_per_second FROM providers
                        WHERE id = ANY($1) AND sends_per_second IS NOT NULL),
             made AS (INSERT INTO provider_paces (provider_id) SELECT id FROM paced ON CONFLICT DO NOTHING)
        SELECT p.id, p.sends_per_second::float8, held.free_s
          FROM paced p LEFT JOIN LATERAL (
            SELECT extract(epoch FROM now() - next_send_at)::float8 AS free_s FROM provider_paces
             WHERE provider_id = p.id FOR UPDATE SKIP LOCKED) held ON true
        """,
        provider_ids,
    )
    return {row["id"]: Pace(row["sends_per_second"], row["free_s"]) for row in rows}


async def spend_paces(tx: Transaction, paces: Mapping[UUID, Pace], sent: Mapping[UUID, int]) -> None:
    """Note what is about to be sent; the rows are locked already."""
    spent = [provider_id for provider_id in paces if sent.get(provider_id)]
    if spent:
        await tx.execute(
            """
            UPDATE provider_paces p
               SET next_send_at = greatest(p.next_send_at, now() - make_interval(secs => n.slack_s))
                                  + make_interval(secs => n.taken_s)
              FROM unnest($1::uuid[], $2::float8[], $3::float8[]) AS n(id, slack_s, taken_s)
             WHERE p.provider_id = n.id
            """,
            spent,
            [(paces[provider_id].burst - 1) / paces[provider_id].per_second for provider_id in spent],
            [sent[provider_id] / paces[provider_id].per_second for provider_id in spent],
        )
