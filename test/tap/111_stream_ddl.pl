# Goal: ALTER of a stream, its server or its user mapping acts on the worker that runs, and loses
# nothing; offsets that were gone are recorded, however many ranges there are.
# Method: messages that do not fit the definition before it is altered and do afterwards; a broker
# that moves; a topic of many partitions that are all shorter than the first offsets wanted.
use strict;
use warnings;

use Anomaly qw(cluster create_server same_rows wait_until wait_for_messages);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = Broker->mock(topic => 'parts', partitions => 80);
my $node = cluster('ddl');
create_server($node, $broker->bootstrap);

sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text) }

# ---- every range that was gone is recorded ----
my $wanted = join(', ', map { "\"$_\": 1000" } 0 .. 79);
sql("CREATE FOREIGN TABLE parts_in (a int) SERVER message_queue OPTIONS (topic 'parts',"
      . " startup '{$wanted}'); CREATE TABLE parts WITH (anomaly.continuous) AS"
      . ' SELECT count(*) AS n FROM parts_in');
wait_until($node, 'SELECT count(*) FROM anomaly.lost_range', 80, 'lost ranges of 80 partitions');
is(sql('SELECT count(DISTINCT kafka_partition), min(from_offset), max(length(reason)) > 20'
          . " FROM anomaly.lost_range WHERE relid = 'parts'::regclass"),
    '80|1000|t', 'each partition once, with the reason');
sql('DROP FOREIGN TABLE parts_in CASCADE; DROP TABLE parts');

# ---- the definition of the messages ----
my $state = "SELECT state FROM anomaly.stream_status WHERE stream = 'readings_in'::regclass";
sql("CREATE FOREIGN TABLE readings_in (host text, level int OPTIONS (path '\$.lvl'),"
      . " o bigint OPTIONS (metadata 'offset')) SERVER message_queue OPTIONS (topic 'parts');"
      . ' CREATE TABLE readings WITH (anomaly.continuous) AS SELECT host, level, o'
      . ' FROM readings_in');
$broker->produce(map { "0\t\\N\t{\"host\": \"h$_\", \"level\": $_}" } 1 .. 3);
wait_for_messages($node, 'readings', 3);
is(sql('SELECT count(*), count(level) FROM readings'), '3|0', 'the path is wrong');
my $worker = sql("SELECT worker_pid FROM anomaly.stream_status WHERE stream = 'readings_in'"
      . '::regclass');
sql("ALTER FOREIGN TABLE readings_in ALTER level OPTIONS (SET path '\$.level')");
$broker->produce(map { "0\t\\N\t{\"host\": \"h$_\", \"level\": $_}" } 4 .. 6);
wait_for_messages($node, 'readings', 6);
wait_until($node, 'SELECT count(level) FROM readings', 3, 'mended, it is right from then on');
is(sql("SELECT worker_pid FROM anomaly.stream_status WHERE stream = 'readings_in'::regclass"),
    $worker, 'in the same worker');
sql('ALTER FOREIGN TABLE readings_in ALTER host SET NOT NULL');
$broker->produce("0\t\\N\t{\"level\": 7}", "0\t\\N\t{\"host\": \"h8\", \"level\": 8}");
wait_until($node, "SELECT count(*) FROM readings WHERE host = 'h8'", 1, 'the next one is there');
is(sql("SELECT count(*) FROM anomaly.dead_letter WHERE stream = 'readings_in'::regclass"), 1,
    'a NULL is bad since the column is NOT NULL');
sql("ALTER FOREIGN TABLE readings_in OPTIONS (ADD max_future '3 days'), ADD COLUMN extra text");
$broker->produce("0\t\\N\t{\"host\": \"h9\", \"level\": 9, \"extra\": \"x\"}");
wait_until($node, "SELECT count(*) FROM readings WHERE host = 'h9'", 1, 'a column is added');

# ---- names ----
sql('ALTER FOREIGN TABLE readings_in RENAME TO "Readings"; CREATE SCHEMA other;'
      . ' ALTER FOREIGN TABLE "Readings" SET SCHEMA other');
$broker->produce("0\t\\N\t{\"host\": \"h10\", \"level\": 10}");
wait_until($node, "SELECT count(*) FROM readings WHERE host = 'h10'", 1, 'a stream is renamed');
sql('ALTER FOREIGN TABLE other."Readings" SET SCHEMA public;'
      . ' ALTER FOREIGN TABLE "Readings" RENAME TO readings_in');

# ---- the server, the user mapping ----
sql("CREATE USER MAPPING FOR CURRENT_USER SERVER message_queue OPTIONS (sasl_username 'app',"
      . " sasl_password 'hush-hush')");
$broker->produce("0\t\\N\t{\"host\": \"h11\", \"level\": 11}");
wait_until($node, "SELECT count(*) FROM readings WHERE host = 'h11'", 1, 'a mapping is made');
$broker->kill;
wait_until($node, $state, 'unreachable', 'the broker is gone');
$broker->start;
sql("ALTER SERVER message_queue OPTIONS (SET bootstrap_servers '" . $broker->bootstrap . "')");
wait_until($node, $state, 'running', 'ALTER SERVER leads to where it is now');
$broker->produce("0\t\\N\t{\"host\": \"h12\", \"level\": 12}");
wait_until($node, "SELECT count(*) FROM readings WHERE host = 'h12'", 1, 'and it goes on');
unlike(slurp_file($node->logfile) =~ s/^.*LOG:  statement: .*$//mgr, qr/hush-hush/,
    'no secret in the log but for the statement that set it');
$node->stop;
done_testing();
