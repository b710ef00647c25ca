"""Resources of operators, under `/v1/admin`; all take a key with `admin:*` of an administrator."""
