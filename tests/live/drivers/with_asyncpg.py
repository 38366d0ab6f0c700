"""What asyncpg does, by many clients at once: URL SEED CLIENTS ROUNDS [-SCENARIO…]."""

import asyncio
import io
import sys
import uuid
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import asyncpg

from transcript import Client, chosen, show, value


def failure(error):
    """A server's error in full, any other by its kind."""
    if not isinstance(error, asyncpg.PostgresError):
        return f"{type(error).__name__}: {error}"
    names = ("severity_en", "sqlstate", "message", "detail", "hint", "position", "context", "schema_name",
             "table_name", "column_name", "constraint_name")
    return " | ".join([type(error).__name__] + [str(getattr(error, name, None) or "") for name in names])


@contextmanager
def fails(client):
    try:
        yield
        client.say("no error")
    except Exception as error:
        client.say("error", failure(error))


async def rest(client):
    await asyncio.sleep(client.pause())


async def connect(client, **kwargs):
    return await asyncpg.connect(client.url, **kwargs)


async def fresh(client, name, columns="id int primary key, what text"):
    table = client.table(name)
    await client.conn.execute(f"drop table if exists {table}")
    await client.conn.execute(f"create table {table} ({columns})")
    return table


async def rows(client, query, *args):
    client.say("rows", [tuple(row) for row in await client.conn.fetch(query, *args)])


async def fetches(client):
    conn = client.conn
    for turn in range(3):
        await rows(client, "select g, g::text || $1 from generate_series(1, $2::int) g", "x", turn)
        client.say(await conn.fetchval("select $1::int + 1", turn), await conn.fetchrow("select 1 as a where $1", False))
        client.say(await conn.execute("select 1; select 2"), await conn.execute("select $1::int", 7))
        await rest(client)
    for text in ("", ";", "-- nothing"):
        client.say(await conn.fetch(text))


async def statements(client):
    """Prepared once, used over many transactions; more of them than the driver keeps."""
    conn = await connect(client, statement_cache_size=4)
    kept = await conn.prepare("select $1::int * 2 as twice, $2::text as what")
    client.say([(one.name, one.type.name) for one in kept.get_attributes()], [one.name for one in kept.get_parameters()])
    for turn in range(3):
        for number in range(8):
            client.say(await conn.fetchval(f"select {number} + $1::int", turn))
        client.say(tuple(await kept.fetchrow(turn, "x")), kept.get_statusmsg())
        await rest(client)
    with fails(client):
        await conn.prepare("selekt")
    with fails(client):
        await kept.fetch(1, 2)
    client.say([tuple(row) for many in [await kept.fetch(n, "y") for n in range(3)] for row in many])
    client.say(await kept.explain(1, "z", analyze=False) != [])
    await conn.close()


async def many(client):
    conn, table = client.conn, await fresh(client, "many")
    await conn.executemany(f"insert into {table} values ($1, $2)", [(n, f"w{n}") for n in range(200)])
    with fails(client):
        await conn.executemany(f"insert into {table} values ($1, $2)", [(n, "x") for n in (300, 301, 5, 302)])
    with fails(client):
        await conn.executemany(f"insert into {table} values ($1, $2)", [(400, "x"), ("bad", "x")])
    client.say([tuple(row) for row in await conn.fetchmany(f"insert into {table} values ($1, $2) returning id", [(n, "y") for n in (500, 501)])])
    await rows(client, f"select count(*), max(id) from {table}")


async def types(client):
    """Types that the driver has to ask for."""
    conn, name = await connect(client), client.table("mood")
    await conn.execute(f"drop type if exists {name}_pair; drop type if exists {name}; create type {name} as enum ('glad', 'sad')")
    await conn.execute(f"create type {name}_pair as (feels {name}, at timestamptz)")
    for _ in range(2):
        client.say(await conn.fetchval(f"select $1::{name}[]", ["glad", None, "sad"]))
        await rest(client)
        client.say(tuple(await conn.fetchval(f"select ('sad', '2024-02-29 00:00Z')::{name}_pair")))
    await conn.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=lambda text: ("decoded", text))
    client.say(await conn.fetchval("select '{\"a\": 1}'::jsonb"))
    await conn.execute(f"alter type {name} add value 'new'")
    await conn.reload_schema_state()
    client.say(await conn.fetchval(f"select $1::{name}", "new"))
    with fails(client):
        await conn.fetchval(f"select $1::{name}", "wrong")
    await conn.close()


async def values(client):
    given = [
        ("int", 1), ("bigint", -(2**40)), ("numeric", Decimal("12345.678900")), ("float8", 1.5), ("text", "tëxt '\\"), ("text", None),
        ("bytea", b"\x00\xff"), ("uuid", uuid.UUID(int=7)), ("timestamptz", datetime(2024, 2, 29, tzinfo=timezone.utc)),
        ("interval", timedelta(days=3, seconds=5)), ("int[]", [1, None, 3]), ("text[]", [["a", "b"], ["c", None]]), ("jsonb", '{"a": 1}'),
        ("bool", True), ("int4range", asyncpg.Range(1, 5)), ("point", asyncpg.Point(1, 2)), ("inet", "10.0.0.1"), ("varbit", asyncpg.BitString("1011")),
    ]
    for name, one in given:
        client.say(name, value(await client.conn.fetchval(f"select $1::{name}", one)))


async def cursors(client):
    conn = client.conn
    with fails(client):
        await conn.cursor("select 1")
    async with conn.transaction():
        total = 0
        async for row in conn.cursor("select generate_series(1, $1::int)", 1000, prefetch=70):
            total += row[0]
        client.say(total)
        cursor = await conn.cursor("select generate_series(1, 30)")
        client.say(await cursor.fetch(3), await cursor.forward(10))
        await rest(client)
        client.say(await cursor.fetchrow(), len(await cursor.fetch(100)), await cursor.fetchrow())
        kept = await conn.prepare("select generate_series(1, $1::int)")
        client.say(await conn.fetchval("select 'amid'"), sum([row[0] async for row in kept.cursor(90)]))
    with fails(client):
        async with conn.transaction():
            async for _ in conn.cursor("select 1 / (60 - g) from generate_series(1, 100) g"):
                pass
    client.say(conn.is_in_transaction())


async def transactions(client):
    conn, table = client.conn, await fresh(client, "transactions")
    look = "select current_setting('transaction_isolation'), current_setting('transaction_read_only'), current_setting('transaction_deferrable')"
    for level in ("read_committed", "repeatable_read", "serializable", "read_uncommitted", None):
        async with conn.transaction(isolation=level, readonly=level == "serializable", deferrable=level == "serializable"):
            await rows(client, look)
            await rest(client)
    await rows(client, look)
    with fails(client):
        async with conn.transaction():
            await conn.execute(f"insert into {table} values (1)")
            with fails(client):
                async with conn.transaction():
                    await conn.execute(f"insert into {table} values (2)")
                    await conn.execute(f"insert into {table} values (1)")
            async with conn.transaction():
                await conn.execute(f"insert into {table} values (3)")
            client.say(conn.is_in_transaction())
            with fails(client):
                await conn.fetch("select * from no_such")
            with fails(client):
                await conn.fetch("select 1")
            raise ValueError("mine")
    await rows(client, f"select * from {table}")
    by_hand = conn.transaction()
    await by_hand.start()
    await conn.execute(f"insert into {table} values (9)")
    await by_hand.commit()
    await rows(client, f"select * from {table}")


async def copies(client):
    conn, table = client.conn, await fresh(client, "copies")
    client.say(await conn.copy_records_to_table(table, records=[(n, f"line {n}") for n in range(500)]))
    client.say(await conn.copy_to_table(table, source=io.BytesIO(b"1000\tcopied\n1001\t\\N\n")))
    out = io.BytesIO()
    client.say(await conn.copy_from_query("select g, 'x' from generate_series(1, $1::int) g", 300, output=out), len(out.getvalue()))
    out = io.BytesIO()
    client.say(await conn.copy_from_table(table, output=out, columns=["id"], format="binary"), len(out.getvalue()))
    with fails(client):
        await conn.copy_records_to_table(table, records=[(1, "twice")])
    with fails(client):
        await conn.copy_records_to_table(table, records=[(2000, "x"), ("bad", "x")])
    with fails(client):
        await conn.copy_to_table(table, source=io.BytesIO(b"bad\n" * 50_000))
    with fails(client):
        await conn.copy_from_query("select 1 / (200 - g) from generate_series(1, 300) g", output=io.BytesIO())

    with fails(client):
        await conn.copy_from_table("no_such", output=io.BytesIO())

    async def ends_early():
        yield b"3000\tx\n"
        raise ValueError("mine")

    with fails(client):
        await conn.copy_to_table(table, source=ends_early())
    await rows(client, f"select count(*), max(id) from {table}")


async def cancels(client):
    conn = client.conn
    with fails(client):
        await conn.execute("select pg_sleep(20)", timeout=0.05)
    await rows(client, "select 'after'")
    with fails(client):
        await asyncio.wait_for(conn.fetch("select pg_sleep(20)"), 0.05)
    await rows(client, "select 'after'")
    with fails(client):
        async with conn.transaction():
            await conn.execute("set local statement_timeout = '30ms'")
            await conn.execute("select pg_sleep(20)")
    with fails(client):
        async with conn.transaction():
            await conn.fetchval("select 1")
            await conn.fetch("select pg_sleep(20)", timeout=0.05)
    client.say(conn.is_in_transaction(), await conn.fetchval("show statement_timeout"))


async def listeners(client):
    channel = client.table("channel")
    conn, heard = await connect(client), asyncio.Queue()
    hear = lambda _conn, _pid, name, payload: heard.put_nowait((name, payload))
    await conn.add_listener(channel, hear)
    for number in range(3):
        await client.conn.execute("select pg_notify($1, $2)", channel, f"told {number}")
    async with client.conn.transaction():
        await client.conn.execute(f"notify {channel}, 'same'; notify {channel}, 'same'; notify {channel}, 'last'")
    client.say([await asyncio.wait_for(heard.get(), 10) for _ in range(5)])
    await conn.remove_listener(channel, hear)
    await client.conn.execute(f"notify {channel}, 'unheard'")
    client.say(await conn.fetchval("select 1"), heard.empty())
    await conn.close()


async def notices(client):
    conn, seen = await connect(client), []
    keep = lambda _conn, notice: seen.append((notice.severity_en, notice.sqlstate, notice.message, notice.hint))
    conn.add_log_listener(keep)
    await conn.execute("do $$ begin raise notice 'one'; raise warning 'two' using hint = 'h'; end $$")
    await conn.execute("drop table if exists no_such_table")
    await conn.execute("commit")
    await asyncio.sleep(0)
    client.say(seen)
    conn.remove_log_listener(keep)
    await conn.close()


async def errors(client):
    conn = client.conn
    table = await fresh(client, "errors", "id int primary key, what text not null check (what <> 'bad')")
    for text in ("select 1 / 0", "selekt", "select nothing", f"insert into {table} values (1)", f"insert into {table} values (1, 'bad')",
                 f"insert into {table} values (1, 'a'), (1, 'b')", "rollback to t",
                 "do $$ begin raise exception 'mine' using errcode = 'XX123', hint = 'h', detail = 'd'; end $$"):
        with fails(client):
            await conn.execute(text)
        with fails(client):
            await conn.fetch(text)
    with fails(client):
        await conn.fetch("select $1::int / $2", 1, 0)
    with fails(client):
        await conn.fetch("select $1::int", "x")
    with fails(client):
        await conn.fetch("select $1::int")
    with fails(client):
        await conn.execute(f"insert into {table} values (7, 'a'); select 1 / 0")
    await rows(client, f"select * from {table}")


async def settings(client):
    conn = await connect(client, server_settings={"application_name": f"me {client.number}", "work_mem": "1MB", "search_path": "a, public"})
    look = "select current_setting('application_name'), current_setting('work_mem'), current_setting('search_path')"
    client.say(await conn.fetch(look), conn.get_settings().application_name)
    await rest(client)
    await conn.execute("set work_mem = '3MB'; set application_name = 'changed'")
    client.say(await conn.fetch(look), conn.get_settings().application_name)
    await conn.reset()
    client.say(await conn.fetch(look))
    async with conn.transaction():
        await conn.execute("set local work_mem = '5MB'")
        client.say(await conn.fetch(look))
    client.say(await conn.fetch(look), conn.get_server_version() > (9, 0))
    await conn.close()
    await rows(client, "select current_setting('work_mem'), current_setting('search_path')")


async def pools(client):
    """The driver's own pool, which cleans a connection whenever it comes back."""
    made = asyncpg.create_pool(client.url, min_size=2, max_size=5, server_settings={"application_name": f"pool {client.number}"})
    async with made as pool:
        async def work(number):
            async with pool.acquire() as conn:
                own = await conn.fetchval("select $1::int + 1", number)
                async with conn.transaction():
                    await conn.execute("set local work_mem = '2MB'")
                    inside = await conn.fetchval("show work_mem")
                return own, inside, await conn.fetchval("show work_mem"), await conn.fetchval("show application_name")

        client.say(await asyncio.gather(*(work(number) for number in range(15))))
        with fails(client):
            async with pool.acquire() as conn:
                await conn.execute("begin; set work_mem = '9MB'; select pg_advisory_xact_lock(1)")
        client.say(await pool.fetchval("show work_mem"), await pool.fetch("select 1 as a"))


async def schema_change(client):
    conn, table = client.conn, await fresh(client, "schema_change")
    await conn.execute(f"insert into {table} values (1, 'a')")
    look = f"select * from {table}"
    for _ in range(2):
        await rows(client, look)
    await conn.execute(f"alter table {table} add column later int default 7")
    for _ in range(2):
        await rows(client, look)
    await conn.execute(f"alter table {table} drop column what")
    with fails(client):
        async with conn.transaction():
            await rows(client, look)
    await rows(client, look)


async def large(client):
    size = 300_000 + client.number
    client.say(await client.conn.fetchval("select length($1) + length($2)", "x" * size, "y" * size))
    client.say(len(await client.conn.fetchval("select repeat('z', $1)", size)))
    numbers = list(range(20_000))
    client.say(await client.conn.fetchval("select $1::int[]", numbers) == numbers)


SCENARIOS = [
    fetches, statements, many, types, values, cursors, transactions, copies, cancels, listeners, notices,
    errors, settings, pools, schema_change, large,
]


async def live(client, rounds, scenarios):
    client.conn = await connect(client)
    for scenario in client.order(scenarios, rounds):
        try:
            await scenario(client)
        except Exception as error:
            # The transcripts differ by it, if it is not what Postgres itself does.
            client.say("unexpected", failure(error))
            client.conn.terminate()
            client.conn = await connect(client)
        await rest(client)
    await client.conn.close()


async def main(url, seed, clients, rounds, *names):
    clients = [Client(url, seed, number) for number in range(int(clients))]
    scenarios = chosen(SCENARIOS, names)
    await asyncio.gather(*(live(client, int(rounds), scenarios) for client in clients))
    show(clients)


asyncio.run(main(*sys.argv[1:]))
