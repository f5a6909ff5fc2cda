# Goal: what real topics hold is read as it is: every compression, aborted transactions and control
# records, gaps of compaction, tombstones, partitions that are added, partitions that stay empty;
# what is gone before it could be read (deleted records, a topic made again) is in lost_range, and
# reading goes on from the first message there is.
# Method: a real Kafka; kcat and our own sink produce, kcat's answer is what must be read.
use strict;
use warnings;

use Anomaly qw(cluster wait_until same_rows);
use Broker;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('as_it_is');
my $broker = Broker->kafka(topic => 'codecs', partitions => 2);
sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text) }
sql('CREATE SERVER message_queue FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers \''
      . $broker->bootstrap . "', topic_metadata_refresh_interval_ms '300')");

# A stream n_in and a continuous table n_all of all its messages.
sub follow
{
    my ($name) = @_;
    sql("CREATE FOREIGN TABLE ${name}_in (n int, p int OPTIONS (metadata 'partition'),"
          . " o bigint OPTIONS (metadata 'offset'), k text OPTIONS (metadata 'key'))"
          . " SERVER message_queue OPTIONS (topic '$name');"
          . " CREATE TABLE ${name}_all WITH (anomaly.continuous) AS"
          . " SELECT n, p, o, k FROM ${name}_in");
    return;
}

sub kcat
{
    my ($input, @arguments) = @_;
    my ($out, $err) = ('', '');
    IPC::Run::run([ 'kcat', '-b', $broker->bootstrap, @arguments ], '<', \$input, '>', \$out, '2>',
        \$err) or die "kcat @arguments: $err";
    return $out;
}

# What a reader of committed messages finds, "partition offset value" a line.
sub truth
{
    my ($topic) = @_;
    my $out = kcat('', '-C', '-t', $topic, '-o', 'beginning', '-e', '-q', '-f', '%p %o %s\n');
    return join("\n", sort split /\n/, $out);
}

# A look into the topic, and what the continuous table holds in the end, are the truth.
sub is_read
{
    my ($topic, $name) = @_;
    my $truth = truth($topic);
    my $query = q{SELECT coalesce(string_agg(l, E'\n' ORDER BY l COLLATE "C"), '') FROM (SELECT}
      . q{ format('%s %s {"n":%s}', p, o, n) AS l FROM };
    is(sql("$query ${topic}_in) q"), $truth, "$name: a SELECT");
    is(
        sql("SELECT anomaly.wait_for_stream('${topic}_in', '30 seconds')"), 't',
        "$name: it is waited for");
    is(sql("$query ${topic}_all) q"), $truth, "$name: a continuous table");
    return;
}

sub n { return '{"n":' . $_[0] . "}\n" }

# ---- every codec ----
follow('codecs');
my $number = 0;
for my $codec (qw(none gzip snappy lz4 zstd))
{
    kcat(join('', map { n(++$number) } 1 .. 200), '-P', '-t', 'codecs', '-z', $codec);
    sql("ALTER SERVER message_queue OPTIONS (" . ($number == 200 ? 'ADD' : 'SET')
          . " compression_codec '$codec'); INSERT INTO codecs_in (n) VALUES ($number + 10000)");
}
is(scalar(split /\n/, truth('codecs')), 1005, 'all are there');
is_read('codecs', 'compression');

# ---- transactions: aborted ones between committed ones, and two control records at the end ----
$broker->topic('txn', 1);
follow('txn');
my $big = "SET anomaly.sink_buffer = '64kB'; BEGIN; INSERT INTO txn_in (n) SELECT generate_series(";
my $seen = sub {
    return scalar(split /\n/, kcat('', '-C', '-t', 'txn', '-o', 'beginning', '-e', '-q',
        '-X', 'isolation.level=read_uncommitted'));
};
my $session = $node->background_psql('postgres', on_error_stop => 0);
for my $round (1 .. 3)
{
    sql("INSERT INTO txn_in (n) SELECT $round * 100 + i FROM generate_series(1, 10) i")
      if $round < 3;
    my $before = $seen->();
    $session->query_safe("$big 1, 20000);");
    for (1 .. 100) { last if $seen->() >= $before + 5000 }
    $session->query_safe('ROLLBACK;');
}
$session->quit;
cmp_ok($seen->(), '>', 10000, 'much was sent and taken back');
is_read('txn', 'aborted transactions');
is(sql('SELECT count(*) FROM txn_in'), '20', 'a SELECT ends behind two control records');

# ---- partitions that are added, and those that stay empty ----
$broker->topic('wide', 16);
sql(<<'SQL');
CREATE FOREIGN TABLE wide_in (at timestamptz, n int, p int OPTIONS (metadata 'partition'))
    SERVER message_queue OPTIONS (topic 'wide', event_time 'at', idle_timeout '1 second');
CREATE TABLE wide_agg WITH (anomaly.continuous, anomaly.emit = close) AS
    SELECT window_start, window_end, count(*) AS n FROM wide_in, tumble(at, interval '10 seconds')
    GROUP BY window_start, window_end;
INSERT INTO wide_in SELECT timestamptz '2026-01-01' + i * interval '1 second', i, i % 8
    FROM generate_series(0, 99) i;
SQL
wait_until($node, 'SELECT count(*) >= 9 AND min(n) = 10 AND max(n) = 10 FROM wide_agg', 't',
    'windows close although eight partitions are empty for ever');
$broker->topic('grown', 1);
follow('grown');
sql('INSERT INTO grown_in (n, p) VALUES (1, 0)');
is_read('grown', 'one partition');
$broker->partitions('grown', 3);
kcat(n(2), '-P', '-t', 'grown', '-p', 2);
wait_until($node, 'SELECT count(*) FROM grown_all WHERE p = 2', '1', 'an added partition is read');
is_read('grown', 'more partitions');

# ---- compaction and tombstones ----
$broker->topic('compact', 1, 'cleanup.policy=compact', 'segment.bytes=2000',
    'min.cleanable.dirty.ratio=0.01', 'max.compaction.lag.ms=100', 'delete.retention.ms=600000');
kcat(join('', map { 'k' . $_ % 7 . ':' . n($_) } 1 .. 300) . "k1:\n", '-P', '-t', 'compact', '-K',
    ':', '-Z', '-X', 'linger.ms=0', '-X', 'batch.num.messages=10');
my $left = 301;
for (1 .. 200)
{
    $left = split /\n/, truth('compact');
    last if $left < 100;
}
cmp_ok($left, '<', 100, 'most messages are compacted away');
follow('compact');
is(sql("SELECT anomaly.wait_for_stream('compact_in', '30 seconds')"), 't', 'gaps are no end');
my $compact = join("\n", grep { /n/ } split /\n/, truth('compact'));
is(join("\n", sort split /\n/, sql(q{SELECT format('%s %s {"n":%s}', p, o, n) FROM compact_all})),
    $compact, 'what compaction has left is read');
kcat("k2:\n" . 'k3:' . n(900), '-P', '-t', 'compact', '-K', ':', '-Z');
wait_until($node, 'SELECT count(*) FROM compact_all WHERE n = 900', '1',
    'a tombstone stops nobody');
is(sql("SELECT count(*), count(message) FROM anomaly.dead_letter"), '2|0', 'and is recorded');

# ---- offsets that are gone before they were read ----
$broker->topic('gone', 1);
follow('gone');
kcat(join('', map { n($_) } 1 .. 100), '-P', '-t', 'gone');
is_read('gone', 'before');
sql("SELECT anomaly.pause('gone_in')");
wait_until($node, "SELECT state FROM anomaly.stream_status WHERE stream = 'gone_in'::regclass",
    'paused', 'paused');
kcat(join('', map { n($_) } 101 .. 200), '-P', '-t', 'gone');
$broker->delete_records(0, 150, 'gone');
sql("SELECT anomaly.resume('gone_in')");
is(sql("SELECT anomaly.wait_for_stream('gone_in', '30 seconds')"), 't', 'reading goes on');
is(sql("SELECT kafka_partition, from_offset, to_offset FROM anomaly.lost_range"
          . " WHERE relid = 'gone_all'::regclass"), '0|100|150', 'deleted records are recorded');
is(sql('SELECT count(*), count(DISTINCT n), min(n) FILTER (WHERE n > 100) FROM gone_all'),
    '150|150|151', 'and all others are there');
$broker->delete_topic('gone');
$broker->topic('gone', 1);
kcat(n(1000), '-P', '-t', 'gone');
wait_until($node, 'SELECT count(*) FROM gone_all WHERE n = 1000', '1',
    'a topic that was made again is read from its beginning');
is(sql("SELECT count(*) FROM anomaly.lost_range WHERE relid = 'gone_all'::regclass"), '2',
    'which is recorded');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
