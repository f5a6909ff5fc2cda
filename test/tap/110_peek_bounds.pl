# Goal: a SELECT over a stream reads no more than its conditions on partition, offset and timestamp
# need, and gives what the same SELECT over a table gives; it says what it read, stops when told,
# and names what is wrong.
# Method: a real Apache Kafka with messages whose timestamps do not ascend; each answer is compared
# with that of a table that holds a full peek, and EXPLAIN ANALYZE says how much was read.
use strict;
use warnings;

use Anomaly qw(cluster create_server same_rows wait_until);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $broker = Broker->kafka(topic => 'places', partitions => 4);
my $node = cluster('bounds');
create_server($node, $broker->bootstrap);

sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text) }

# Partition 3 stays empty. The timestamps of a partition go up and down again.
my $base_ms = 1_700_000_000_000;
for my $step (0, 40, 20, 60)
{
    $broker->produce_to({ timestamp_ms => $base_ms + 1000 * $step },
        map { my $p = $_ % 3; my $n = $step * 100 + $_; "$p\t\\N\t{\"n\": $n}" } 0 .. 299);
}
$broker->produce_to({ timestamp_ms => $base_ms + 90_000 }, "0\t\\N\tbad", "1\t\\N\tbad");
my $columns = 'n int, p int OPTIONS (metadata \'partition\'), o bigint OPTIONS (metadata'
  . " 'offset'), t timestamptz OPTIONS (metadata 'timestamp'), kafka_topic text"
  . " OPTIONS (metadata 'topic')";
sql("CREATE FOREIGN TABLE places_in ($columns) SERVER message_queue OPTIONS (topic 'places')");
sql('CREATE TABLE places_plain AS SELECT * FROM places_in');
is(sql('SELECT count(*), count(DISTINCT p), count(DISTINCT n) FROM places_plain'),
    '1200|3|1200', 'a full peek');

# What EXPLAIN ANALYZE says of the scan, and the plan's text.
sub explain
{
    my ($query) = @_;
    my $plan = sql("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) $query");
    my %figures = $plan =~ /^\s*(Partitions Read|Messages Read|Bad Messages|Offsets): (.*)$/mg;
    return (\%figures, $plan);
}

# Each condition, and how many messages at most have to be read for it.
my $at = sub { my ($seconds) = @_; return "to_timestamp(" . ($base_ms / 1000 + $seconds) . ")" };
my @conditions = (
    [ 'p = 1', 401 ], [ 'p IN (0, 2)', 801 ], [ 'p > 1', 400 ], [ '2 <= p', 400 ],
    [ 'p < 1', 401 ], [ 'p = 3', 0 ], [ 'p = 77', 0 ], [ 'p = 1 AND p = 2', 0 ],
    [ 'o >= 390', 32 ], [ 'o BETWEEN 10 AND 19', 30 ], [ 'p = 1 AND o = 17', 1 ],
    [ 'o = ANY (ARRAY[5, 7]::bigint[])', 9 ], [ 'o < 0', 0 ], [ 'o > 100000', 0 ],
    [ 'p = 0 AND 100 > o', 100 ], [ 'p = 1::smallint AND o <= 3::bigint', 4 ],
    [ 'p = NULL', 0 ], [ 'p = ANY (NULL::int[])', 0 ],
    [ "t >= " . $at->(0), 1202 ], [ "t >= " . $at->(1), 902 ], [ "t > " . $at->(40), 902 ],
    [ "t >= " . $at->(90), 2 ], [ "t >= " . $at->(91), 0 ], [ "t = " . $at->(20), 902 ],
    [ "t > 'infinity'", 0 ], [ "t >= '-infinity'", 1202 ], [ "t >= date '2023-11-01'", 1202 ],
    [ "t >= " . $at->(60) . " AND p = 2 AND o < 310", 10 ],
    [ 'o % 7 = 3', 1202 ], [ "t < " . $at->(20), 1202 ], [ 'p = 1 OR o = 2', 1202 ],
    [ 'p <> 1', 1202 ], [ 'p = n', 1202 ]);
for my $case (@conditions)
{
    my ($condition, $most) = @$case;
    my $query = "SELECT p, o, n, t FROM %s WHERE $condition";
    my ($figures) = explain(sprintf($query, 'places_in'));
    my $got = sql(sprintf("SELECT count(*), sum(n), min(o) FROM (SELECT * FROM %s WHERE $condition)"
          . ' q', 'places_in'));
    my $want = sql(sprintf("SELECT count(*), sum(n), min(o) FROM (SELECT * FROM %s WHERE"
          . " $condition) q", 'places_plain'));
    is($got, $want, "the rows where $condition");
    is($figures->{'Messages Read'} // 0, $most, "and what is read for them");
}
my ($figures, $plan) = explain('SELECT n FROM places_in WHERE p = 1 AND o >= 398 AND n > 0');
like($plan, qr/Reads Where: \(\(o >= 398\) AND \(p = 1\)\)/, 'EXPLAIN shows what is pushed down');
like($plan, qr/Filter: .*n > 0/, 'and what is not');
is($figures->{Offsets}, '1: 398 to 400', 'and the offsets');
is($figures->{'Bad Messages'}, 1, 'and the bad messages in them');
unlike(sql('EXPLAIN SELECT n FROM places_in WHERE n = 5'), qr/Reads Where/, 'nothing pushed down');
is(sql("SELECT count(*) FROM places_in WHERE t > now() - interval '1 hour'"), 0,
    'a bound that is computed once');

# ---- parameters ----
my $prepared = <<'SQL';
SET plan_cache_mode = force_generic_plan;
PREPARE place (int, bigint) AS SELECT n FROM places_in WHERE p = $1 AND o = $2;
EXECUTE place (1, 17); EXECUTE place (2, 300); EXECUTE place (NULL, 1); EXECUTE place (0, 5);
SQL
is(sql($prepared), sql(join(';', map { "SELECT n FROM places_plain WHERE p = $_->[0] AND o ="
          . " $_->[1]" } [ 1, 17 ], [ 2, 300 ], [ 0, 5 ])), 'a prepared statement');
sql('CREATE TABLE wanted (wp int, wo bigint, seen timestamptz);'
      . " INSERT INTO wanted VALUES (0, 3, NULL), (1, 100, NULL), (2, 399, NULL), (9, 1, NULL),"
      . ' (1, NULL, NULL); ANALYZE wanted');
my $join = 'SELECT w.wp, w.wo, s.n FROM wanted w JOIN %s s ON s.p = w.wp AND s.o = w.wo';
same_rows($node, sprintf($join, 'places_in'), sprintf($join, 'places_plain'),
    'a join with an ordinary table');
my $nested = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;';
my $lateral = 'SELECT w.wp, s.n FROM wanted w, LATERAL (SELECT n FROM %s WHERE p = w.wp AND'
  . ' o = w.wo OFFSET 0) s ORDER BY 1, 2';
is(sql($nested . sprintf($lateral, 'places_in')), sql(sprintf($lateral, 'places_plain')),
    'a place from the outer row, looked up row by row');
like(sql("$nested EXPLAIN " . sprintf($join, 'places_in') . ' LIMIT 1'), qr/Reads Where: .*s\.p/,
    'a nested loop pushes the join condition down');
is(sql($nested . 'SELECT count(*) FROM generate_series(1, 3) g, places_in WHERE n >= g'),
    sql('SELECT count(*) FROM generate_series(1, 3) g, places_plain WHERE n >= g'),
    'a scan that is run again');

# ---- LIMIT, bad messages, columns ----
my ($rc, $out, $error) = $node->psql('postgres', 'SELECT n FROM places_in LIMIT 1');
unlike($error, qr/WARNING/, 'LIMIT stops before the bad messages');
($rc, $out, $error) = $node->psql('postgres',
    'SELECT n FROM places_in WHERE p < 2 AND o >= 399 LIMIT 2');
like($error, qr/WARNING:  skipped 1 message /, 'and counts those that it passed');
($rc, $out, $error) = $node->psql('postgres', 'SELECT count(*) FROM places_in');
like($error, qr/WARNING:  skipped 2 messages of stream public\.places_in/, 'one WARNING of all');
is(() = $error =~ /WARNING/g, 1, 'one');
is(sql('SELECT DISTINCT kafka_topic FROM places_in'), 'places', 'the topic');

# ---- a stream that starts at a time ----
sql("CREATE FOREIGN TABLE later_in ($columns) SERVER message_queue OPTIONS (topic 'places',"
      . " startup '" . sql("SET TimeZone = 'UTC'; SELECT " . $at->(59.9995)) . "');"
      . ' CREATE TABLE later WITH (anomaly.continuous) AS SELECT n, p, o FROM later_in');
wait_until($node, 'SELECT count(*) FROM later', 300, 'a table that starts at a time');
same_rows($node, 'SELECT * FROM later',
    'SELECT n, p, o FROM places_plain WHERE t >= ' . $at->(60), 'has what came from then on');

# ---- what is wrong ----
sql("CREATE FOREIGN TABLE missing_in (a int) SERVER message_queue OPTIONS (topic 'missing')");
($rc, $out, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT * FROM missing_in");
like($error, qr/ERROR:  HV00R: topic "missing" cannot be read/, 'a topic that is missing');
like($error, qr/HINT:  Create it in Kafka, or set option topic of public\.missing_in/, 'a hint');

# Told to stop, it stops at once, also while it waits for a broker that says nothing.
my $pid = slurp_file("$broker->{dir}/pid") + 0;
kill('STOP', $pid);
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $backend = $session->query_safe('SELECT pg_backend_pid()');
$session->query_until(qr/start/, "\\echo start\nSET anomaly.peek_time_limit = '60s';"
      . " SELECT n FROM places_in;\n\\echo ended\n");
wait_until($node, "SELECT wait_event FROM pg_stat_activity WHERE pid = $backend", 'Extension',
    'it waits for the broker');
my $began = time;
sql("SELECT pg_cancel_backend($backend)");
wait_until($node, "SELECT state FROM pg_stat_activity WHERE pid = $backend", 'idle',
    'and can be cancelled');
cmp_ok(time - $began, '<', 3, 'at once');
$began = time;
($rc, $out, $error) = $node->psql('postgres',
    "SET anomaly.peek_time_limit = '1s'; SELECT n FROM places_in");
like($error, qr/ERROR: /, 'without a cancel it fails');
cmp_ok(time - $began, '<', 6, 'after the time limit');
kill('CONT', $pid);
$session->quit;

is(sql('SELECT count(*) FROM places_in'), 1200, 'the broker is back');
$node->stop;
done_testing();
