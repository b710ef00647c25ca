"""Proof of the money: every invariant of the ledger, each in one statement over all rows."""

from uuid import UUID

import msgspec

from gateway.db.engine import Transaction

PROBLEMS_MAX = 1000
"""Of each check: what is wholly broken need not be listed row by row."""

CHECK_TIMEOUT_S = 600.0
"""Each check reads the whole ledger, so the pool's own limit is too short for it."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that does not hold, and whom it concerns."""

    wallet_id: UUID | None
    user_email: str | None
    order_number: int | None
    what: str


async def claim_verifying(tx: Transaction) -> bool:
    """Whether nobody else who asked this is at it; the claim ends with the transaction."""
    claimed: bool = await tx.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('verify_ledger'))")
    return claimed


async def verify(tx: Transaction) -> list[Problem]:
    """Everything that does not hold; empty where the books are right.

    The caller's transaction is REPEATABLE READ, so that all checks see one moment.
    """
    problems: list[Problem] = []
    for check in CHECKS:
        rows = await tx.fetch(f"{check} LIMIT {PROBLEMS_MAX}", timeout=CHECK_TIMEOUT_S)
        problems.extend(Problem(*row) for row in rows)
    return problems


_TO_BALANCE = """CASE l.type WHEN 'deposit' THEN l.amount WHEN 'refund' THEN l.amount
  WHEN 'withdraw' THEN -l.amount WHEN 'fee' THEN -l.amount ELSE 0 END"""
_TO_HOLD = """CASE l.type WHEN 'hold' THEN l.amount WHEN 'release' THEN -l.amount
  WHEN 'withdraw' THEN -l.amount ELSE 0 END"""

_SUMS = f"""
SELECT w.id, u.email, NULL::integer,
       format('balance %s and hold %s, but its rows add up to %s and %s',
              w.balance, w.hold_amount, coalesce(s.balance, 0), coalesce(s.hold, 0))
  FROM wallets w LEFT JOIN users u ON u.id = w.user_id
  LEFT JOIN (SELECT l.wallet_id, sum({_TO_BALANCE}) AS balance, sum({_TO_HOLD}) AS hold
               FROM ledger l GROUP BY l.wallet_id) s ON s.wallet_id = w.id
 WHERE w.balance <> coalesce(s.balance, 0) OR w.hold_amount <> coalesce(s.hold, 0)
 ORDER BY w.id
"""

_LAST_ROW = """
SELECT w.id, u.email, NULL::integer,
       CASE WHEN l.wallet_seq IS NULL
            THEN format('is at row %s, but has no rows', w.last_seq)
            ELSE format('is at row %s with balance %s and hold %s, but its last row %s has %s and %s',
                        w.last_seq, w.balance, w.hold_amount, l.wallet_seq, l.balance_after, l.hold_after) END
  FROM wallets w LEFT JOIN users u ON u.id = w.user_id
  LEFT JOIN (SELECT DISTINCT ON (wallet_id) wallet_id, wallet_seq, balance_after, hold_after
               FROM ledger ORDER BY wallet_id, wallet_seq DESC) l ON l.wallet_id = w.id
 WHERE (w.last_seq, w.balance, w.hold_amount) IS DISTINCT FROM
       (coalesce(l.wallet_seq, 0), coalesce(l.balance_after, 0), coalesce(l.hold_after, 0))
 ORDER BY w.id
"""

_CHAIN = """
SELECT c.wallet_id, u.email, NULL::integer,
       format('row %s (balance %s, hold %s before it) does not continue row %s (%s and %s after it)',
              c.wallet_seq, c.balance_before, c.hold_before, c.seq, c.balance, c.hold)
  FROM (SELECT wallet_id, wallet_seq, balance_before, hold_before,
               lag(wallet_seq, 1, 0::bigint) OVER before AS seq,
               lag(balance_after, 1, 0::numeric) OVER before AS balance,
               lag(hold_after, 1, 0::numeric) OVER before AS hold
          FROM ledger WINDOW before AS (PARTITION BY wallet_id ORDER BY wallet_seq)) c
  LEFT JOIN wallets w ON w.id = c.wallet_id LEFT JOIN users u ON u.id = w.user_id
 WHERE c.wallet_seq <> c.seq + 1 OR c.balance_before <> c.balance OR c.hold_before <> c.hold
 ORDER BY c.wallet_id, c.wallet_seq
"""

_ARITHMETIC = f"""
SELECT l.wallet_id, u.email, NULL::integer,
       format('row %s: %s of %s from balance %s and hold %s does not lead to %s and %s', l.wallet_seq, l.type,
              l.amount, l.balance_before, l.hold_before, l.balance_after, l.hold_after)
  FROM ledger l LEFT JOIN wallets w ON w.id = l.wallet_id LEFT JOIN users u ON u.id = w.user_id
 WHERE l.type NOT IN ('deposit', 'withdraw', 'hold', 'release', 'refund', 'fee')
    OR l.balance_after <> l.balance_before + {_TO_BALANCE}
    OR l.hold_after <> l.hold_before + {_TO_HOLD}
 ORDER BY l.wallet_id, l.wallet_seq
"""

_NEGATIVE = """
SELECT l.wallet_id, u.email, NULL::integer,
       format('row %s: %s of %s leaves balance %s and hold %s, which may not be', l.wallet_seq, l.type, l.amount,
              l.balance_after, l.hold_after)
  FROM ledger l LEFT JOIN wallets w ON w.id = l.wallet_id LEFT JOIN users u ON u.id = w.user_id
 WHERE l.amount < 0 OR l.hold_after < 0 OR l.hold_after > l.balance_after
    OR (l.amount = 0 AND l.type NOT IN ('hold', 'release', 'withdraw'))
UNION ALL
SELECT w.id, u.email, NULL::integer, format('balance %s and hold %s, which may not be', w.balance, w.hold_amount)
  FROM wallets w LEFT JOIN users u ON u.id = w.user_id
 WHERE w.hold_amount < 0 OR w.hold_amount > w.balance
"""

_OWNER = """
SELECT l.wallet_id, u.email, NULL::integer, format('row %s is of another user than its wallet', l.wallet_seq)
  FROM ledger l LEFT JOIN wallets w ON w.id = l.wallet_id LEFT JOIN users u ON u.id = w.user_id
 WHERE w.user_id IS DISTINCT FROM l.user_id
 ORDER BY l.wallet_id, l.wallet_seq
"""

_REFERENCES = """
SELECT coalesce(l.wallet_id, r.wallet_id), u.email, NULL::integer,
       CASE WHEN r.wallet_id IS NULL THEN format('row %s has no reference on record', l.wallet_seq)
            WHEN l.wallet_id IS NULL THEN format('row %s is missing, but has a reference on record', r.wallet_seq)
            ELSE format('row %s is %s of %s %s, but on record as %s of %s %s', l.wallet_seq,
                        l.type, l.reference_type, l.reference_id, r.type, r.reference_type, r.reference_id) END
  FROM ledger l FULL JOIN ledger_references r ON r.wallet_id = l.wallet_id AND r.wallet_seq = l.wallet_seq
  LEFT JOIN wallets w ON w.id = coalesce(l.wallet_id, r.wallet_id) LEFT JOIN users u ON u.id = w.user_id
 WHERE (l.wallet_id, l.type, l.reference_type, l.reference_id)
       IS DISTINCT FROM (r.wallet_id, r.type, r.reference_type, r.reference_id)
 ORDER BY 1
"""

_BOOKED = """
WITH booked AS (
  SELECT reference_id AS order_id, min(wallet_id::text)::uuid AS wallet_id, count(DISTINCT wallet_id) AS wallets,
         count(*) FILTER (WHERE type = 'hold') AS holds,
         count(*) FILTER (WHERE type = 'withdraw') AS withdrawals,
         count(*) FILTER (WHERE type = 'release') AS releases,
         coalesce(sum(amount) FILTER (WHERE type = 'hold'), 0) AS hold,
         coalesce(sum(amount) FILTER (WHERE type = 'withdraw'), 0) AS withdrawn,
         coalesce(sum(amount) FILTER (WHERE type = 'release'), 0) AS released,
         coalesce(sum(amount) FILTER (WHERE type = 'refund'), 0) AS refunded
    FROM ledger WHERE reference_type = 'order' GROUP BY reference_id
)
"""

_ORDER_MONEY = f"""{_BOOKED}
SELECT b.wallet_id, u.email, o.number, problem.what
  FROM orders o
  LEFT JOIN booked b ON b.order_id = o.id
  LEFT JOIN wallets w ON w.id = b.wallet_id
  LEFT JOIN users u ON u.id = o.user_id
  CROSS JOIN LATERAL (
    SELECT o.status IN ('completed', 'partial', 'cancelled', 'failed', 'refunded') AS ended) s
  CROSS JOIN LATERAL (VALUES
    (coalesce(b.holds, 0) <> 1 OR b.hold <> o.price,
     format('has %s hold rows of %s in all, and a price of %s', coalesce(b.holds, 0), coalesce(b.hold, 0), o.price)),
    (b.wallets > 1 OR w.user_id <> o.user_id OR w.currency <> o.currency,
     'is booked on another wallet than that of its user and currency'),
    (s.ended AND b.withdrawn + b.released <> b.hold,
     format('is %s, but withdrew %s and released %s of a hold of %s', o.status, b.withdrawn, b.released, b.hold)),
    (s.ended AND (b.withdrawals > 1 OR b.releases > 1 OR b.withdrawals + b.releases = 0),
     format('is %s with %s withdraw and %s release rows', o.status, b.withdrawals, b.releases)),
    (NOT s.ended AND b.withdrawals + b.releases > 0,
     format('is still %s, but withdrew %s and released %s', o.status, b.withdrawn, b.released)),
    (b.refunded > b.withdrawn, format('refunded %s of the %s withdrawn', b.refunded, b.withdrawn)),
    (s.ended AND o.charge <> coalesce(b.withdrawn - b.refunded, 0),
     format('has a charge of %s, but withdrew %s and refunded %s', o.charge, coalesce(b.withdrawn, 0),
            coalesce(b.refunded, 0)))
  ) AS problem(holds, what)
 WHERE o.parent_id IS NULL AND NOT o.is_parent AND problem.holds
 ORDER BY o.id
"""

_CHILD_MONEY = f"""{_BOOKED}
SELECT b.wallet_id, u.email, o.number, problem.what
  FROM orders o
  LEFT JOIN order_parents p ON p.order_id = o.parent_id
  LEFT JOIN booked b ON b.order_id = o.id
  LEFT JOIN wallets w ON w.id = b.wallet_id
  LEFT JOIN users u ON u.id = o.user_id
  CROSS JOIN LATERAL (
    SELECT o.status IN ('completed', 'partial', 'cancelled', 'failed', 'refunded') AS ended,
           coalesce(b.withdrawn, 0) AS withdrawn, coalesce(b.released, 0) AS released) s
  CROSS JOIN LATERAL (VALUES
    (p.order_id IS NULL OR NOT EXISTS (SELECT FROM order_children c WHERE c.parent_id = o.parent_id
       AND c.order_id = o.id), 'is a run of no order on record'),
    (b.holds > 0, 'is a run of another order, and has a hold of its own'),
    (b.wallets > 1 OR w.user_id <> o.user_id OR w.currency <> o.currency,
     'is booked on another wallet than that of its user and currency'),
    (s.ended AND s.withdrawn + s.released <> p.run_price,
     format('is %s, but withdrew %s and released %s of a share of %s', o.status, s.withdrawn, s.released,
            p.run_price)),
    (NOT s.ended AND (s.withdrawn <> 0 OR s.released <> p.run_price - o.price),
     format('is still %s, but withdrew %s and released %s', o.status, s.withdrawn, s.released)),
    (b.refunded > b.withdrawn, format('refunded %s of the %s withdrawn', b.refunded, b.withdrawn)),
    (s.ended AND o.charge <> s.withdrawn - coalesce(b.refunded, 0),
     format('has a charge of %s, but withdrew %s and refunded %s', o.charge, s.withdrawn, coalesce(b.refunded, 0)))
  ) AS problem(holds, what)
 WHERE o.parent_id IS NOT NULL AND problem.holds
 ORDER BY o.id
"""

_PARENT_MONEY = f"""{_BOOKED}, children AS (
  SELECT parent_id, count(*) AS count, sum(charge) AS charge,
         bool_or(status IN ('pending', 'processing')) AS open
    FROM orders WHERE parent_id IS NOT NULL GROUP BY parent_id
)
SELECT b.wallet_id, u.email, o.number, problem.what
  FROM orders o
  LEFT JOIN order_parents p ON p.order_id = o.id
  LEFT JOIN children c ON c.parent_id = o.id
  LEFT JOIN booked b ON b.order_id = o.id
  LEFT JOIN wallets w ON w.id = b.wallet_id
  LEFT JOIN users u ON u.id = o.user_id
  CROSS JOIN LATERAL (
    SELECT o.status IN ('completed', 'partial', 'cancelled', 'failed', 'refunded') AS ended,
           coalesce(b.withdrawn, 0) AS withdrawn, coalesce(b.released, 0) AS released,
           coalesce(c.count, 0) AS children) s
  CROSS JOIN LATERAL (VALUES
    (p.order_id IS NULL, 'has runs, but they are not on record'),
    (coalesce(b.holds, 0) < 1 OR b.hold <> o.price OR o.price <> p.held * p.run_price,
     format('holds %s, with a price of %s for %s runs of %s', coalesce(b.hold, 0), o.price, p.held, p.run_price)),
    (b.wallets > 1 OR w.user_id <> o.user_id OR w.currency <> o.currency,
     'is booked on another wallet than that of its user and currency'),
    (s.children <> p.started, format('has begun %s runs, and has %s of them', p.started, s.children)),
    (s.withdrawn + s.released + s.children * p.run_price > o.price,
     format('resolved %s of its own and %s runs, past its hold of %s', s.withdrawn + s.released, s.children, o.price)),
    (s.ended AND s.withdrawn + s.released + s.children * p.run_price <> o.price,
     format('is %s, but resolved %s of its own and %s runs of a hold of %s', o.status, s.withdrawn + s.released,
            s.children, o.price)),
    (s.ended AND c.open, format('is %s with a run that is still open', o.status)),
    (b.refunded > b.withdrawn, format('refunded %s of the %s withdrawn', b.refunded, b.withdrawn)),
    (s.ended AND o.charge <> s.withdrawn - coalesce(b.refunded, 0) + coalesce(c.charge, 0),
     format('has a charge of %s, but its own rows and its runs come to %s', o.charge,
            s.withdrawn - coalesce(b.refunded, 0) + coalesce(c.charge, 0)))
  ) AS problem(holds, what)
 WHERE o.is_parent AND problem.holds
 ORDER BY o.id
"""

_WITHOUT_ORDER = f"""{_BOOKED}
SELECT b.wallet_id, u.email, NULL::integer, format('has rows of order %s, which does not exist', b.order_id)
  FROM booked b LEFT JOIN wallets w ON w.id = b.wallet_id LEFT JOIN users u ON u.id = w.user_id
 WHERE NOT EXISTS (SELECT FROM orders o WHERE o.id = b.order_id)
"""

_PAYOUTS = """
SELECT p.wallet_id, u.email, NULL::integer,
       format('a pay-out held %s and withdrew %s in %s rows', p.held, p.withdrawn, p.rows)
  FROM (SELECT reference_id, min(wallet_id::text)::uuid AS wallet_id, count(*) AS rows,
               coalesce(sum(amount) FILTER (WHERE type = 'hold'), 0) AS held,
               coalesce(sum(amount) FILTER (WHERE type = 'withdraw'), 0) AS withdrawn
          FROM ledger WHERE reference_type = 'payout' GROUP BY reference_id) p
  LEFT JOIN wallets w ON w.id = p.wallet_id LEFT JOIN users u ON u.id = w.user_id
 WHERE p.rows <> 2 OR p.held <> p.withdrawn
 ORDER BY p.wallet_id
"""

_GUARDS = """
WITH ledger_tables AS (
  SELECT 'ledger'::regclass AS oid UNION ALL
  SELECT inhrelid FROM pg_inherits WHERE inhparent = 'ledger'::regclass
), expected(oid, name, function) AS (
  SELECT oid, 'ledger_append_only', 'refuse_change' FROM ledger_tables UNION ALL
  SELECT oid, 'ledger_no_truncate', 'refuse_change' FROM ledger_tables UNION ALL
  VALUES ('ledger_references'::regclass, 'ledger_references_append_only', 'refuse_change'),
         ('ledger_references'::regclass, 'ledger_no_truncate', 'refuse_change'),
         ('wallets'::regclass, 'wallets_guard', 'guard_wallet'),
         ('wallets'::regclass, 'wallets_recorded', 'check_wallet_recorded'),
         ('wallets'::regclass, 'wallets_updated_at', 'set_updated_at')
)
SELECT NULL::uuid, NULL::text, NULL::integer, format('trigger %s on %s is missing', e.name, e.oid::regclass)
  FROM expected e
 WHERE NOT EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
                    WHERE t.tgrelid = e.oid AND t.tgname = e.name AND p.proname = e.function)
UNION ALL
SELECT NULL, NULL, NULL, format('trigger %s on %s is switched off', t.tgname, t.tgrelid::regclass)
  FROM pg_trigger t
 WHERE t.tgrelid IN (SELECT oid FROM expected) AND t.tgenabled <> 'O'
"""

CHECKS = (
    _SUMS, _LAST_ROW, _CHAIN, _ARITHMETIC, _NEGATIVE, _OWNER, _REFERENCES, _ORDER_MONEY, _CHILD_MONEY,
    _PARENT_MONEY, _WITHOUT_ORDER, _PAYOUTS, _GUARDS,
)  # fmt: skip
"""Each answers rows of wallet, e-mail, order number and what is wrong."""
