"""asyncpg's pools: URL CLIENTS."""

import asyncio
import json
import sys

import asyncpg

APPLICATIONS = 4
UNITS = 6


async def prepare(connection):
    """What applications do with each new connection; asyncpg looks up the type by itself."""
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    await connection.execute("SET TIME ZONE 'Europe/Berlin'")


async def work(pool, owner):
    async with pool.acquire() as connection:
        async with connection.transaction():
            row = await connection.fetchrow(
                "INSERT INTO note (owner, what) VALUES ($1, $2) RETURNING id, what", owner, {"by": owner})
            assert row["what"] == {"by": owner}, row
            await connection.execute("UPDATE note SET what = $2 WHERE id = $1", row["id"], {"by": -owner})
        assert await connection.fetchval("SHOW TimeZone") in ("Europe/Berlin", "UTC", "Etc/UTC", "GMT")
    assert await pool.fetchval("SELECT what FROM note WHERE id = $1", row["id"]) == {"by": -owner}
    async with pool.acquire() as connection:
        async with connection.transaction():
            seen = [one["owner"] async for one in connection.cursor(
                "SELECT owner FROM note WHERE owner = $1", owner, prefetch=3)]
            assert set(seen) == {owner}, seen


async def main(url, clients):
    size = clients // APPLICATIONS
    pools = [await asyncpg.create_pool(url, min_size=size, max_size=size, init=prepare)
             for _ in range(APPLICATIONS)]
    await pools[0].execute("CREATE TABLE note (id serial PRIMARY KEY, owner int, what jsonb)")

    async def client(number):
        for _ in range(UNITS):
            await work(pools[number % APPLICATIONS], number + 1)

    await asyncio.gather(*(client(number) for number in range(clients)))
    print("done", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.gather(*(pool.close() for pool in pools))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
