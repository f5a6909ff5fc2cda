# shellcheck shell=bash
# Sourced after server.sh: the jars of a real Apache Kafka (test/kafka/real_kafka.sh), fetched once
# by whoever runs this, copied to work_dir/kafka for the account that runs the broker.

kafka_libraries() {
    local kept=${ANOMALY_KAFKA_LIBS:-$HOME/.cache/anomaly/kafka-libs}
    note "jars of Apache Kafka: $kept"
    ANOMALY_KAFKA_LIBS=$kept quietly "$root_dir/build/log/kafka-libs.log" \
        bash "$root_dir/test/kafka/real_kafka.sh" libs
    cp -r "$kept" "$work_dir/kafka"
    if [[ $EUID -eq 0 ]]; then chown -R "$runner:" "$work_dir/kafka"; fi
}
