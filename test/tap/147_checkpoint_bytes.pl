# Goal: what a commit writes into the checkpoint log grows with the groups that it changed, not with
# those that there are; and a log that outgrows its state gives way to snapshots.
# Method: the same changes in a table of many groups, in one of few, and in one whose groups are
# wide, so that its log grows; bytes counted after each commit; then the worker is killed, and all
# are held against their own SELECT. Then an index more on the log, and a row that stands in
# the way.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows worker_pids);
use Broker;
use Digest::MD5 qw(md5_hex);
use Test::More;

my $node = cluster('main', fsync => 'off');
my $broker = Broker->mock(topic => 'readings', partitions => 1);
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE readings (n int, v int, t text, at timestamptz) SERVER message_queue
  OPTIONS (topic 'readings', event_time 'at', idle_timeout '1 hour');
CREATE TABLE plain (n int, v int);
CREATE TABLE many WITH (anomaly.continuous) AS SELECT n AS key, window_start, count(*) AS c,
  sum(v) AS s FROM readings, tumble(at, interval '1 day') GROUP BY 1, 2;
CREATE TABLE few WITH (anomaly.continuous) AS SELECT n % 100 AS key, window_start, count(*) AS c,
  sum(v) AS s FROM readings, tumble(at, interval '1 day') GROUP BY 1, 2;
CREATE TABLE wide WITH (anomaly.continuous) AS SELECT n % 50 AS key, window_start, count(*) AS c,
  max(t COLLATE "C") AS t FROM readings, tumble(at, interval '1 day') GROUP BY 1, 2;
SQL
my ($sent, $groups, $changed, $rounds) = (0, 20000, 50, 60);

sub send_values
{
    my (@n) = @_;
    $broker->produce(map { sprintf
        qq{0\t\\N\t{"n": %d, "v": %d, "t": "%s", "at": "2026-01-01 10:00:00Z"}},
        $_, ++$sent, $sent <= $groups ? '' : md5_hex($sent) x 60 } @n);
    $node->safe_psql('postgres', "INSERT INTO plain SELECT n, $sent - @{[ scalar @n ]} + i"
          . " FROM unnest('{@{[join(',', @n)]}}'::int[]) WITH ORDINALITY u (n, i)");
    return $node->poll_query_until('postgres', 'SELECT count(*) = 3 FROM anomaly.table_progress'
          . " WHERE next_offsets = '{$sent}'");
}

# Bytes of each table by kind since the last call, and the commits they were written by.
my %seen = (many => 0, few => 0, wide => 0);

sub count_bytes
{
    my ($into) = @_;
    for my $table (keys %seen)
    {
        my ($delta, $snapshot, $last) = split /\|/, $node->safe_psql('postgres',
            "SELECT coalesce(sum(length(data)) FILTER (WHERE kind = 1), 0),"
              . ' coalesce(sum(length(data)) FILTER (WHERE kind = 2), 0),'
              . " (SELECT sequence FROM anomaly.table_progress WHERE relid = '$table'::regclass)"
              . " FROM anomaly.checkpoint WHERE relid = '$table'::regclass"
              . " AND sequence > $seen{$table}");
        $into->{$table}{delta} += $delta;
        $into->{$table}{snapshot} += $snapshot;
        $seen{$table} = $last;
    }
    return;
}

ok(send_values(1 .. $groups), "$groups groups are there");
my (%first, %bytes);
count_bytes(\%first);
my $all_came = 1;
for (1 .. $rounds)
{
    $all_came &&= send_values(1 .. $changed);
    count_bytes(\%bytes);
}
ok($all_came, "$rounds times $changed of them have changed");
note("$_: $bytes{$_}{delta} bytes of changes, $bytes{$_}{snapshot} of snapshots")
  for sort keys %bytes;
my $changes = $rounds * $changed;
cmp_ok($bytes{many}{delta}, '<=', 60 * $changes, 'at most 60 bytes for a group that changed');
cmp_ok($bytes{many}{delta}, '<=', 1.2 * $bytes{few}{delta},
    'and no more where there are many groups');
is($bytes{many}{snapshot}, '0', 'a log that is small beside its state needs no snapshot');
cmp_ok($bytes{wide}{snapshot}, '>', 0, 'a large one is followed by snapshots');
cmp_ok($bytes{wide}{snapshot}, '<=', 1.5 * $bytes{wide}{delta}, 'which write about as much again');
my $kept = $node->safe_psql('postgres',
    q{SELECT sum(length(data)) FROM anomaly.checkpoint WHERE relid = 'wide'::regclass});
cmp_ok($kept, '<', $bytes{wide}{delta} / 2, 'and old changes go');

my ($worker) = worker_pids($node, 'stream worker');
kill('KILL', $worker);
wait_until($node, "SELECT count(*) FROM pg_stat_activity WHERE pid <> $worker"
      . " AND backend_type = 'anomaly stream worker'", '1', 'the server has restarted');
ok(send_values(1 .. $changed), 'a worker goes on from the log');
same_rows($node, 'SELECT key, c, s FROM many', 'SELECT n, count(*), sum(v) FROM plain GROUP BY 1',
    'many groups');
same_rows($node, 'SELECT key, c, s FROM few',
    'SELECT n % 100, count(*), sum(v) FROM plain GROUP BY 1', 'few groups');
same_rows($node, 'SELECT key, c, t FROM wide',
    'SELECT n % 50, count(*), max(CASE WHEN v > '
      . $groups . q{ THEN repeat(md5(v::text), 60) ELSE '' END COLLATE "C") FROM plain GROUP BY 1},
    'wide groups');

# The log is written without statements, yet it is a table like others.
$node->safe_psql('postgres', 'CREATE INDEX by_sequence ON anomaly.checkpoint (sequence, relid)');
ok(send_values(1 .. $changed), 'an index of an administrator is no obstacle');
my $rows = 'SELECT count(*) FROM anomaly.checkpoint WHERE sequence ='
  . ' (SELECT max(sequence) FROM anomaly.table_progress)';
is($node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_indexscan = on; $rows"),
    $node->safe_psql('postgres', "SET enable_indexscan = off; SET enable_bitmapscan = off; $rows"),
    'and has its entries');
$node->safe_psql('postgres', 'INSERT INTO anomaly.checkpoint SELECT relid, 1, 0, sequence + 1, 0,'
      . q{ '' FROM anomaly.table_progress WHERE relid = 'few'::regclass});
$broker->produce(qq{0\t\\N\t{"n": 1, "v": @{[++$sent]}, "t": "", "at": "2026-01-01 10:00:00Z"}});
# Tried again, it does not get past reading that row.
ok($node->poll_query_until('postgres', q{SELECT last_error ~ '"checkpoint_pkey"|cut short' AND}
          . q{ failures > 0 FROM anomaly.table_progress WHERE relid = 'few'::regclass}),
    'a row that is there already stops its table');
$node->safe_psql('postgres', q{DELETE FROM anomaly.checkpoint WHERE data = ''});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 3 FROM anomaly.table_progress'
          . " WHERE next_offsets = '{$sent}' AND failures = 0"), 'until it is gone');
$broker->stop;
$node->stop;
done_testing();
