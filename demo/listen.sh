#!/usr/bin/env bash
# A client that LISTENs and prints each event once: demo/listen.sh [psql arguments]
#
# The notification only says that there is something new; what it is comes from events_since, so a
# client that was away misses nothing. psql looks for notifications when it runs a statement, hence
# the empty one.
set -euo pipefail

since=0
coproc client { psql -XAtq -F $'\t' -v ON_ERROR_STOP=1 "$@"; }
# Bash forgets the array when the client is gone.
from=${client[0]} to=${client[1]}

ask() { printf '%s\n' "$1" "\\echo end-of-answer" >&"$to"; }

# Prints the answer to ask, without its end.
answer() {
    local line
    while IFS= read -r line <&"$from"; do
        if [[ $line == end-of-answer ]]; then return; fi
        printf '%s\n' "$line"
    done
    return 1
}


# Prints all events since the last one printed.
news() {
    local before seq message
    until [[ ${before-} == "$since" ]]; do
        before=$since
        ask "SELECT seq, coalesce(message, rule) FROM anomaly.events_since($since) ORDER BY seq;"
        while IFS=$'\t' read -r seq message; do
            since=$seq
            printf 'ALERT   %s\n' "$message"
        done < <(answer)
    done
}

ask "LISTEN anomaly;"
answer
while [[ -n ${client_PID-} ]] && ask ";" && text=$(answer); do
    if [[ $text == *"Asynchronous notification"* ]]; then
        printf 'NOTIFY  %s\n' "$(grep -o '{[^"]*"v".*}' <<<"$text" | tail -n 1)"
        news
    fi
    sleep 0.3
done
