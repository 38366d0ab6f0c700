"""SQLAlchemy's ORM in several applications, each with a pool of its own: URL CLIENTS [own].

`own` has each unit of work also use a temporary table over several transactions, and a session's
advisory lock.
"""

import sys
import threading

from sqlalchemy import create_engine, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

APPLICATIONS = 4
UNITS = 6


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[int]
    balance: Mapped[int]


def work(engine, owner):
    """A unit of work as a request of a web application has it."""
    with Session(engine) as session:
        account = Account(owner=owner, balance=1)
        session.add(account)
        session.flush()
        account.balance += 1
        session.commit()
        assert session.get(Account, account.id).balance == 2
        session.rollback()
    with Session(engine) as session:
        session.execute(text("SET LOCAL statement_timeout = '30s'"))
        mine = session.scalars(select(Account).where(Account.owner == owner)).all()
        assert {one.owner for one in mine} == {owner}, mine
        try:
            with session.begin_nested():
                session.execute(text("SELECT 1 / 0"))
        except Exception as error:
            assert "division by zero" in str(error), error
        total = session.scalar(select(func.sum(Account.balance)).where(Account.owner == owner))
        assert total == 2 * len(mine), (total, len(mine))
        session.commit()


def work_with_own(engine, owner):
    """What only one connection has, over several transactions."""
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE mine (value int)"))
        connection.execute(text("INSERT INTO mine VALUES (:owner)"), {"owner": owner})
        connection.commit()
        assert connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": owner})
        connection.commit()
        assert connection.execute(text("SELECT value FROM mine")).scalars().all() == [owner]
        assert connection.scalar(text("SELECT pg_advisory_unlock(:key)"), {"key": owner})
        connection.execute(text("DROP TABLE mine"))
        connection.commit()


def main(url, clients, own):
    url = url.replace("postgres://", "postgresql+psycopg://")
    size = clients // APPLICATIONS
    engines = [create_engine(url, pool_size=size, max_overflow=0) for _ in range(APPLICATIONS)]
    Base.metadata.create_all(engines[0])
    # All connections are open at once before the work begins.
    ready = threading.Barrier(clients)
    failures = []

    def client(number):
        engine = engines[number % APPLICATIONS]
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                connection.rollback()
                ready.wait()
            for _ in range(UNITS):
                work(engine, number)
                if own:
                    work_with_own(engine, number)
        except Exception as error:
            ready.abort()
            failures.append(f"{number}: {error!r}")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    print("done")
    sys.stdout.flush()
    # Still connected: who asks finds what idle clients leave behind.
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:] == ["own"])
