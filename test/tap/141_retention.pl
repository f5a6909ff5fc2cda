# Goal: with anomaly.retention a table holds the rows of the windows that are retained, exactly, and
# after every commit; what is gone stays gone, through restarts, and triggers see it go.
# Method: small batches into tables that differ in what they select and how they emit, held against
# their own SELECT with the condition that retention is, by the watermark that was committed.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows);
use Broker;
use Test::More;

my $node = cluster('main', 'anomaly.batch_rows' => 50, fsync => 'off');
my $broker = Broker->mock(topic => 'readings', partitions => 1);
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE readings (n int, at timestamptz) SERVER message_queue
  OPTIONS (topic 'readings', event_time 'at', watermark_delay '5 seconds', idle_timeout '1 hour');
CREATE TABLE plain (n int, at timestamptz);
SQL
my %table = (
    pairs => ["emit = 'update'", 'n % 3 AS key, window_start, window_end, count(*) AS c',
        "tumble(at, interval '10 s')", '1, 2, 3', 'window_end'],
    closed => ["emit = 'close'", 'n % 3 AS key, window_start, window_end, count(*) AS c',
        "tumble(at, interval '10 s')", '1, 2, 3', 'window_end'],
    starts => ["emit = 'update'", 'n % 3 AS key, window_start, count(*) AS c',
        "tumble(at, interval '10 s')", '1, 2', "window_start + interval '10 s'"],
    alone => ["emit = 'update'", 'window_end, count(*) AS c', "tumble(at, interval '10 s')", '1',
        'window_end'],
    hops => ["allowed_lateness = '20 s'", 'n % 3 AS key, window_start, window_end, count(*) AS c',
        "hop(at, interval '10 s', interval '30 s')", '1, 2, 3', 'window_end']);
for my $name (sort keys %table)
{
    my ($option, $select, $windows, $group) = @{ $table{$name} };
    $node->safe_psql('postgres', "CREATE TABLE $name WITH (anomaly.continuous,"
          . " anomaly.retention = '1 minute', anomaly.$option) AS"
          . " SELECT $select FROM readings, $windows GROUP BY $group");
}
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE gone (key int, window_end timestamptz);
CREATE FUNCTION note_gone() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO gone VALUES (OLD.key, OLD.window_end); RETURN NULL; END $$;
CREATE TRIGGER note_gone AFTER DELETE ON pairs FOR EACH ROW EXECUTE FUNCTION note_gone();
SQL
is($node->safe_psql('postgres', q{SELECT string_agg(tablename || ' ' || indexname, ', '
    ORDER BY tablename) FROM pg_indexes WHERE indexname ~ 'window_(end|start)_idx$' AND
    indexname !~ 'key_'}),
    'closed closed_window_end_idx, hops hops_window_end_idx, pairs pairs_window_end_idx, '
      . 'starts starts_window_start_idx', 'an index finds them, where the key does not');

my $sent = 0;
my $epoch = 1_767_225_600;    # 2026-01-01
for my $round (1 .. 6)
{
    my (@lines, @values);
    for (1 .. 200)
    {
        my $at = $epoch + $sent / 5 - ($sent * 7) % 4;
        $sent++;
        push @lines, "0\t\\N\t{\"n\":$sent,\"at\":\"" . gmt($at) . '"}';
        push @values, "($sent, to_timestamp($at))";
    }
    $broker->produce(@lines);
    $node->safe_psql('postgres', 'INSERT INTO plain VALUES ' . join(', ', @values));
    wait_for_messages($node, $_, $sent) for sort keys %table;
    for my $name (sort keys %table)
    {
        my ($option, $select, $windows, $group, $end) = @{ $table{$name} };
        my $having = "$end > anomaly.watermark('$name') - interval '1 minute'";
        $having .= " AND $end <= anomaly.watermark('$name')" if $option =~ /close/;
        same_rows($node, "SELECT * FROM $name",
            "SELECT $select FROM plain, $windows GROUP BY $group HAVING $having",
            "round $round: $name");
    }
    $node->restart if $round == 3;
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.late_row'), '0', 'nothing was late');
same_rows($node, 'SELECT * FROM gone',
    "SELECT n % 3, window_end FROM plain, tumble(at, interval '10 s') GROUP BY 1, 2"
      . " HAVING window_end <= anomaly.watermark('pairs') - interval '1 minute'",
    'a trigger saw each go, once');
done_testing();

sub gmt
{
    my ($at) = @_;
    my @t = gmtime(int($at));
    return sprintf('%04d-%02d-%02d %02d:%02d:%06.3f+00', $t[5] + 1900, $t[4] + 1, $t[3], $t[2],
        $t[1], $t[0] + $at - int($at));
}
