"""Our money at providers: balances, deposits, and each day's charges against what the balance did."""
