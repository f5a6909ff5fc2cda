#!/usr/bin/env bash
# The main job, end to end, in about a minute: demo/run.sh [--keep | --stop]
#
# Seven hosts report the load of their CPUs to a Kafka topic; PostgreSQL keeps averages of 30 s,
# holds them against thresholds in a table, and tells who listens. Installs the packages that are
# missing, builds, and runs in a throw-away cluster with an embedded broker: it needs no Kafka.
# --keep leaves it all running, to look around; --stop ends that.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../tools/common.sh"
source "$root_dir/tools/packages.sh"
source "$root_dir/tools/server.sh"

topic=cpu_load_stats_real
# Where a demo that was kept is: its work directory, then the process groups to end.
kept=$root_dir/build/demo.kept
work_dir=
groups=()
keep=

clean_up() {
    local result=$?
    trap - EXIT INT TERM
    if [[ -z $work_dir ]]; then return; fi
    if [[ -n $keep && $result -eq 0 ]]; then return; fi
    for group in "${groups[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
    if [[ $result -ne 0 && -e $work_dir/demo.log ]]; then
        say "last lines of the server's log"
        tail -n 30 "$work_dir/demo.log"
    fi
    stop_cluster demo
    # A generator without its broker would try for a while to deliver what it has.
    for group in "${groups[@]}"; do kill -KILL -- "-$group" 2>/dev/null || true; done
    rm -rf "$work_dir"
}

# start NAME COMMAND ...: in the background, in a process group of its own, output to NAME.log.
start() {
    local log=$work_dir/$1.log
    shift
    set -m
    as_runner "$@" >"$log" 2>&1 </dev/null &
    groups+=($!)
    set +m
}

# until_true SECONDS COMMAND ...
until_true() {
    local limit=$((SECONDS + $1))
    shift
    until "$@"; do
        if ((SECONDS >= limit)); then return 1; fi
        sleep 0.2
    done
}

psql_demo() {
    as_runner "$("$server_config" --bindir)/psql" -X -h "$work_dir/demo.socket" -U "$runner" \
        -d postgres -v ON_ERROR_STOP=1 "$@"
}

is_true() { [[ $(psql_demo -Atc "$1" 2>/dev/null) == t ]]; }

# Shows the statements of a file as they run, as if typed.
type_in() {
    say "demo/cpu/$1"
    # The work directory's copy: the server's account may not see this checkout.
    psql_demo -e -q -v bootstrap="$bootstrap" -P pager=off -f "$work_dir/cpu/$1"
}

start_broker() {
    start broker "$work_dir/bin/mock_broker" --topic "$topic" --partitions 2
    until_true 20 grep -qs '^bootstrap.servers=' "$work_dir/broker.log" ||
        die "the broker did not start" "$(tail -n 5 "$work_dir/broker.log")"
    bootstrap=$(sed -n 's/^bootstrap.servers=//p' "$work_dir/broker.log")
    note "an embedded Kafka broker is at $bootstrap"
}

# start_generator STEP_US START_MS RATE COUNT: in place of the one that runs, if there is one.
start_generator() {
    if [[ -n ${generator-} ]]; then
        kill -TERM -- "-$generator" 2>/dev/null || true
        wait "$generator" || true
    fi
    start generator "$work_dir/bin/generate" --brokers "$bootstrap" --topic "$topic" \
        --start-ms "$2" --step-us "$1" --rate "$3" --count "$4"
    generator=$!
}

# Waits until so many windows more than now are final. A table has no time before its first message.
windows_later() {
    local now="SELECT extract(epoch FROM max(watermark))::bigint FROM anomaly.table_progress
        WHERE relid = 'cpu_agg'::regclass" before
    until_true 60 is_true "SELECT ($now) IS NOT NULL" || die "no message has come for a minute"
    before=$(psql_demo -Atc "$now")
    until_true 60 is_true "SELECT ($now) >= $before + 30 * $1" ||
        die "no window has closed for a minute"
}

set_up() {
    say "packages"
    need_packages demo
    say "build"
    build_extension
    build_native release mock_broker generate
    say "a cluster of its own, with shared_preload_libraries = 'anomaly'"
    make_work_dir
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    install_private
    mkdir -p "$work_dir/bin"
    find "$root_dir/build/release" -maxdepth 3 -type f -executable \
        \( -name mock_broker -o -name generate \) -exec cp -t "$work_dir/bin" {} +
    cp -r "$root_dir/demo/cpu" "$work_dir/cpu"
    start_cluster demo "max_worker_processes = 20"
    note "$work_dir/demo"
    start_broker
}

tell_story() {
    local listener begin_ms
    say "messages"
    note "2000 messages a second. Time in them runs 12 times as fast as ours, from a quarter of an"
    note "hour ago, so that a window of 30 s closes every 2.5 s."
    begin_ms=$(($(date +%s%3N) - 900000))
    # Some are there before anybody looks, however slowly the generator starts.
    quietly "$work_dir/first.log" as_runner "$work_dir/bin/generate" --brokers "$bootstrap" \
        --topic "$topic" --start-ms "$begin_ms" --step-us 6000 --count 10
    start_generator 6000 "$begin_ms" 2000 140000
    type_in 10_stream.sql
    type_in 20_tables.sql
    type_in 30_rule.sql

    say "a client listens (demo/listen.sh)"
    set -m
    PATH="$("$server_config" --bindir):$PATH" as_runner bash "$work_dir/listen.sh" \
        -h "$work_dir/demo.socket" -U "$runner" -d postgres > >(summary) 2>&1 </dev/null &
    listener=$!
    set +m
    groups+=("$listener")
    windows_later 2
    type_in 40_tables_move.sql
    type_in 50_raise.sql
    windows_later 3
    type_in 60_back.sql
    windows_later 3
    kill -TERM -- "-$listener" 2>/dev/null || true
    type_in 70_afterwards.sql
}

# A window has up to 30 alerts, one for each CPU: shows the first of each host and counts the rest.
summary() {
    local line host rest=0
    local -A seen=()
    while IFS= read -r line; do
        case $line in
            ALERT*)
                host=${line#*host:} host=${host%% *}
                if [[ -n ${seen[$host]-} ]]; then
                    rest=$((rest + 1))
                    continue
                fi
                seen[$host]=1
                ;;
            NOTIFY*)
                if ((rest > 0)); then echo "    |         and $rest more of the same hosts"; fi
                rest=0 seen=()
                ;;
        esac
        echo "    | $line"
    done
}

ending() {
    local psql_line
    psql_line="$("$server_config" --bindir)/psql -h $work_dir/demo.socket -U $runner postgres"
    if [[ -n $keep ]]; then
        # From here on the messages tell the time of day, 100 a second.
        start_generator 10000 "$(date +%s%3N)" 100 100000000
        printf '%s\n' "$work_dir" "${groups[@]}" >"$kept"
        say "it goes on, in real time; windows close every 30 s"
        note "look around:  $psql_line"
        note "listen:       demo/listen.sh -h $work_dir/demo.socket -U $runner postgres"
        note "end it:       demo/run.sh --stop"
    else
        say "done"
        note "demo/run.sh --keep leaves it running, to look around."
    fi
    note "In a database of yours: make install, shared_preload_libraries = 'anomaly', restart,"
    note "and then the files in demo/cpu with your own broker. README.md tells more."
}

stop_kept() {
    local list
    [[ -e $kept ]] || die "no demo was kept running"
    mapfile -t list <"$kept"
    choose_postgres demo
    work_dir=${list[0]}
    server_config=$work_dir/server$("$pg_config" --bindir)/pg_config
    groups=("${list[@]:1}")
    keep=
    rm -f "$kept"
    clean_up
    note "stopped, and removed $work_dir"
}

main() {
    case ${1-} in
        '') ;;
        --keep) keep=1 ;;
        --stop) stop_kept && exit 0 ;;
        *) die "usage: demo/run.sh [--keep | --stop]" ;;
    esac
    if [[ -e $kept ]]; then die "a demo is running still" "end it: demo/run.sh --stop"; fi
    set_up
    cp "$root_dir/demo/listen.sh" "$work_dir/listen.sh"
    tell_story
    ending
}

main "$@"
