#!/usr/bin/env bash
# The way from a Kafka topic to a windowed table, beside the limit and the peers, and what else was
# promised of speed:
#
#   test/bench/run.sh [--messages N] [--rounds N] [--only "raw anomaly flink plain"]
#                     [--alerts N] [PART ...]
#
# PART: throughput skew latency cardinality rules recovery tables idle evaluator profile; without
# one, all of them, and the results go to docs/performance.md with a plot. Messages (5 million by
# default) go to a topic of four partitions in a real Apache Kafka. Checks the rows that came out,
# and measures nothing else: it is no test, no figure makes it fail. For `profile` perf must be
# permitted.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/common.sh"
source "$root_dir/tools/packages.sh"
source "$root_dir/tools/server.sh"
source "$root_dir/tools/kafka.sh"
source "$root_dir/test/bench/contenders.sh"
source "$root_dir/test/bench/parts.sh"
source "$root_dir/test/bench/rules.sh"
source "$root_dir/test/bench/profile.sh"

messages=5000000
rounds=7
latency_seconds=60
contenders="raw anomaly flink plain"
all_parts="throughput skew latency cardinality rules recovery tables idle evaluator profile"
topic=bench
work_dir=

clean_up() {
    local result=$?
    trap - EXIT INT TERM
    if [[ -z $work_dir ]]; then return; fi
    if [[ -n ${bootstrap-} ]]; then broker kill "$work_dir/broker" || true; fi
    if [[ $result -ne 0 && -e $work_dir/bench.log ]]; then tail -n 30 "$work_dir/bench.log"; fi
    stop_cluster bench
    rm -rf "$work_dir"
}

# broker COMMAND ...: as test/kafka/real_kafka.sh takes it.
broker() {
    as_runner env ANOMALY_KAFKA_LIBS="$work_dir/kafka" bash "$work_dir/script/real_kafka.sh" "$@"
}

psql_bench() {
    as_runner "$("$server_config" --bindir)/psql" -X -qAt -F $'\t' -h "$work_dir/bench.socket" \
        -U "$runner" -d postgres -v ON_ERROR_STOP=1 "$@"
}

# Two ports in a row that nobody listens on just now.
free_ports() {
    local port
    for ((port = 20000 + RANDOM % 10000; ; port += 2)); do
        if ! { : <"/dev/tcp/127.0.0.1/$port" || : <"/dev/tcp/127.0.0.1/$((port + 1))"; } \
            2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

prepare() {
    say "packages"
    need_packages test
    say "build"
    build_extension
    build_native release consume generate latency
    make_work_dir
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    install_private
    kafka_libraries
    mkdir -p "$work_dir/bin" "$work_dir/script"
    cp "$root_dir"/build/release/{consume,generate,latency} "$work_dir/bin"
    if [[ $parts == *throughput* && $contenders == *flink* ]]; then prepare_flink; fi
    cp "$root_dir"/test/kafka/{real_kafka.sh,log4j.properties} "$root_dir"/test/bench/sql/*.sql \
        "$work_dir/script"
    start_cluster bench "max_worker_processes = 20" "shared_buffers = 512MB" "max_wal_size = 4GB"
}

fill_topic() {
    local port
    port=$(free_ports)
    say "a real Apache Kafka, and $messages messages in a topic of 4 partitions"
    broker start "$work_dir/broker" "$port"
    bootstrap=127.0.0.1:$port
    broker topic "$work_dir/broker" "$topic" 4
    # A thousand messages a second of event time: a window of 30 s has 30,000.
    as_runner "$work_dir/bin/generate" --brokers "$bootstrap" --topic "$topic" --count "$messages" \
        --start-ms 1700000000000 --step-us 1000 --file "$work_dir/messages"
    psql_bench -v bootstrap="$bootstrap" -f "$work_dir/script/stream.sql"
    note "what the rows must be: the query in PostgreSQL itself"
    run_plain >/dev/null
}

# The peers take long, and do not change: they take part in every second round; the other parts
# have so many, too.
takes_part() {
    case $1 in
        flink | plain) (($2 % 2 == 1)) ;;
    esac
}

# run_contender NAME: appends its lines to the figures.
run_contender() {
    local figures
    figures=$("run_$1")
    if [[ $1 == flink ]]; then
        figures=$(awk -v OFS='\t' '{ print (NR == 1 ? "flink-cold" : "flink-warm"), $0 }' \
            <<<"$figures")
    else
        figures=$(printf '%s\t%s' "$1" "$figures")
    fi
    echo "$figures" | tee -a "$work_dir/figures" | sed "s/^/   $round /"
}

part_throughput() {
    local contender round
    for ((round = 1; round <= rounds; round++)); do
        for contender in $contenders; do
            if takes_part "$contender" "$round"; then run_contender "$contender"; fi
        done
    done
}

# machine: what the figures were measured on.
machine() {
    local memory
    memory=$(awk '$1 == "MemTotal:" { printf "%.0f", $2 / 1048576 }' /proc/meminfo)
    echo "$(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $memory GB," \
        "$(. /etc/os-release && echo "$PRETTY_NAME"), $("$pg_config" --version), librdkafka" \
        "$(dpkg-query -W -f '${Version}' librdkafka-dev), $(java -version 2>&1 | head -n 1)"
}

main() {
    local part asked=
    while [[ $# -gt 0 ]]; do
        case $1 in
            --messages) messages=${2:?--messages wants a number} ;;
            --rounds) rounds=${2:?--rounds wants a number} ;;
            --alerts) latency_seconds=${2:?--alerts wants a number} ;;
            --only) contenders=${2:?--only wants contenders} ;;
            -*) die "there is no option $1" "the head of test/bench/run.sh lists all" ;;
            *)
                [[ " $all_parts " == *" $1 "* ]] || die "there is no part $1" "parts: $all_parts"
                asked+=" $1"
                shift
                continue
                ;;
        esac
        shift 2
    done
    parts=${asked:-$all_parts}
    part_rounds=$(((rounds + 1) / 2))
    prepare
    fill_topic
    touch "$work_dir/figures" "$work_dir/results" "$work_dir/profile"
    for part in $parts; do
        say "$part"
        "part_$part"
    done
    say "result"
    local write=()
    if [[ -z $asked ]]; then write=("$root_dir/docs"); fi
    perl "$root_dir/test/bench/report.pl" "$work_dir" "$messages" "$(machine)" "${write[@]}"
}

main "$@"
