"""Write the tables of `docs/data-model.md` from the comments in the migrated schema, so that none can be missing: `make docs`."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import asyncpg

PAGE = Path(__file__).parent.parent / "docs" / "data-model.md"
BEGIN, END = "<!-- The tables, written by `make docs` from the schema's comments: -->\n", "<!-- End of the tables. -->\n"

FIRST = ("conversations", "messages", "replies", "dead_letters", "events")
"""What most queries are about."""

COLUMNS = """
SELECT relname AS table, obj_description(pg_class.oid, 'pg_class') AS about, attname AS column,
       format_type(atttypid, NULL) || CASE WHEN attnotnull THEN '' ELSE '?' END AS type,
       col_description(pg_class.oid, attnum) AS meaning,
       coalesce(attnum = ANY (indkey), false) AS is_key
FROM pg_class
JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_index ON indrelid = pg_class.oid AND indisprimary
WHERE relnamespace = 'prosa'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
ORDER BY array_position($1::text[], relname::text), relname, attnum
"""


class Column(NamedTuple):
    """One column with its comment; `type` ends with a question mark where it may be empty."""

    table: str
    about: str | None
    name: str
    type: str
    meaning: str | None
    is_key: bool


async def columns_of(url: str) -> Sequence[Column]:
    """Every column of the schema `prosa`, those of the important tables first."""
    connection = await asyncpg.connect(url)
    try:
        return [Column(*row) for row in await connection.fetch(COLUMNS, FIRST)]
    finally:
        await connection.close()


def lines(columns: Sequence[Column]) -> Iterator[str]:
    for table, group in groupby(columns, lambda column: column.table):
        rows = list(group)
        yield f"### `{table}`\n\n{rows[0].about}\n\n| column | type | meaning |\n|---|---|---|\n"
        for column in rows:
            name = f"**`{column.name}`**" if column.is_key else f"`{column.name}`"
            yield f"| {name} | {_short(column.type)} | {_cell(column.meaning)} |\n"
        yield "\n"


def _short(column_type: str) -> str:
    return column_type.replace("timestamp with time zone", "timestamptz")


def _cell(meaning: str | None) -> str:
    return (meaning or "").replace("|", r"\|")


def written(page: str, columns: Sequence[Column]) -> str:
    """The page with its tables written anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{''.join(lines(columns))}{END}{after}"


def main() -> None:
    from projections.migrate import migrate
    from simulator.servers import EmbeddedPostgres, free_port

    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedPostgres(Path(directory) / "postgres", free_port())
        server.start()
        try:
            migrate(server.url)
            columns = asyncio.run(columns_of(server.url))
        finally:
            server.stop()
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), columns), encoding="utf-8")


if __name__ == "__main__":
    main()
