# Goal: continuous tables equal their own SELECT over the same messages in a plain table.
# Method: a real Kafka. The topic is read again with another client, loaded into a plain table, and
# PostgreSQL itself says what the continuous tables have to hold, row for row.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables wait_until wait_for_messages
  same_rows consume load_plain check_oracle);
use Broker;
use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = 20;
my $begin_ms = 1_700_000_000_000;
srand($seed);
my $node = cluster('main');
my $broker = Broker->kafka(topic => 'cpu_load_stats_real', partitions => 2);
create_server($node, $broker->bootstrap);

# Creates a continuous table as %s says what it reads, and remembers how.
my %definition;

sub continuous
{
    my ($name, $stream, $select, @options) = @_;
    $definition{$name} = $select;
    my $with = join(', ', 'anomaly.continuous', @options);
    $node->safe_psql('postgres', "CREATE TABLE $name WITH ($with) AS " . sprintf($select, $stream));
    return;
}

sub equals
{
    my ($name, $source, $title) = @_;
    # As text: 1.0 and 1.00, or 0 and -0, are equal but not the same.
    return same_rows($node, "SELECT q::text FROM $name q",
        "SELECT q::text FROM (@{[sprintf($definition{$name}, $source)]}) q", $title // $name);
}

sub readers
{
    return "SELECT readers FROM anomaly.stream_workers() WHERE stream = '$_[0]'::regclass";
}

# ---- a million of the seed's messages ----

my $messages = 1_000_000;
my $spread = 'SELECT cpu, hostname, window_start, window_end, count(*), min(usage), max(usage)'
  . " FROM %s, tumble(time_ltz, interval '1 minute') WHERE usage > 75"
  . ' GROUP BY cpu, hostname, window_start, window_end';
# Silence would close windows by itself, and make what comes then late.
create_stream($node, options => { idle_timeout => '1 hour' });
create_cpu_tables($node);
continuous('cpu_final', 'cpu_in', $spread, "anomaly.emit = 'close'");
continuous('cpu_total', 'cpu_in',
    'SELECT hostname, count(*), min(usage), max(usage), sum(occurred_at) FROM %s'
      . ' GROUP BY hostname');
$broker->generate(count => $messages, seed => $seed, start_ms => $begin_ms, step_us => 300);
wait_for_messages($node, $_, $messages) for qw(cpu_agg cpu_hot cpu_final cpu_total);

my $file = "${PostgreSQL::Test::Utils::tmp_check}/million";
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($node, 'plain', $file);
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT kafka_partition) FROM plain'),
    "$messages|2", 'the plain table has all messages, of two partitions');
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.late_row'), '0', 'nothing is late');
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.dead_letter'), '0', 'nothing is bad');
check_oracle($node, 'plain', 'a million');
equals('cpu_total', 'plain', 'a running total');

my $final = "window_end <= (SELECT anomaly.watermark('cpu_final'))";
same_rows($node, 'SELECT * FROM cpu_final',
    "SELECT * FROM (@{[sprintf($spread, 'plain')]}) q WHERE $final",
    'emit close: exactly the closed windows');
$node->safe_psql('postgres', q{SELECT anomaly.close_windows('cpu_final')});
wait_until($node, q{SELECT open_windows = 0 FROM anomaly.table_status
    WHERE relid = 'cpu_final'::regclass}, 't', 'close_windows closes the last one');
equals('cpu_final', 'plain', 'emit close, all windows closed');

# ---- a table that comes later, while messages arrive ----

is($node->safe_psql('postgres', readers('cpu_in')), '1', 'all tables share a reader');
$broker->start_generate(rate => 2000, seed => $seed + 1, start_ms => $begin_ms + 300_000);
continuous('cpu_later', 'cpu_in', $spread);
wait_until($node, readers('cpu_in'), '2', 'a new table reads from the beginning on its own');
wait_until($node, readers('cpu_in'), '1', 'and joins the others once it is there');
is($broker->stop_generate, 0, 'the generator ends well');
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
$node->safe_psql('postgres', 'DROP TABLE plain');
load_plain($node, 'plain', $file);
$messages = $node->safe_psql('postgres', 'SELECT count(*) FROM plain');
wait_for_messages($node, $_, $messages) for qw(cpu_agg cpu_hot cpu_total cpu_later);
is($node->safe_psql('postgres', readers('cpu_in')), '1', 'one reader in the end');
equals('cpu_later', 'plain', 'the later table');
check_oracle($node, 'plain', 'the others');
equals('cpu_total', 'plain', 'the running total');
$node->safe_psql('postgres', 'DROP TABLE cpu_agg, cpu_hot, cpu_final, cpu_total, cpu_later, plain');

# ---- every aggregate, every type ----

my $columns = 'k text, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision,'
  . ' b boolean, d date, ts timestamp, at timestamptz';
$broker->topic('mixed', 1);
$node->safe_psql('postgres', "CREATE FOREIGN TABLE mixed ($columns,"
      . " kafka_offset bigint OPTIONS (metadata 'offset')) SERVER message_queue OPTIONS"
      . " (topic 'mixed', format 'json', event_time 'at', watermark_delay '10 seconds')");
my $every = join(', ',
    'count(*) AS n', 'count(*) FILTER (WHERE b) AS n_b', 'bool_and(b) AS b_and',
    'bool_or(b) AS b_or', 'every(b) AS b_every', 'bool_or(b) FILTER (WHERE i4 > 0) AS b_some',
    (map { my $c = $_; map { "$_($c) AS ${c}_$_" } qw(count sum avg min max) }
        qw(i2 i4 i8 f4 f8)),
    (map { my $c = $_; map { "$_($c) AS ${c}_$_" } qw(count min max) } qw(d ts at)),
    'sum(i4) FILTER (WHERE f8 > 0 AND k IS NOT NULL) AS i4_some',
    'avg(i8) FILTER (WHERE i2 < 0) AS i8_some', 'sum(f8 * 2 + i4) AS expression');
my $window = "FROM %s, tumble(at, interval '30 seconds')";
continuous('all_windows', 'mixed',
    "SELECT k, window_start, window_end, $every $window GROUP BY k, window_start, window_end");
continuous('all_final', 'mixed',
    "SELECT window_end, k, window_start, $every $window WHERE i2 IS NOT NULL"
      . ' GROUP BY k, window_start, window_end', "anomaly.emit = 'close'");
continuous('all_running', 'mixed', "SELECT k, $every FROM %s GROUP BY k");
continuous('all_in_one', 'mixed', "SELECT $every FROM %s WHERE i4 <> 3");
continuous('with_having', 'mixed',
    'SELECT k, window_start, window_end, count(*) FILTER (WHERE b) AS n_b,'
      . " sum(i8) / count(i8) AS m, max(f8) - min(f8) AS width, avg(i4) AS a $window"
      . ' WHERE i2 > -20000'
      . ' GROUP BY k, window_start, window_end'
      . ' HAVING count(*) FILTER (WHERE b) > 2 AND count(i8) > 0 AND avg(i4) < 30');
continuous('filtered', 'mixed',
    'SELECT upper(k) AS k, i4 + 1 AS i4, f8, b, at FROM %s'
      . " WHERE (k <> 'dwarf' OR b IS NULL) AND i4 < 1000");

# Some fields are missing, some are null, and some are written as text.
sub pick { return $_[ int(rand(@_)) ] }

sub mixed_message
{
    my ($i) = @_;
    my %field = (
        k => pick('"doc"', '"dwarf"', '""', "\"\xc3\xa9t\xc3\xa9\"", 'null'),
        i2 => pick(-32768, 32767, int(rand(100)) - 50, 'null'),
        i4 => pick(-2147483648, 2147483647, (map { int(rand(100)) } 1 .. 20), '"17"', 'null'),
        i8 => pick('9223372036854775807', '-9223372036854775808', int(rand(1000)), 'null'),
        f4 => pick(1.5, -0.1, rand(1000), 'null'),
        f8 => pick('1e100', '-0.0', rand(100), '"0.25"', 'null', $i % 97 == 0 ? '"NaN"' : 3),
        b => pick('true', 'false', 'true', 'null', '"yes"'),
        d => pick('"2026-02-28"', '"1969-12-31"', '"infinity"', 'null'),
        ts => pick('"2026-02-28 12:00:00.123456"', '"0044-03-15 09:00:00 BC"', 'null'),
    );
    delete $field{ pick(sort keys %field) } if rand() < 0.3;
    my $at = strftime('%Y-%m-%dT%H:%M:%S', gmtime(1_700_000_000 + int($i / 20)));
    $field{at} = sprintf('"%s.%03dZ"', $at, ($i % 20) * 50);
    return "0\t\\N\t{" . join(', ', map { "\"$_\": $field{$_}" } sort keys %field) . '}';
}

my $mixed = 20_000;
$broker->produce_to({ topic => 'mixed' }, map { mixed_message($_) } 0 .. $mixed - 1);
my @mixed_tables = qw(all_windows all_final all_running all_in_one with_having filtered);
wait_for_messages($node, $_, $mixed) for @mixed_tables;
consume($broker->bootstrap, 'mixed', $file);
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE mixed_plain ($columns, kafka_offset bigint);
CREATE TEMP TABLE line (kafka_partition int, kafka_offset bigint, message jsonb);
COPY line FROM '$file' (FORMAT csv, DELIMITER E'\\t', QUOTE E'\\b');
INSERT INTO mixed_plain
SELECT m.*, l.kafka_offset FROM line l, jsonb_to_record(l.message) AS m($columns)
ORDER BY l.kafka_offset;
SQL
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.dead_letter'), '0', 'nothing is bad');
# One partition, and both sides take the messages in its order: float sums are to be the same, too.
# Rounding is what order changes; a plan that sorts would not be the same query.
$node->append_conf('postgresql.conf',
    "max_parallel_workers_per_gather = 0\nenable_sort = off\n");
$node->reload;
$node->safe_psql('postgres', q{SELECT anomaly.close_windows('all_final')});
wait_until($node, q{SELECT open_windows = 0 FROM anomaly.table_status
    WHERE relid = 'all_final'::regclass}, 't', 'all windows are closed');
equals($_, 'mixed_plain') for @mixed_tables;

# ---- late rows ----

$broker->topic('late', 2);
create_stream($node, name => 'late_in', topic => 'late', options => { idle_timeout => '1 hour' });
my $count = 'SELECT hostname, window_start, window_end, count(*), max(usage)'
  . " FROM %s, tumble(time_ltz, interval '30 seconds') GROUP BY hostname, window_start, window_end";
my %lateness = (strict => '0', lenient => '1 minute', final => '0');
continuous('strict', 'late_in', $count);
continuous('lenient', 'late_in', $count, "anomaly.allowed_lateness = '1 minute'");
continuous('final', 'late_in', $count, "anomaly.emit = 'close'");
continuous('late_total', 'late_in',
    'SELECT hostname, count(*), max(usage) FROM %s GROUP BY hostname');
continuous('late_hot', 'late_in', 'SELECT time_ltz, hostname, usage FROM %s WHERE usage > 80');
my @late_tables = (sort(keys %lateness), 'late_hot', 'late_total');
my $sent = 0;

sub send_at
{
    my (@seconds) = @_;
    $broker->produce_to({ topic => 'late' }, map {
        sprintf("%d\t\\N\t" . '{"hostname": "%s", "cpu": "cpu1", "usage": %s, "occurred_at": %d}',
            $sent++ % 2, pick(qw(doc dopey happy)), 70 + rand(30), $begin_ms + int($_ * 1000))
    } @seconds);
    $node->safe_psql('postgres', q{SELECT anomaly.wait_for_stream('late_in')});
    return;
}

# 1700000000 lies 20 s after the start of a window: windows end at 10 s, 40 s, 70 s ...
sub late_now
{
    return 'SELECT relid::regclass::text, count(*) FROM anomaly.late_row GROUP BY 1 ORDER BY 1';
}

send_at(map { ($_, $_) } 0 .. 200);
is($node->safe_psql('postgres', late_now()), '', 'in order: none is late');
is($node->safe_psql('postgres',
        "SELECT anomaly.watermark('strict') = to_timestamp($begin_ms / 1000 + 190)"), 't',
    'the watermark is 10 s behind the slower partition');
# At 190 s the window that ends at 190 s is closed for a table without lateness; the one that
# ends at 130 s with a minute of it.
send_at(189.999, 190, 129.999, 130, 195, 5);
is($node->safe_psql('postgres', late_now()), "final|4\nlenient|2\nstrict|4",
    'late are those, and only those, whose window was closed');
for my $round (1 .. 30)
{
    send_at(map { 200 + $round * 20 + rand(20) - (rand() < 0.2 ? rand(150) : rand(8)) } 1 .. 200);
}
consume($broker->bootstrap, 'late', $file);
load_plain($node, 'late_plain', $file);
wait_for_messages($node, $_, $sent) for @late_tables;
$node->safe_psql('postgres', q{SELECT anomaly.close_windows('final')});
wait_until($node, q{SELECT open_windows = 0 FROM anomaly.table_status
    WHERE relid = 'final'::regclass}, 't', 'the last windows of final are closed');

for my $table (@late_tables)
{
    my $late = $node->safe_psql('postgres',
        "SELECT count(*) FROM anomaly.late_row WHERE relid = '$table'::regclass");
    if (exists $lateness{$table}) { cmp_ok($late, '>', 100, "$table: $late late rows") }
    else { is($late, '0', "$table has no windows, so nothing is late for it") }
    my $in_time = "(SELECT p.* FROM late_plain p LEFT JOIN anomaly.late_row l ON"
      . " l.relid = '$table'::regclass AND l.kafka_partition = p.kafka_partition"
      . ' AND l.kafka_offset = p.kafka_offset WHERE l.relid IS NULL) p';
    equals($table, $in_time, "$table equals the SELECT over what was not late for it");
    is($node->safe_psql('postgres',
            "SELECT late_rows = $late FROM anomaly.table_status WHERE relid = '$table'::regclass"),
        't', "$table: the status counts them");
}
same_rows($node,
    q{SELECT kafka_partition, kafka_offset, window_start, window_end,
        (convert_from(message, 'UTF8')::jsonb->>'occurred_at')::bigint FROM anomaly.late_row},
    q{SELECT l.kafka_partition, l.kafka_offset, w.window_start, w.window_end, p.occurred_at
      FROM anomaly.late_row l JOIN late_plain p USING (kafka_partition, kafka_offset),
        tumble(p.time_ltz, interval '30 seconds') w},
    'late rows say which message missed which window');

done_testing();
