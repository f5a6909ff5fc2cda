# shellcheck shell=bash
# Sourced by run.sh: the contenders. Each prints messages, seconds, CPU seconds and peak memory in
# kB, separated by tabs.

# CPU time in clock ticks that all processes of the cluster have used. Those that ended are in the
# postmaster's account, so it is read before and after its children: until none has ended between.
cluster_ticks() {
    local postmaster before children child
    postmaster=$(head -n 1 "$work_dir/bench/postmaster.pid")
    while :; do
        before=$(cpu_ticks 14 "$postmaster")
        children=$(cpu_ticks 12 "$postmaster")
        for child in $(pgrep -P "$postmaster"); do
            children=$((children + $(cpu_ticks 12 "$child")))
        done
        if [[ $(cpu_ticks 14 "$postmaster") == "$before" ]]; then break; fi
    done
    echo $((before + children))
}

# cpu_ticks FIELD PID: user and system time, the numbers from that field behind the name on.
cpu_ticks() {
    { cat "/proc/$2/stat" 2>/dev/null || echo "0 () $(printf '0 %.0s' {1..15})"; } |
        awk -v at="$1" '{ sub(/^.*\) /, ""); split($0, f, " "); print f[at] + f[at + 1] }'
}

# seconds_since TICKS: of the cluster's CPU.
seconds_since() {
    awk -v ticks="$(($(cluster_ticks) - $1))" -v hertz="$(getconf CLK_TCK)" \
        'BEGIN { printf "%.2f\n", ticks / hertz }'
}

# The process that reads; worker_memory FIELD: a line of its status, in kB.
worker_pid() {
    psql_bench -c "SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'anomaly.*stream worker'
        ORDER BY backend_start DESC LIMIT 1"
}
worker_memory() {
    awk -v field="$1:" '$1 == field { print $2 }' "/proc/$(worker_pid)/status"
}

run_raw() { as_runner "$work_dir/bin/consume" "$bootstrap" "$topic"; }

run_anomaly() {
    local before figures peak cpu verdict
    before=$(cluster_ticks)
    figures=$(psql_bench -v topic="$topic" -f "$work_dir/script/extension.sql")
    cpu=$(seconds_since "$before")
    peak=$(worker_memory VmHWM)
    verdict=$(psql_bench -f "$work_dir/script/check.sql")
    if [[ $verdict != equal || ${figures%%$'\t'*} != "$messages" ]]; then
        echo "cpu_agg is wrong: $verdict; messages and seconds: $figures" >&2
        return 1
    fi
    psql_bench -c "DROP TABLE cpu_agg" -c "DROP FOREIGN TABLE cpu_in"
    printf '%s\t%s\t%s\n' "$figures" "$cpu" "$peak"
}

run_plain() {
    local before figures cpu
    psql_bench -c "TRUNCATE expected"
    before=$(cluster_ticks)
    figures=$(psql_bench -v file="$work_dir/messages" -f "$work_dir/script/plain.sql")
    cpu=$(seconds_since "$before")
    awk -F '\t' -v OFS='\t' -v cpu="$cpu" '{ print $1, $2, cpu, $3 }' <<<"$figures"
}

# Two lines: from a cold start, and warm.
run_flink() {
    as_runner java -Xmx1g --add-opens java.base/java.lang=ALL-UNNAMED \
        --add-opens java.base/java.util=ALL-UNNAMED -cp "$work_dir/flink:$flink_libs/*" \
        FlinkSql "$bootstrap" "$topic" 2>>"$work_dir/flink.log" | sed "s/^/$messages\t/"
}

# Jars from Maven, kept; the program compiled beside the work.
prepare_flink() {
    local kept=${ANOMALY_FLINK_LIBS:-$HOME/.cache/anomaly/flink-libs}
    note "jars of Apache Flink: $kept"
    if [[ ! -e $kept/complete ]]; then
        quietly "$root_dir/build/log/flink-libs.log" mvn -q -B \
            -f "$root_dir/test/bench/flink/pom.xml" dependency:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$kept"
        touch "$kept/complete"
    fi
    mkdir -p "$work_dir/flink"
    javac -cp "$kept/*" -d "$work_dir/flink" "$root_dir/test/bench/flink/FlinkSql.java"
    flink_libs=$work_dir/flink-libs
    cp -r "$kept" "$flink_libs"
}
