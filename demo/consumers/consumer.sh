#!/usr/bin/env bash
# A consumer of the event log, with psql: demo/consumers/consumer.sh NAME
#
# Prints each event after the position of consumer NAME (SELECT anomaly.create_consumer('NAME')) as
# one line of JSON, then says that it has done with it. Killed at any moment it misses nothing and
# may print some events again, with the same seq. Where the database is: PGHOST, PGPORT ...
set -euo pipefail

name=${1:?usage: consumer.sh NAME}

# ask STATEMENT: prints the answer; fails when the connection is gone.
ask() {
    local line
    printf '%s\n\\echo end-of-answer\n' "$1" >&"$to" || return 1
    while IFS= read -r line <&"$from"; do
        if [[ $line == end-of-answer ]]; then return 0; fi
        printf '%s\n' "$line"
    done
    return 1
}

# All there is, a hundred at a time. A hint may come with any answer, as a line of its own.
catch_up() {
    local answer events seq event last
    while true; do
        answer=$(ask "SELECT seq, json_build_array(seq, id, message)
            FROM anomaly.consumer_events(:'name', 100) ORDER BY seq;") || return 1
        events=$(grep '^[0-9]' <<<"$answer" || true)
        if [[ -z $answer ]]; then return 0; fi
        if [[ -z $events ]]; then continue; fi
        while IFS=$'\t' read -r seq event; do
            printf '%s\n' "$event"
            last=$seq
        done <<<"$events"
        ask "SELECT anomaly.consumer_ack(:'name', $last);" >/dev/null || return 1
    done
}

# Until the connection ends. psql looks for notifications when it runs a statement, hence the empty
# one; every 5 s it looks for events without being told.
consume() {
    local round answer
    ask "LISTEN anomaly;" >/dev/null || return 0
    while catch_up; do
        for ((round = 0; round < 25; round++)); do
            sleep 0.2
            answer=$(ask ";") || return 0
            if [[ -n $answer ]]; then break; fi
        done
    done
}

while true; do
    coproc client { exec psql -XAtq -F $'\t' -v ON_ERROR_STOP=1 -v name="$name"; }
    # Bash forgets these when the client is gone.
    from=${client[0]} to=${client[1]} process=$client_PID
    consume 2>/dev/null
    exec {to}>&-
    result=0
    wait "$process" || result=$?
    # 2: the connection was lost. Anything else will not get better by itself.
    if [[ $result -ne 2 ]]; then exit 1; fi
    sleep 1
done
