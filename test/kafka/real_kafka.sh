#!/bin/bash
# A real Apache Kafka broker (KRaft, one process) for tests, with its data in a directory.
#
#   real_kafka.sh libs                          fetch Kafka once, into $ANOMALY_KAFKA_LIBS
#   real_kafka.sh start DIR PORT [secure]       make it if need be, start, wait until it answers
#   real_kafka.sh stop DIR | kill DIR           in an orderly way | as a power cut would
#   real_kafka.sh restart DIR                   start again on the same port with the same data
#   real_kafka.sh topic DIR NAME PARTITIONS [CONFIG=VALUE]...
#   real_kafka.sh partitions DIR NAME PARTITIONS              so many from now on
#   real_kafka.sh delete-topic DIR NAME
#   real_kafka.sh group DIR GROUP               prints "topic partition offset" lines
#   real_kafka.sh delete-records DIR TOPIC PARTITION OFFSET   those before the offset
#
# The port after PORT is the controller's. A secure broker also listens on the port after that, with
# TLS (DIR/broker.pem is its certificate) and SCRAM: user app, password app-secret; user other,
# password other-secret. Needs a JRE, kcat, and maven for the first time.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
libs=${ANOMALY_KAFKA_LIBS:-$HOME/.cache/anomaly/kafka-libs}
start_seconds=60

fail() {
    echo "real_kafka.sh: $*" >&2
    exit 1
}

# Into a directory beside it first, so that one that is there is always whole.
fetch_libs() {
    [ -e "$libs/complete" ] && return
    command -v mvn > /dev/null || fail "maven is needed to fetch Apache Kafka"
    mkdir -p "$(dirname "$libs")"
    local fresh
    fresh=$(mktemp -d "$libs.XXXXXX")
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$fresh" >&2 || {
        rm -rf "$fresh"
        fail "could not fetch Apache Kafka: is there a network?"
    }
    touch "$fresh/complete"
    rm -rf "$libs"
    mv "$fresh" "$libs"
}

java_main() {
    java -Xmx256m -XX:TieredStopAtLevel=1 "-Dlog4j.configuration=file:$here/log4j.properties" \
        -cp "$libs/*" "$@"
}

bootstrap() {
    [ -r "$1/port" ] || fail "$1 holds no broker"
    echo "127.0.0.1:$(cat "$1/port")"
}

running() {
    [ -r "$1/pid" ] || return 1
    local state
    # A zombie that nobody reaps is dead, too.
    state=$(ps -o stat= -p "$(cat "$1/pid")") || return 1
    [ "${state:0:1}" != Z ]
}

# A key of its own and a listener that shows it; adds to users.
make_secure() {
    local dir=$1 port=$2 user mechanism
    local module=org.apache.kafka.common.security.scram.ScramLoginModule
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$dir/key.pem" -out "$dir/broker.pem" \
        2> "$dir/openssl.log" || fail "no certificate: $(cat "$dir/openssl.log")"
    cat "$dir/key.pem" "$dir/broker.pem" > "$dir/keystore.pem"
    sed -i -e "/^listeners=/s/\$/,SECURE:\/\/127.0.0.1:$((port + 2))/" \
        -e "/^advertised/s/\$/,SECURE:\/\/127.0.0.1:$((port + 2))/" \
        -e '/^listener.security/s/$/,SECURE:SASL_SSL/' "$dir/server.properties"
    cat >> "$dir/server.properties" << PROPERTIES
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location=$dir/keystore.pem
listener.name.secure.scram-sha-256.sasl.jaas.config=$module required;
listener.name.secure.scram-sha-512.sasl.jaas.config=$module required;
PROPERTIES
    for user in app other; do
        for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
            users+=(--add-scram "$mechanism=[name=$user,password=$user-secret]")
        done
    done
}

make_broker() {
    local dir=$1 port=$2 mode=$3 users=()
    mkdir -p "$dir/data"
    echo "$port" > "$dir/port"
    cat > "$dir/server.properties" << PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
# A broker that was killed may come back when its session has ended, not before.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
message.max.bytes=20000000
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.backoff.ms=200
log.retention.check.interval.ms=200
PROPERTIES
    if [ "$mode" = secure ]; then make_secure "$dir" "$port"; fi
    java_main kafka.tools.StorageTool format "${users[@]}" \
        -t "$(java_main kafka.tools.StorageTool random-uuid)" \
        -c "$dir/server.properties" > "$dir/format.log" 2>&1 ||
        fail "could not format the storage: $(cat "$dir/format.log")"
}

launch() {
    local dir=$1
    setsid java "-Xmx${ANOMALY_KAFKA_HEAP:-1g}" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
        "-Dlog4j.configuration=file:$here/log4j.properties" -cp "$libs/*" \
        kafka.Kafka "$dir/server.properties" >> "$dir/log" 2>&1 < /dev/null &
    echo $! > "$dir/pid"
    local deadline=$((SECONDS + start_seconds))
    # kcat itself waits, up to its limit, for a broker that answers.
    until kcat -L -m 2 -b "$(bootstrap "$dir")" > /dev/null 2>&1; do
        running "$dir" || fail "the broker ended: $(tail -5 "$dir/log")"
        [ $SECONDS -lt $deadline ] || fail "no answer within $start_seconds s, see $dir/log"
    done
}

# tail waits for the process to end, whoever its parent is.
end_with() {
    local signal=$1 dir=$2
    running "$dir" || return 0
    local pid
    pid=$(cat "$dir/pid")
    kill "-$signal" "$pid"
    timeout 30 tail --pid="$pid" -s 0.05 -f /dev/null || ! running "$dir" ||
        fail "the broker does not end"
    rm -f "$dir/pid"
}

command=${1:-}
dir=${2:-}
[ "$command" = libs ] || [ -n "$dir" ] || fail "which directory? The head of this file says more"
[ -z "$dir" ] || { mkdir -p "$dir" && dir=$(cd "$dir" && pwd); }

case $command in
    libs)
        fetch_libs
        ;;
    start)
        [ -n "${3:-}" ] || fail "start wants a port"
        fetch_libs
        running "$dir" && fail "it is running"
        [ -r "$dir/server.properties" ] || make_broker "$dir" "$3" "${4:-plain}"
        launch "$dir"
        ;;
    restart)
        end_with TERM "$dir"
        launch "$dir"
        ;;
    stop)
        end_with TERM "$dir"
        ;;
    kill)
        end_with KILL "$dir"
        ;;
    topic)
        configs=()
        for config in "${@:5}"; do configs+=(--config "$config"); done
        java_main org.apache.kafka.tools.TopicCommand --bootstrap-server "$(bootstrap "$dir")" \
            --create --topic "$3" --partitions "$4" --replication-factor 1 "${configs[@]}" \
            > /dev/null
        ;;
    partitions)
        java_main org.apache.kafka.tools.TopicCommand --bootstrap-server "$(bootstrap "$dir")" \
            --alter --topic "$3" --partitions "$4" > /dev/null
        ;;
    delete-topic)
        java_main org.apache.kafka.tools.TopicCommand --bootstrap-server "$(bootstrap "$dir")" \
            --delete --topic "$3" > /dev/null
        ;;
    group)
        java_main org.apache.kafka.tools.consumer.group.ConsumerGroupCommand \
            --bootstrap-server "$(bootstrap "$dir")" --describe --group "$3" 2> /dev/null |
            awk -v group="$3" '$1 == group { print $2, $3, $4 }' | sort
        ;;
    delete-records)
        printf '{"version": 1, "partitions": [{"topic": "%s", "partition": %d, "offset": %d}]}\n' \
            "$3" "$4" "$5" > "$dir/delete.json"
        java_main org.apache.kafka.tools.DeleteRecordsCommand \
            --bootstrap-server "$(bootstrap "$dir")" --offset-json-file "$dir/delete.json" \
            > /dev/null
        ;;
    *)
        fail "unknown command \"$command\"; the head of this file lists all"
        ;;
esac
