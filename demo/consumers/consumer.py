#!/usr/bin/env python3
"""A consumer of the event log, with psycopg 3: consumer.py NAME

Prints each event after the position of consumer NAME (SELECT anomaly.create_consumer('NAME')) as
one line of JSON, then says that it has done with it. Killed at any moment it misses nothing and may
print some events again, with the same seq. Where the database is: PGHOST, PGPORT ...
"""
import select
import sys
import time

import psycopg


def catch_up(connection, name):
    """Handles all there is, a hundred at a time."""
    while True:
        events = connection.execute(
            "SELECT seq, json_build_array(seq, id, message)::text"
            " FROM anomaly.consumer_events(%s, 100) ORDER BY seq", [name]).fetchall()
        if not events:
            return
        for _, event in events:
            print(event, flush=True)
        connection.execute("SELECT anomaly.consumer_ack(%s, %s)", [name, events[-1][0]])


def consume(name):
    """Until the connection ends. LISTEN comes first: what happens after it, it hears of."""
    with psycopg.connect(autocommit=True) as connection:
        hints = []
        connection.add_notify_handler(hints.append)
        connection.execute("LISTEN anomaly")
        while True:
            hints.clear()
            catch_up(connection, name)
            # A hint says that there is more; every 5 s it looks without being told.
            if not hints:
                select.select([connection], [], [], 5)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: consumer.py NAME")
    while True:
        try:
            consume(sys.argv[1])
        except psycopg.OperationalError as error:
            print(f"lost the connection: {error}", file=sys.stderr)
            time.sleep(1)


main()
