# shellcheck shell=bash
# Sourced by run.sh: where the CPU time of the stream's worker goes, by perf. Results go to
# `profile`, tab-separated: the load, the place, its share in per cent.

need_perf() {
    if command -v perf >/dev/null; then return; fi
    apt_update
    quietly "$root_dir/build/log/perf.log" apt install -y linux-perf
}

# place_of: perf's lines (share, thread, object, symbol) to shares of places. The kernel's symbols
# are marked [k]. What has no debug symbols is known by its object.
place_of() {
    awk -F '\t' -v OFS='\t' -v load="$1" '
        /^#/ || NF < 4 { next }
        { sub(/%/, "", $1); gsub(/^ +| +$/, "", $2); gsub(/^ +| +$/, "", $3); symbol = $4 }
        $2 ~ /^rdk:/ { share["librdkafka: receive, check, allocate"] += $1; next }
        $2 ~ /intake/ { share["intake: copy messages out of the client, free them"] += $1; next }
        symbol ~ /\[k\]/ { share["worker: kernel (writes, page faults, waking)"] += $1; next }
        $3 ~ /^postgres/ { share["worker: PostgreSQL (the commit)"] += $1; next }
        $3 !~ /^anomaly/ { share["worker: libraries (copies, checksums, numbers)"] += $1; next }
        symbol ~ /write|Checkpoint|checkpoint|sort|prefetch/ {
            share["worker: checkpoint log"] += $1; next }
        symbol ~ /Group|group_|Aggregate/ { share["worker: groups and aggregates"] += $1; next }
        symbol ~ /Json|json|Value|number|decode|Message|Partition/ {
            share["worker: decode"] += $1; next }
        { share["worker: expressions, windows, watermarks"] += $1 }
        END { for (place in share) printf "%s\t%s\t%.1f\n", load, place, share[place] }'
}

# profile_of LOAD STREAM: while all of the stream is read.
profile_of() {
    local data=$work_dir/perf.data recorder
    psql_bench -c "SELECT anomaly.resume('$2')" >/dev/null
    until [[ -n $(worker_pid) ]]; do sleep 0.01; done
    perf record -q -F 2000 -o "$data" -p "$(worker_pid)" &
    recorder=$!
    wait_for "$2"
    kill -INT "$recorder"
    wait "$recorder" || true
    perf report -i "$data" --no-children --fields overhead,comm,dso,sym \
        -t $'\t' 2>/dev/null | place_of "$1" | sort -t $'\t' -k 3,3nr | tee -a "$work_dir/profile" |
        sed 's/^/   /'
}

# Of 35 series, and of millions.
part_profile() {
    need_perf
    make_stream few_in "$topic"
    psql_bench -c "SELECT anomaly.pause('few_in')" >/dev/null
    make_table few_agg few_in
    profile_of "35 series" few_in
    drop few_agg
    fill many 4 --count "$((messages * 8 / 3))" --start-ms 1700000010000 --step-us 1 \
        --hosts 620000 --cpus 5
    make_stream many_in many
    psql_bench -c "SELECT anomaly.pause('many_in')" >/dev/null
    make_table many_agg many_in "anomaly.emit = 'close'"
    profile_of "millions of series" many_in
    drop many_agg
}
