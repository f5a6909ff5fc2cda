# Goal: a commit whose rows do not fit work_mem writes them all and leaves no file behind; rows that
# are new are there once, and those that are written again are what the query gives, too.
# Method: a mock broker, work_mem at its least, 12,000 groups that close in one commit; a table that
# is updated beside it; a restart of the worker in between.
use strict;
use warnings;

use Anomaly qw(cluster create_server create_stream wait_until same_rows);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = Broker->mock(topic => 'series', partitions => 2);
my $node = cluster('many_rows', work_mem => '64kB');
create_server($node, $broker->bootstrap);
create_stream($node, name => 'series_in', topic => 'series');

my $query = 'SELECT hostname, window_start, window_end, count(*) AS n, max(usage) AS usage_max'
  . " FROM %s, tumble(time_ltz, interval '30 seconds') GROUP BY hostname, window_start, window_end";
for my $emit (qw(close update))
{
    $node->safe_psql('postgres', "CREATE TABLE series_$emit WITH (anomaly.continuous,"
          . " anomaly.emit = $emit) AS " . sprintf($query, 'series_in'));
}

my $start_ms = 1_700_000_010_000;
my @messages;
sub produce
{
    my ($from, $to, $after_ms) = @_;
    my @lines = map {
        my $at = $start_ms + $after_ms;
        my $value = qq({"hostname":"h$_","cpu":"c","usage":$_,"occurred_at":$at});
        ($_ % 2) . "\t\\N\t$value"
    } $from .. $to - 1;
    push @messages, @lines;
    $broker->produce(@lines);
    is($node->safe_psql('postgres', "SELECT anomaly.wait_for_stream('series_in', '2 minutes')"),
        't', 'all is committed');
    return;
}

produce(0, 12000, 0);
$node->safe_psql('postgres', "SELECT anomaly.pause('series_in')");
$node->safe_psql('postgres', "SELECT anomaly.resume('series_in')");
produce(6000, 12500, 10_000);
# Two windows and the watermark's delay further on, in both partitions: the first window closes.
produce(0, 2, 80_000);
wait_until($node, 'SELECT count(*) > 0 FROM series_close', 't', 'the window is closed');

my $values = join(',', map { "('" . (split /\t/)[2] . "'::jsonb)" } @messages);
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE plain AS SELECT m ->> 'hostname' AS hostname, (m ->> 'usage')::float8 AS usage,
  to_timestamp((m ->> 'occurred_at')::bigint / 1000.0) AS time_ltz FROM (VALUES $values) v(m);
SQL
my $expected = sprintf($query, 'plain');
same_rows($node, 'SELECT * FROM series_update', $expected, 'rows that are updated');
same_rows($node, 'SELECT * FROM series_close',
    "SELECT * FROM ($expected) q WHERE window_start = to_timestamp($start_ms / 1000)",
    'rows that are new in the commit that closes their window');
is($node->safe_psql('postgres', 'SELECT count(*) FROM series_close'), 12500,
    'each of them once');
unlike(slurp_file($node->logfile), qr/leak/, 'no temporary file is left behind');

$node->stop;
done_testing();
