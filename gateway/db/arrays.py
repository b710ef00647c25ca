"""Arrays of PostgreSQL's own types, told to each new connection: asyncpg would ask for one when it first meets it."""

from typing import Any

ELEMENTS = {
    "bool": (1000, 16),
    "bytea": (1001, 17),
    "int2": (1005, 21),
    "int4": (1007, 23),
    "text": (1009, 25),
    "int8": (1016, 20),
    "float8": (1022, 701),
    "cidr": (651, 650),
    "date": (1182, 1082),
    "timestamptz": (1185, 1184),
    "interval": (1187, 1186),
    "numeric": (1231, 1700),
    "uuid": (2951, 2950),
    "jsonb": (3807, 3802),
}
"""The numbers of the array and of its element, which are PostgreSQL's for good."""

_ANSWERS = [
    {
        "oid": array,
        "ns": "pg_catalog",
        "name": f"_{name}",
        "kind": b"b",
        "basetype": None,
        "elemtype": element,
        "elemdelim": b",",
        "range_subtype": None,
        "attrtypoids": None,
        "attrnames": None,
        "basetype_name": None,
        "elemtype_name": name,
        "range_subtype_name": None,
    }
    for name, (array, element) in ELEMENTS.items()
]


def tell_arrays(connection: Any) -> None:
    """After the codecs of elements are set. asyncpg has no public name for this; its version is pinned to a minor."""
    connection._protocol.get_settings().register_data_types(_ANSWERS)
