# Goal: a message that ends its worker each time is found and put aside; all others are taken in,
# each once, and the message can be read where dead letters are.
# Method: a function in a query kills the process that evaluates it, for one value alone. The server
# restarts all its processes each time, as after a crash of the worker.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main');
my $broker = Broker->mock(topic => 'numbers', partitions => 2);
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION die() RETURNS void LANGUAGE plpgsql AS $$
BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || pg_backend_pid()); END $$;
CREATE FUNCTION deadly(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF n = 666 THEN PERFORM die(); END IF;
  RETURN n;
END $$;
CREATE FOREIGN TABLE numbers_in (n int) SERVER message_queue OPTIONS (topic 'numbers');
SQL
$broker->produce(map { my $n = $_; ($n % 2) . "\tkey\t{\"n\": $n}" } 1 .. 40, 666, 41 .. 80);
$node->safe_psql('postgres',
    'CREATE TABLE numbers WITH (anomaly.continuous) AS SELECT deadly(n) AS n FROM numbers_in');

# Whose connection is lost meanwhile, or refused, asks again.
$node->poll_query_until('postgres', 'SELECT count(*) >= 80 FROM numbers')
  or BAIL_OUT('the other messages never came');
wait_until($node, 'SELECT count(*), count(DISTINCT n), sum(n) FROM numbers', '80|80|3240',
    'all other messages are there, each once');
is($node->safe_psql('postgres', q{SELECT kafka_partition, kafka_offset,
    convert_from(message, 'UTF8'), reason FROM anomaly.dead_letter}),
    q(0|20|{"n": 666}|this message ended the worker each time), 'the one is a dead letter');
wait_until($node, 'SELECT unfinished_starts, suspect_attempts, suspect_offset FROM anomaly.stream',
    '0|0|', 'nothing is suspected any more');
like(slurp_file($node->logfile), qr/puts a message of topic "numbers" aside that ends its worker/,
    'the log says so');

# Afterwards it goes on in batches, as ever.
$broker->produce(map { "1\tkey\t{\"n\": $_}" } 1001 .. 1100);
wait_until($node, 'SELECT count(*) FROM numbers', '180', 'what comes later is taken in');

$node->stop;
done_testing();
