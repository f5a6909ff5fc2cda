# Goal: the rows of a commit are written in the order of their key, whatever its types, which column
# comes first and whether the window is one of them, so that the key's index is gone through once;
# and what rules find in several windows that close at once is told window by window.
# Method: messages of many series in no order, whose windows are all closed by one commit; the order
# in which the rows lie in the table beside that of their values, and the numbers of the events.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_for_messages wait_until);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

srand(156);
my $count = 3000;
my $broker = Broker->mock(topic => 'values', partitions => 1);
$broker->produce(
    map {
        my $i = $_ * 1237 % $count;
        my $number = $i % 5 == 0 ? 'null' : sprintf('%.2f', ($i - 1500) / 8);
        my $minute = int(rand(4));
        qq(0\t\\N\t{"host":"a host of the cluster number $i","n":$number,"whole":)
          . ($i % 300 - 150)
          . qq(,"at":"2026-01-01 00:0$minute:00+00"})
    } 1 .. $count);
my $node = cluster('main');
create_server($node, $broker->bootstrap);

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q{CREATE FOREIGN TABLE values_in (host text, whole int NOT NULL, n float8, at timestamptz,
    exact numeric OPTIONS (path '$.n')) SERVER message_queue
    OPTIONS (topic 'values', event_time 'at', watermark_delay '1 hour',
      idle_timeout '1 hour')});
# Columns of the key in their order, as a row is compared.
my %key = (
    by_text => 'host, window_start',
    by_window => 'window_start, host',
    by_float => 'n, whole, window_end',
    by_whole => 'whole, window_end',
    by_exact => 'exact, host, window_start',    # which core cannot compare
);
for my $table (sort keys %key)
{
    my $columns = $key{$table};
    sql("CREATE TABLE $table WITH (anomaly.continuous, anomaly.emit = 'close') AS SELECT $columns,"
          . " count(*) AS messages FROM values_in, tumble(at, interval '1 minute')"
          . " GROUP BY $columns");
}
sql(q{CREATE FUNCTION tell(r by_text) RETURNS text LANGUAGE sql STABLE
    RETURN r.window_start || ' ' || r.host});
sql(q{SELECT anomaly.create_rule('tell', 'by_text', 'tell')});
for my $table (sort keys %key)
{
    wait_for_messages($node, $table, $count);
    is(sql("SELECT count(*) FROM $table"), 0, "$table: all windows are open");
    sql("SELECT anomaly.close_windows('$table')");
    wait_until($node, "SELECT open_groups FROM anomaly.table_progress"
          . " WHERE relid = '$table'::regclass", '0', "$table: all are closed");
    my $order = $key{$table} =~ s/host/host COLLATE "C"/r;
    is(sql("SELECT count(DISTINCT xmin::text), sum(messages) FROM $table"),
        "1|$count", "$table: by one commit");
    is(sql("SELECT count(*) FILTER (WHERE place <> rank) FROM (SELECT row_number() OVER"
          . " (ORDER BY ctid) AS place, row_number() OVER (ORDER BY $order) AS rank"
          . " FROM $table) r"),
        '0', "$table: its rows lie in the order of $key{$table}");
}
is(sql(q{SELECT count(*), count(*) FILTER (WHERE earlier > window_start) FROM (SELECT
      f.window_start, lag(f.window_start) OVER (ORDER BY e.seq) AS earlier
      FROM anomaly.alert_event e JOIN anomaly.finding_log f ON f.id = e.finding
      WHERE e.kind = 'finding') s}),
    sql('SELECT count(*) FROM by_text') . '|0', 'findings are told window by window');
$broker->stop;
$node->stop;
done_testing();
