"""Wallets and the append-only ledger: every change of money is one row."""
