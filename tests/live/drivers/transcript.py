"""Many clients at once, each with a seeded order of scenarios and a transcript of its own.

A transcript tells what an application sees: values, SQLSTATEs, notices, the transaction's status.
It must not tell what differs between two runs by itself: process ids, OIDs, times.
"""

import random


class Client:
    """One of the script's clients: its number, its connection and what it has seen so far."""

    def __init__(self, url, seed, number):
        self.url = url
        self.number = number
        self.dice = random.Random(f"{seed}/{number}")
        # Pauses are of their own dice: how often we pause must not change what we do.
        self.pauses = random.Random(f"{seed}/{number}/pauses")
        self.lines = []
        self.scenario = ""
        self.conn = None

    def say(self, *what):
        self.lines.append(f"{self.number} {self.scenario}: {' '.join(map(str, what))}")

    def pause(self):
        """How long to let others go first, in seconds."""
        return self.pauses.choice([0, 0, 0, 0.001, 0.004])

    def table(self, name):
        """A table that no other client has."""
        return f"{name}_{self.number}"

    def order(self, scenarios, rounds):
        """All scenarios, as often as there are rounds, in an order of this client's own."""
        for _ in range(rounds):
            for scenario in self.dice.sample(scenarios, len(scenarios)):
                self.scenario = scenario.__name__
                yield scenario


def chosen(scenarios, names):
    """Those named, or all but those named with a minus before."""
    without = {name[1:] for name in names if name.startswith("-")}
    only = {name for name in names if not name.startswith("-")}
    return [one for one in scenarios if one.__name__ not in without and (not only or one.__name__ in only)]


def value(seen):
    """A value with its type, in one line."""
    return f"{type(seen).__name__}:{seen!r}"


def show(clients):
    for client in clients:
        for line in client.lines:
            print(line.replace("\n", "\\n"))
