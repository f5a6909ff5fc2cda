# Goal: streams that rest miss nothing that happens seldom either: transactions of a producer,
# windows that the clock closes, other credentials, a topic that is deleted just when its stream
# leaves, one that is made again, a database that is dropped.
# Method: as 072_rest.pl.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until worker_pids);
use Broker;
use PostgreSQL::Test::Utils;
use Resting qw(threads until_true);
use Test::More;

my $node = cluster('rest', 'anomaly.rest_after' => '100ms');
my $broker = Broker->kafka(topic => 'topic1', partitions => 2);
$broker->topic("topic$_", 2) for 2 .. 4;
create_server($node, $broker->bootstrap);
sql(q{ALTER SERVER message_queue OPTIONS (ADD topic_metadata_refresh_interval_ms '1000',
    ADD socket_timeout_ms '4000')});

sub sql { my ($text, $database) = @_; return $node->safe_psql($database // 'postgres', $text) }

my $resting = Resting->new($node, $broker);
$resting->create($_) for 1 .. 3;
$resting->all_rest('at first', 1 .. 3);

# ---- transactions of a producer ----
sql('INSERT INTO in1 SELECT 3');
$resting->was_sent(1);
$resting->is_counted(1, 'one that commits');
$resting->all_rest('then', 1);
# So many that some are sent before it is known that they do not count.
sql('BEGIN; INSERT INTO in1 SELECT generate_series(1, 100000); ROLLBACK');
$resting->all_rest('after one that does not', 1);
is(sql("SELECT anomaly.wait_for_stream('in1', '20 seconds')"), 't', 'all is committed');
$resting->produce(1, 0, 1);
$resting->is_counted(1, 'after one that does not');

# ---- windows that the clock closes ----
sql(<<'SQL');
CREATE FOREIGN TABLE in4 (at timestamptz) SERVER message_queue
  OPTIONS (topic 'topic4', event_time 'at', idle_timeout '1 second', watermark_delay '1 second');
CREATE TABLE out4 WITH (anomaly.continuous, anomaly.emit = close) AS
  SELECT window_start, window_end, count(*) AS n FROM in4, tumble(at, interval '1 second')
  GROUP BY window_start, window_end;
SQL

for my $round (1 .. 2)
{
    $broker->produce_to({ topic => 'topic4' },
        "1\t\\N\t{\"at\":\"2026-01-01T00:0$round:00Z\"}");
    wait_until($node, 'SELECT count(*) FROM out4', $round, "the clock closes a window ($round)");
    $resting->all_rest('then', 4);
}
sql("SELECT anomaly.close_windows('out4')");
$broker->produce_to({ topic => 'topic4' }, "0\t\\N\t{\"at\":\"2026-01-01T00:09:00Z\"}");
sql("SELECT anomaly.close_windows('out4')");
wait_until($node, 'SELECT count(*) FROM out4', 3, 'asked to close what is not open, it reads on');
$resting->all_rest('then', 4);

# ---- other credentials ----
sql(q{CREATE USER MAPPING FOR CURRENT_USER SERVER message_queue
    OPTIONS (sasl_username 'somebody', sasl_password 'something')});
$resting->all_rest('with credentials', 1 .. 4);
sql(q{ALTER USER MAPPING FOR CURRENT_USER SERVER message_queue
    OPTIONS (SET sasl_password 'something else')});
$resting->produce($_, 0) for 1 .. 3;
$resting->is_counted($_, 'with others') for 1 .. 3;
$resting->all_rest('with others', 1 .. 4);

# ---- a topic is deleted just when its stream leaves ----
$broker->delete_topic('topic3');
sql('DROP FOREIGN TABLE in3 CASCADE');
$resting->produce($_, 0, 1) for 1 .. 2;
$resting->is_counted($_, 'without the third') for 1 .. 2;
$resting->all_rest('without the third', 1, 2, 4);

# ---- a topic is made again, with less in it than was read ----
$broker->delete_topic('topic2');
$broker->topic('topic2', 2);
my $before = $resting->sent(2);
$resting->produce(2, 0);
wait_until($node, 'SELECT max(n) FROM out2', $resting->sent(2), 'one that was made again is read');
is(sql('SELECT count(*) FROM out2'), $before + 1, 'once');
$resting->all_rest('then', 1, 2, 4);

# ---- a database is dropped ----
sql('CREATE DATABASE another');
sql('CREATE EXTENSION anomaly', 'another');
sql('CREATE SERVER message_queue FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers '
      . "'" . $broker->bootstrap . "')", 'another');
sql("CREATE FOREIGN TABLE in1 (n int) SERVER message_queue OPTIONS (topic 'topic1');"
      . ' CREATE TABLE out1 WITH (anomaly.continuous) AS SELECT n FROM in1', 'another');
my $other = 'FROM pg_stat_activity'
  . q{ WHERE datname = 'another' AND backend_type = 'anomaly stream worker'};
until_true(sub {
        my $pid = sql("SELECT pid $other");
        return $pid && threads($pid) == 1;
    }, 'a stream rests in another database');
sql('DROP DATABASE another');
is(sql("SELECT count(*) $other"), '0', 'which is dropped');
$resting->produce(1, 0);
$resting->is_counted(1, 'that of this one');

is(sql('SELECT count(*) FROM anomaly.dead_letter'), '0', 'nothing was bad');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
