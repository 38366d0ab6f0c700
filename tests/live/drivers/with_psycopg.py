"""What psycopg does, by many clients at once: URL SEED CLIENTS ROUNDS [-SCENARIO…]."""

import sys
import threading
import time
import uuid
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address

import psycopg
from psycopg import ClientCursor, IsolationLevel, Rollback, generators, pq, sql
from psycopg.rows import dict_row, tuple_row
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

from transcript import Client, chosen, show, value


def failure(error):
    """A server's error in full, any other by its kind."""
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return f"{type(error).__name__}: {error}"
    diag = error.diag
    parts = (diag.severity_nonlocalized, diag.sqlstate, diag.message_primary, diag.message_detail,
             diag.message_hint, diag.statement_position, diag.context, diag.schema_name,
             diag.table_name, diag.column_name, diag.constraint_name)
    return " | ".join("" if part is None else part for part in parts)


@contextmanager
def fails(client):
    try:
        yield
        client.say("no error")
    except Exception as error:
        client.say("error", failure(error))


def status(client, conn):
    client.say("status", conn.info.transaction_status.name, conn.info.pipeline_status.name)


def rest(client):
    time.sleep(client.pause())


def connect(client, **kwargs):
    return psycopg.connect(client.url, **kwargs)


def fresh(client, name, columns="id int primary key, what text"):
    """A new, empty table of this client."""
    table = client.table(name)
    client.conn.execute(f"drop table if exists {table}")
    client.conn.execute(f"create table {table} ({columns})")
    client.conn.commit()
    return table


def rows(client, query, *args, **kwargs):
    client.say("rows", client.conn.execute(query, *args, **kwargs).fetchall())


def autocommit(client):
    conn, table = client.conn, fresh(client, "autocommit")
    for on in (True, False):
        conn.autocommit = on
        conn.execute(f"insert into {table} values (%s, 'kept')", (int(on),))
        status(client, conn)
        with fails(client):
            conn.execute(f"insert into {table} values (%s, 'twice')", (int(on),))
        status(client, conn)
        with fails(client):
            conn.execute("select 1")
        conn.rollback()
        status(client, conn)
    rows(client, f"select * from {table}")


def savepoints(client):
    conn, table = client.conn, fresh(client, "savepoints")
    with fails(client), conn.transaction():
        conn.execute(f"insert into {table} values (1)")
        with conn.transaction("named"):
            conn.execute(f"insert into {table} values (2)")
            rest(client)
            with fails(client), conn.transaction():
                conn.execute(f"insert into {table} values (3)")
                conn.execute(f"insert into {table} values (1)")
            with conn.transaction() as inner:
                conn.execute(f"insert into {table} values (4)")
                raise Rollback(inner)
        with conn.transaction(force_rollback=True):
            conn.execute(f"insert into {table} values (5)")
        status(client, conn)
    status(client, conn)
    with fails(client), conn.transaction():
        conn.execute(f"insert into {table} values (6)")
        raise ValueError("mine")
    rows(client, f"select id from {table} order by id")


def prepared(client):
    """Statements are prepared on their second use, and the sixth goes."""
    conn = client.conn
    conn.prepare_threshold, conn.prepared_max = 1, 5
    try:
        for turn in range(4):
            for number in range(8):
                got = conn.execute(f"select %s::int + {number}", (turn,)).fetchone()
                client.say(got, len(conn._prepared._names))
            conn.commit() if turn % 2 else conn.rollback()
            rest(client)
        for kind in ("x", 1, None, Decimal("1.5")):
            client.say(conn.execute("select %s || 'y'", (str(kind),)).fetchone())
        with fails(client):
            conn.execute("select 10 / %s", (0,), prepare=True)
        conn.rollback()
        for divisor in (2, 5):
            rows(client, "select 10 / %s", (divisor,), prepare=True)
        conn.execute("deallocate all")
        conn._prepared.clear()
        rows(client, "select 10 / %s", (1,), prepare=True)
    finally:
        conn.rollback()
        conn.prepare_threshold, conn.prepared_max = 5, 100


def pipeline(client):
    conn, table = client.conn, fresh(client, "pipeline")
    with conn.pipeline() as line:
        cursors = [conn.execute("select %s::int, %s::text", (n, "x" * n)) for n in range(12)]
        conn.execute(f"insert into {table} values (1, 'piped')")
        line.sync()
        last = conn.execute("select 'after'")
        for cursor in reversed(cursors):
            client.say(cursor.fetchone(), cursor.statusmessage)
        client.say(last.fetchone())
        with conn.pipeline():
            nested = conn.execute("select 'nested'")
        client.say(nested.fetchall())
        many = conn.cursor()
        many.executemany(f"insert into {table} values (%s, 'many')", [(n,) for n in range(10, 60)])
        client.say(many.rowcount)
        status(client, conn)
    conn.commit()
    rows(client, f"select count(*), min(id), max(id) from {table}")


def pipeline_errors(client):
    """Every statement of a pipeline is told what became of it."""
    conn, table = client.conn, fresh(client, "pipeline_errors")
    for on in (False, True):
        conn.autocommit = on
        for bad in ("select 1 / 0", "selekt", f"insert into {table} values (1)", "select * from no"):
            with fails(client), conn.pipeline():
                conn.execute(f"insert into {table} values (1, %s)", (bad,))
                conn.execute(bad)
                conn.execute("select 'behind'")
            status(client, conn)
            conn.rollback()
            rows(client, f"select * from {table}")
            conn.execute(f"delete from {table}")
            conn.rollback()
        conn.autocommit = False


def pipeline_prepared(client):
    conn = client.conn
    conn.prepare_threshold = 0
    try:
        with conn.pipeline():
            cursors = [conn.execute("select %s::int * 3", (n,)) for n in range(6)]
            client.say([cursor.fetchone() for cursor in cursors])
        with fails(client), conn.pipeline():
            conn.execute("select %s::int / 0", (1,))
            conn.execute("select %s::int * 3", (1,))
        conn.rollback()
        rows(client, "select %s::int * 3", (7,))
        rows(client, "select %s::int * 4", (7,))
    finally:
        conn.rollback()
        conn.prepare_threshold = 5


def copy_out(client):
    conn = client.conn
    with conn.cursor() as cursor:
        with cursor.copy("copy (select g, 'line ' || g from generate_series(1, 300) g) to stdout") as out:
            read = [bytes(block) for block in out]
        client.say(len(read), read[0], read[-1], cursor.statusmessage)
        with cursor.copy("copy (select g, g::text from generate_series(1, 5) g) to stdout (format binary)") as out:
            out.set_types(["int4", "text"])
            client.say(list(out.rows()))
        with cursor.copy("copy (select 1, null, 'a\tb', '\\') to stdout") as out:
            client.say(out.read_row(), out.read_row())
        with fails(client):
            with cursor.copy("copy (select 1 / (200 - g) from generate_series(1, 300) g) to stdout") as out:
                for _ in out:
                    pass
        status(client, conn)
        conn.rollback()
        with fails(client):
            with cursor.copy("copy (select repeat('x', 100) from generate_series(1, 30000)) to stdout") as out:
                client.say(len(out.read()))
                raise ValueError("mine")
        conn.rollback()
        with fails(client):
            with cursor.copy("copy no_such to stdout") as out:
                out.read()
        conn.rollback()
    rows(client, "select 'after'")


def copy_in(client):
    conn, table = client.conn, fresh(client, "copy_in")
    with conn.cursor() as cursor:
        with cursor.copy(f"copy {table} from stdin") as into:
            for number in range(200):
                into.write_row((number, f"line {number}\t\\ ü"))
        client.say(cursor.statusmessage, cursor.rowcount)
        with cursor.copy(f"copy {table} from stdin (format binary)") as into:
            into.set_types(["int4", "text"])
            into.write_row((1000, "binary"))
            into.write_row((1001, None))
        conn.commit()
        wrong = {"bad": "x\ty\n", "twice": "1\ty\n", "columns": "2000\ta\tb\n", "late": "2001\ta\n" * 9000}
        for name, data in wrong.items():
            with fails(client), cursor.copy(f"copy {table} from stdin") as into:
                into.write(data)
            client.say(name, cursor.statusmessage)
            status(client, conn)
            conn.rollback()
        with fails(client), cursor.copy(f"copy {table} from stdin") as into:
            into.write("3000\ta\n")
            rest(client)
            raise ValueError("mine")
        status(client, conn)
        conn.rollback()
        conn.autocommit = True
        with fails(client), cursor.copy(f"copy {table} from stdin") as into:
            into.write("x" * 300_000)
        status(client, conn)
        conn.autocommit = False
    rows(client, f"select count(*), sum(id), md5(string_agg(what, '' order by id)) from {table}")


def server_cursors(client):
    conn = client.conn
    with conn.cursor("here") as cursor:
        cursor.execute("select generate_series(1, %s)", (1000,))
        client.say(cursor.fetchone(), cursor.fetchmany(3))
        rest(client)
        cursor.itersize = 300
        client.say(sum(row[0] for row in cursor))
    with conn.cursor("back", scrollable=True) as cursor:
        cursor.execute("select generate_series(1, 20)")
        client.say(cursor.fetchmany(5))
        cursor.scroll(-3)
        client.say(cursor.fetchone())
        cursor.scroll(18, mode="absolute")
        client.say(cursor.fetchall(), cursor.description[0].name)
    with fails(client):
        conn.cursor("lost", scrollable=False).execute("select 1 / 0").fetchone()
    conn.rollback()
    cursor = conn.cursor("gone").execute("select generate_series(1, 3)")
    client.say(cursor.fetchone())
    conn.commit()
    with fails(client):
        cursor.fetchone()
    conn.rollback()


def held_cursor(client):
    """A cursor WITH HOLD outlives its transaction, and its session only."""
    with connect(client) as conn:
        cursor = conn.cursor("held", withhold=True).execute("select generate_series(1, 100)")
        client.say(cursor.fetchmany(2))
        conn.commit()
        rest(client)
        client.say(cursor.fetchmany(2))
        with fails(client):
            conn.execute("select 1 / 0")
        conn.rollback()
        client.say(cursor.fetchone(), len(cursor.fetchall()))
        cursor.close()
        status(client, conn)


def values(client):
    """Everything there and back, in text and in binary."""
    given = [
        1, -(2**40), 2**70, 1.5, float("inf"), Decimal("12345.678900"), True, None, "tëxt '\\", "",
        b"\x00\xff\\", uuid.UUID(int=7), date(2024, 2, 29), datetime(2024, 2, 29, 12, 30, 15, 250),
        datetime(2024, 2, 29, tzinfo=timezone.utc), timedelta(days=3, seconds=5), [1, 2, None], ["a", None, "b,\"c"],
        Jsonb({"a": [1, None, "ü"]}), Range(1, 10), ip_address("10.0.0.1"),
    ]
    for binary in (False, True):
        with client.conn.cursor(binary=binary) as cursor:
            for one in given:
                cursor.execute("select %b" if binary and not isinstance(one, (list, type(None))) else "select %s", (one,))
                client.say(value(cursor.fetchone()[0]), cursor.description[0].type_code)
    client.conn.rollback()


def notices(client):
    seen = []
    keep = lambda diag: seen.append((diag.severity_nonlocalized, diag.sqlstate, diag.message_primary,
                                     diag.message_detail, diag.message_hint))
    client.conn.add_notice_handler(keep)
    try:
        client.conn.execute("do $$ begin raise notice 'one'; raise warning 'two' using hint = 'h', detail = 'd'; end $$")
        client.conn.execute("drop table if exists no_such_table")
        client.conn.rollback()
        client.conn.rollback()
        with fails(client):
            client.conn.execute("do $$ begin raise info 'three'; raise exception 'four'; end $$")
        client.conn.rollback()
    finally:
        client.conn.remove_notice_handler(keep)
    client.say(seen)


def notifications(client):
    channel = client.table("channel")
    with connect(client, autocommit=True) as listener:
        listener.execute(f"listen {channel}")
        for number in range(3):
            client.conn.execute("select pg_notify(%s, %s)", (channel, f"told {number}"))
            client.conn.execute("select pg_notify(%s, %s)", (channel, f"told {number}"))
        client.conn.commit()
        client.conn.execute(f"notify {channel}, 'undone'")
        client.conn.rollback()
        client.conn.execute(f"notify {channel}, 'last'")
        client.conn.commit()
        got = [(told.channel, told.payload) for told in listener.notifies(timeout=10, stop_after=4)]
        client.say(got)
        listener.execute(f"notify {channel}, 'myself'")
        client.say([told.payload for told in listener.notifies(timeout=10, stop_after=1)])
        listener.execute(f"unlisten {channel}")
        client.conn.execute(f"notify {channel}, 'unheard'")
        client.conn.commit()
        listener.execute("select 1")
        client.say(list(listener.notifies(timeout=0)))


def cancels(client):
    conn = client.conn
    for in_block in (False, True):
        conn.autocommit = not in_block
        if in_block:
            # Or the cancel may come while BEGIN still waits for its turn.
            conn.execute("select 1")
        done = threading.Event()

        def cancel():
            while not done.wait(0.03):
                conn.cancel_safe(timeout=10)

        canceller = threading.Thread(target=cancel)
        canceller.start()
        with fails(client):
            conn.execute("select pg_sleep(20)")
        done.set()
        canceller.join()
        status(client, conn)
        conn.rollback()
        rows(client, "select 'after'")
    conn.rollback()
    conn.execute("set local statement_timeout = '20ms'")
    with fails(client):
        conn.execute("select pg_sleep(20)")
    conn.rollback()
    rows(client, "show statement_timeout")


def errors(client):
    conn = client.conn
    table = fresh(client, "errors", "id int primary key, what text not null check (what <> 'bad')")
    wrong = [
        "select 1 / 0", "selekt", "select nothing", "select * from no_such", f"insert into {table} values (1)",
        f"insert into {table} values (1, 'bad')", f"insert into {table} values (1, 'a'), (1, 'b')",
        "select 'x'::int", "select * from pg_sleep('x')", "savepoint s; rollback to t",
        "do $$ begin raise exception 'mine' using errcode = 'XX123', hint = 'h', detail = 'd', column = 'c'; end $$",
    ]
    for on in (True, False):
        conn.autocommit = on
        for text in wrong:
            with fails(client):
                conn.execute(text)
            status(client, conn)
            conn.rollback()
    conn.autocommit = False
    with fails(client):
        conn.execute("select %s::int + %s::int", ("1", "x"))
    conn.rollback()
    with fails(client):
        conn.execute("select 1; select 2", prepare=True)
    conn.rollback()


def start_up(client):
    """Start-up settings are this session's, and nobody else's."""
    name = f"me {client.number}"
    options = f"-c search_path=none_{client.number},public -c statement_timeout={1000 + client.number}s -c work_mem=1MB"
    look = """select current_setting('application_name'), current_setting('search_path'), current_setting('TimeZone'),
              current_setting('statement_timeout'), current_setting('work_mem'), current_setting('DateStyle')"""
    for _ in range(2):
        with connect(client, application_name=name, options=options) as conn:
            client.say(conn.execute(look).fetchone())
            conn.commit()
            rest(client)
            client.say(conn.execute(look).fetchone())
            client.say(conn.info.parameter_status("application_name"), conn.info.get_parameters().get("options"))
    rows(client, "select current_setting('statement_timeout'), current_setting('work_mem')")


def settings(client):
    """What is set is seen by who set it, and a rollback takes it back."""
    with connect(client) as conn:
        def look(name="TimeZone"):
            client.say(conn.execute("select now()::text ~ '[+]09$', current_setting(%s)", (name,)).fetchone(),
                       conn.info.parameter_status(name))
        conn.execute("set timezone to 'Asia/Tokyo'")
        look()
        conn.rollback()
        look()
        conn.execute("set timezone to 'Asia/Tokyo'")
        conn.commit()
        look()
        conn.execute("set client_encoding to latin1")
        conn.commit()
        client.say(conn.info.encoding, conn.execute("select 'é' || chr(233), octet_length('é')").fetchone())
        with fails(client):
            conn.execute("select '€' || chr(8364) || chr(9731)")
        conn.rollback()
        conn.execute("reset all")
        conn.commit()
        look()
    rows(client, "select current_setting('client_encoding'), current_setting('TimeZone')")


def isolation(client):
    conn, table = client.conn, fresh(client, "isolation")
    look = "select current_setting('transaction_isolation'), current_setting('transaction_read_only'), current_setting('transaction_deferrable')"
    for level in (*IsolationLevel, None):
        for read_only in (True, None):
            conn.isolation_level, conn.read_only, conn.deferrable = level, read_only, level == IsolationLevel.SERIALIZABLE or None
            client.say(level, conn.execute(look).fetchone())
            if read_only:
                with fails(client):
                    conn.execute(f"insert into {table} values (1)")
            conn.rollback()
    conn.isolation_level = conn.read_only = conn.deferrable = None
    rows(client, look)


def many(client):
    conn, table = client.conn, fresh(client, "many", "id serial primary key, what text")
    with conn.cursor() as cursor:
        cursor.executemany(f"insert into {table} (what) values (%s) returning id, what", [(f"w{n}",) for n in range(20)], returning=True)
        got = []
        while True:
            got.append(cursor.fetchone())
            if not cursor.nextset():
                break
        client.say(got)
        with fails(client):
            cursor.executemany(f"insert into {table} (id) values (%s)", [(100,), (101,), (100,), (102,)])
        conn.rollback()
    rows(client, f"select count(*) from {table}")


def streams(client):
    conn = client.conn
    with conn.cursor() as cursor:
        client.say(sum(row[0] for row in cursor.stream("select generate_series(1, %s)", (2000,))))
        with fails(client):
            seen = 0
            for _ in cursor.stream("select 1 / (50 - g) from generate_series(1, 100) g"):
                seen += 1
        client.say(seen)
    conn.rollback()
    with conn.cursor() as cursor:
        for row in cursor.stream("select generate_series(1, 50000)"):
            if row[0] == 3:
                break
    # The cancel that this sends may come too late.
    conn.rollback()
    rows(client, "select 'after'")


def simple(client):
    """Statements in one text, with values put in by the client."""
    cursor = ClientCursor(client.conn)
    cursor.execute("select %s; select %s, %s; ; show work_mem; select 1 where false", (1, "a'b", None))
    while True:
        client.say(cursor.statusmessage, cursor.fetchall())
        if not cursor.nextset():
            break
    for text in ("", ";", "-- nothing"):
        client.say(cursor.execute(text).statusmessage, cursor.pgresult.status)
    with fails(client):
        cursor.execute("select 1; select 1 / 0; select 2")
    client.conn.rollback()
    client.conn.autocommit = True
    table = client.table("simple")
    with fails(client):
        cursor.execute(f"create table {table} (a int); insert into {table} values (1); select 1 / 0")
    rows(client, "select to_regclass(%s)", (table,))
    cursor.execute("begin; select 1; commit; begin; select 2")
    status(client, client.conn)
    client.conn.rollback()
    client.conn.autocommit = False


def large(client):
    size = 400_000 + client.number
    rows(client, "select length(%s), md5(%s)", ("x" * size, "y" * size))
    client.say(len(client.conn.execute("select repeat('z', %s)", (size,)).fetchone()[0]))
    numbers = list(range(20_000))
    client.say(client.conn.execute("select %s::int[]", (numbers,)).fetchone()[0] == numbers)
    client.conn.rollback()


def two_phase(client):
    conn, table = connect(client), fresh(client, "two_phase")
    for number, ends in enumerate((conn.tpc_commit, conn.tpc_rollback)):
        conn.tpc_begin(conn.xid(1, f"{conn.info.dbname}-{client.number}-{number}", "branch"))
        conn.execute(f"insert into {table} values (%s, 'prepared')", (number,))
        conn.tpc_prepare()
        status(client, conn)
        rows(client, f"select * from {table}")
        client.conn.rollback()
        ends()
        status(client, conn)
    left = f"left-{conn.info.dbname}-{client.number}"
    conn.tpc_begin(left)
    conn.execute(f"insert into {table} values (7, 'recovered')")
    conn.tpc_prepare()
    conn.close()
    mine = [xid for xid in client.conn.tpc_recover() if str(xid) == left]
    client.conn.rollback()
    client.say(len(mine))
    client.conn.autocommit = True
    client.conn.tpc_commit(mine[0])
    client.conn.autocommit = False
    rows(client, f"select * from {table} order by id")


def libpq(client):
    """The protocol as libpq lets one write it."""
    conn = client.conn.pgconn

    def told(result):
        if result is None:
            return None
        error = result.error_field(pq.DiagnosticField.SQLSTATE)
        return (pq.ExecStatus(result.status).name, result.command_status, error,
                [result.get_value(row, 0) for row in range(result.ntuples)], result.nparams)

    def ask(send, *args, **kwargs):
        # Not libpq's own waiting: while that lasts, no thread of Python's runs.
        send(*args, **kwargs)
        [result] = client.conn.wait(generators.execute(conn))
        return told(result)

    # The unnamed statement outlives its transaction.
    client.say(ask(conn.send_prepare, b"", b"select 'unnamed ' || $1"))
    for number in (b"1", b"2"):
        rest(client)
        client.say(ask(conn.send_query_prepared, b"", [number]))
    client.say(ask(conn.send_prepare, b"named", b"select $1::int + 1"))
    client.say(ask(conn.send_prepare, b"named", b"select 2"))
    client.say(ask(conn.send_describe_prepared, b"named"), ask(conn.send_describe_prepared, b"no"))
    client.say(ask(conn.send_describe_portal, b"no"))
    for name, given in ((b"named", [b"x"]), (b"named", [b"1"]), (b"named", []), (b"no", [])):
        client.say(ask(conn.send_query_prepared, name, given))
    client.say(ask(conn.send_query_params, b"select $1::bytea", [b"\x00\x01"], param_formats=[1], result_format=1))
    client.say(ask(conn.send_query, b"deallocate named"), ask(conn.send_query_prepared, b"named", [b"1"]))
    conn.enter_pipeline_mode()
    conn.send_prepare(b"piped", b"select $1::int * 2")
    conn.send_query_prepared(b"piped", [b"4"])
    conn.send_describe_prepared(b"piped")
    conn.send_flush_request()
    conn.send_query_params(b"select 1 / $1::int", [b"0"])
    conn.send_query_prepared(b"piped", [b"5"])
    conn.pipeline_sync()
    conn.send_query_prepared(b"piped", [b"6"])
    conn.pipeline_sync()
    client.conn.wait(generators.send(conn))
    syncs = 0
    while syncs < 2:
        result = client.conn.wait(generators.fetch(conn))
        if result is not None:
            client.say(told(result))
            syncs += result.status == pq.ExecStatus.PIPELINE_SYNC
    conn.exit_pipeline_mode()
    client.say(ask(conn.send_query, b"deallocate piped"))


def schema_change(client):
    """A statement that was prepared before its table changed."""
    conn, table = client.conn, fresh(client, "schema_change")
    conn.autocommit = True
    look = sql.SQL("select * from {}").format(sql.Identifier(table))
    conn.execute(f"insert into {table} values (1, 'a')")
    for _ in range(2):
        client.say(conn.execute(look, prepare=True).fetchall())
    conn.execute(f"alter table {table} add column later int default 7")
    for _ in range(2):
        with fails(client):
            client.say(conn.execute(look, prepare=True).fetchall())
    conn.execute("deallocate all")
    conn._prepared.clear()
    client.say(conn.execute(look, prepare=True).fetchall())
    conn.execute("deallocate all")
    conn._prepared.clear()
    conn.autocommit = False


def row_factories(client):
    with client.conn.cursor(row_factory=dict_row) as cursor:
        client.say(cursor.execute("select 1 as a, 'b' as b").fetchall())
    with client.conn.cursor(row_factory=tuple_row) as cursor:
        client.say(cursor.execute("select").fetchall(), cursor.execute("select 1 where false").fetchone())
    client.conn.rollback()


SCENARIOS = [
    autocommit, savepoints, prepared, pipeline, pipeline_errors, pipeline_prepared, copy_out, copy_in,
    server_cursors, held_cursor, values, notices, notifications, cancels, errors, start_up, settings,
    isolation, many, streams, simple, large, two_phase, libpq, schema_change, row_factories,
]


def live(client, rounds, scenarios):
    client.conn = connect(client)
    for scenario in client.order(scenarios, rounds):
        try:
            scenario(client)
            client.conn.rollback()
        except Exception as error:
            # The transcripts differ by it, if it is not what Postgres itself does.
            client.say("unexpected", failure(error))
            client.conn.close()
            client.conn = connect(client)
        rest(client)
    client.conn.close()


def main(url, seed, clients, rounds, *names):
    clients = [Client(url, seed, number) for number in range(int(clients))]
    scenarios = chosen(SCENARIOS, names)
    threads = [threading.Thread(target=live, args=(client, int(rounds), scenarios)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    show(clients)


main(*sys.argv[1:])
