# Goal: over a stream, windows of tumble and hop are those that the same functions give over a
# table: in days, weeks and months, in time zones with every oddity there is, through restarts.
# A message is late for each window that it missed, and for no other.
# Method: messages from 1880 to today, many of them near changes of a zone, in continuous tables
# made under several TimeZones; then PostgreSQL's own answer. The second part is small and exact.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows);
use Broker;
use Test::More;

my @zones = ('Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'America/Sao_Paulo',
    'Pacific/Apia', 'Africa/Casablanca', 'UTC', '<-03>3<-02>,M3.5.0/-2,M10.5.0/-1');
my @windows = (
    q{tumble(at, interval '1 day')},
    q{tumble(at, interval '3 days', interval '5 hours')},
    q{tumble(at, interval '1 week', interval '-1 day')},
    q{tumble(at, interval '1 month')},
    q{tumble(at, interval '3 months', interval '1 month 10 days')},
    q{hop(at, interval '1 day', interval '4 days')},
    q{hop(at, interval '1 month', interval '3 months')},
    q{hop(at, interval '5 days', interval '2 days')},
    q{hop(at, interval '7 hours', interval '20 hours')});
my $node = cluster('main', 'anomaly.batch_rows' => 64, fsync => 'off');
srand(1);

# Microseconds since 1970: any, or within two days of a change of one of the zones.
sub random_time
{
    my @changes = (1679792400, 1698541200, 594177060, 1696087800, 1541300400, 1325239200,
        -1830384000, 1681021200, 1774746000, -2840140800);
    my $at = rand() < 0.3 ? rand(4_600_000_000) - 2_840_140_800
      : $changes[ rand @changes ] + 3600 * (int(rand(48)) - 24) + (rand() < 0.3 ? 0 : rand(3600));
    return int($at) * 1_000_000 + (rand() < 0.5 ? 0 : int(rand(1_000_000)));
}

my $broker = Broker->mock(topic => 'times', partitions => 2);
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE times (n int, at_us bigint,
  at timestamptz GENERATED ALWAYS AS (to_timestamp(at_us / 1000000.0)) STORED)
  SERVER message_queue OPTIONS (topic 'times', event_time 'at', watermark_delay '100000 days');
CREATE TABLE plain (n int, at_us bigint,
  at timestamptz GENERATED ALWAYS AS (to_timestamp(at_us / 1000000.0)) STORED);
SQL

sub definition
{
    my ($window, $source) = @_;
    return 'SELECT n % 3 AS key, window_start, window_end, count(*), max(n)'
      . " FROM $source, $window GROUP BY 1, 2, 3";
}

my %table;
for my $z (0 .. $#zones)
{
    local $ENV{PGTZ} = $zones[$z];
    for my $w (0 .. $#windows)
    {
        my $emit = ($z + $w) % 3 == 0 ? 'close' : 'update';
        my $name = $table{"$z $w"} = "t_${z}_$w";
        $node->safe_psql('postgres', "CREATE TABLE $name WITH (anomaly.continuous,"
              . " anomaly.emit = $emit) AS " . definition($windows[$w], 'times'));
    }
}
my $sent = 0;
for my $round (1 .. 3)
{
    my (@lines, @values);
    for (1 .. 120)
    {
        my $at = random_time();
        $sent++;
        push @lines, ($sent % 2) . "\t\\N\t{\"n\":$sent,\"at_us\":$at}";
        push @values, "($sent, $at)";
    }
    $broker->produce(@lines);
    $node->safe_psql('postgres', 'INSERT INTO plain (n, at_us) VALUES ' . join(', ', @values));
    wait_for_messages($node, 't_7_8', $sent);
    if ($round == 1)
    {
        $node->stop('immediate');
        $node->start;
    }
    $node->restart if $round == 2;
}
$node->safe_psql('postgres', 'SELECT anomaly.close_windows(relid) FROM anomaly.continuous_table');
wait_until($node, 'SELECT sum(open_windows) FROM anomaly.table_status', '0', 'all windows close');
for my $z (0 .. $#zones)
{
    local $ENV{PGTZ} = $zones[$z];
    for my $w (0 .. $#windows)
    {
        same_rows($node, 'SELECT * FROM ' . $table{"$z $w"}, definition($windows[$w], 'plain'),
            "$zones[$z]: $windows[$w]");
    }
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.late_row'), '0', 'nothing was late');

# ---- late for some of its windows ----
my $hopping = Broker->mock(topic => 'hopping', partitions => 1);
create_server($node, $hopping->bootstrap, 'hopping_queue');
$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE hopping (n int, at timestamptz) SERVER hopping_queue
  OPTIONS (topic 'hopping', event_time 'at', idle_timeout '1 hour');
CREATE TABLE hopped WITH (anomaly.continuous) AS
  SELECT window_start, window_end, sum(n) AS n
  FROM hopping, hop(at, interval '10 s', interval '30 s')
  WHERE n > 0 GROUP BY 1, 2;
CREATE TABLE gaps WITH (anomaly.continuous) AS
  SELECT window_start, window_end, sum(n) AS n
  FROM hopping, hop(at, interval '30 s', interval '10 s')
  WHERE n > 0 GROUP BY 1, 2;
SQL
my $offset = 0;

sub send_at
{
    my ($n, $time) = @_;
    $hopping->produce("0\t\\N\t{\"n\":$n,\"at\":\"2026-01-01 $time+00\"}");
    $offset++;
    wait_for_messages($node, $_, $offset) for qw(hopped gaps);
    return;
}
send_at(1, '00:00:05');
send_at(2, '00:00:25');     # closes the windows that end by 00:00:20
send_at(4, '00:00:15');     # of its three windows one is closed
send_at(8, '00:00:03');     # two of three
send_at(-1, '00:00:04');    # not for this table: not late either
send_at(16, '00:01:00');
send_at(32, '00:00:05');    # all three
my $rows = sub { return $node->safe_psql('postgres', "SET timezone = 'UTC'; " . $_[0]) };
is($rows->("SELECT string_agg(to_char(window_start, 'MI:SS') || ' ' || n, ', '
    ORDER BY window_start) FROM hopped"),
    '59:40 1, 59:50 1, 00:00 15, 00:10 6, 00:20 2, 00:40 16, 00:50 16, 01:00 16',
    'what was in time for a window is in it');
is($rows->("SELECT string_agg(kafka_offset || ' ' || to_char(window_start, 'MI:SS') || '-' ||
    to_char(window_end, 'MI:SS'), ', ' ORDER BY kafka_offset, window_start)
    FROM anomaly.late_row WHERE relid = 'hopped'::regclass"),
    '2 59:50-00:20, 3 59:40-00:10, 3 59:50-00:20, 6 59:40-00:10, 6 59:50-00:20, 6 00:00-00:30',
    'and late for the others, one row each');
is($rows->("SELECT string_agg(to_char(window_start, 'MI:SS') || ' ' || n, ', '
    ORDER BY window_start) FROM gaps"), '00:00 1, 01:00 16', 'between windows is no window');
is($rows->("SELECT string_agg(kafka_offset || ' ' || to_char(window_start, 'MI:SS'), ', '
    ORDER BY kafka_offset) FROM anomaly.late_row WHERE relid = 'gaps'::regclass"),
    '3 00:00, 6 00:00', 'for which nothing is late');

# ---- closing on request ----
for my $open ('open', 'none')
{
    $node->safe_psql('postgres', q{SELECT anomaly.close_windows('hopped')});
    ok($node->poll_query_until('postgres', 'SELECT NOT close_requested AND open_windows = 0 FROM'
              . ' anomaly.continuous_table JOIN anomaly.table_progress USING (relid)'
              . q{ WHERE relid = 'hopped'::regclass}),
        "asked to close its windows ($open), the table has none");
}
send_at(64, '00:05:00');
is($node->safe_psql('postgres', q{SELECT open_windows FROM anomaly.table_progress}
          . q{ WHERE relid = 'hopped'::regclass}),
    '3', 'which is not about those to come');
done_testing();
