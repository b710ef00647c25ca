"""Stacks that py-spy saw become shares of parts."""

from pathlib import Path

from benchmarks.causes import count_parts

SERVED = "main (gateway/cli/__init__.py:60);run (uvicorn/server.py:75)"
SEEN = f"""
{SERVED} 5
{SERVED};run_asgi (uvicorn/protocols/http/httptools_impl.py:416);app (compat/server.py:48);digest (hmac.py:160) 7
{SERVED};app (compat/server.py:48);identify (gateway/api/callers.py:30);hash (gateway/keyring.py:9);digest (hmac.py:1) 2
{SERVED};_flush (gateway/orders/placement.py:90);insert (gateway/orders/store.py:70);fetch (asyncpg/connection.py:1) 3
_bootstrap (threading.py:1002);_run_safe_shutdown_loop (pycares/__init__.py:10) 90
"""


def test_the_innermost_part_counts_and_other_threads_do_not(tmp_path: Path) -> None:
    seen = tmp_path / "stacks"
    seen.write_text(SEEN.strip() + "\n")
    assert count_parts(seen) == {"server": 5, "way to the panel": 7, "key": 2, "database": 3}
