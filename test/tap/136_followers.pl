# Goal: whoever follows the rows of a continuous table sees each change once: a subscriber of
# logical replication, statement triggers with their transition tables, rows that refer to it. A
# stream that feeds no table any more is read by nobody.
# Method: tables of each kind whose rows come, change and go (by retention, by HAVING), under load
# and through restarts of both clusters; what the followers have made of it is compared with them.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows kill_server);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = cluster('main', wal_level => 'logical', max_wal_senders => 10,
    max_replication_slots => 10, 'anomaly.commit_interval' => '20ms', 'anomaly.batch_rows' => 100);
my $subscriber = cluster('subscriber', create => 0);
my $broker = Broker->mock(topic => 'readings', partitions => 2);
create_server($node, $broker->bootstrap);

my %definition = (
    by_window => q{SELECT k, window_start, window_end, count(*) AS c, sum(n) AS s
      FROM %s, tumble(at, interval '10 seconds') GROUP BY k, window_start, window_end},
    by_host => q{SELECT host, count(*) AS c FROM %s GROUP BY host HAVING count(*) %% 3 <> 0},
    in_all => q{SELECT count(*) AS c, sum(n) AS s FROM %s},
    even => q{SELECT n, host FROM %s WHERE n %% 2 = 0});
my %retained = (by_window => ", anomaly.retention = '1 minute'");
$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE readings (n int, k int NOT NULL, host text, at timestamptz)
  SERVER message_queue OPTIONS (topic 'readings', event_time 'at', watermark_delay '5 seconds',
    idle_timeout '1 hour');
CREATE TABLE plain (n int, k int, host text, at timestamptz);
SQL
for my $table (sort keys %definition)
{
    $node->safe_psql('postgres', "CREATE TABLE $table WITH (anomaly.continuous"
          . ($retained{$table} // '') . ') AS ' . sprintf($definition{$table}, 'readings'));
}

# ---- the followers ----

$subscriber->safe_psql('postgres', <<'SQL');
CREATE TABLE by_window (k int, window_start timestamptz, window_end timestamptz, c bigint, s bigint,
  PRIMARY KEY (k, window_start, window_end));
CREATE TABLE by_host (host text, c bigint);
CREATE TABLE in_all (c bigint, s bigint);
CREATE TABLE even (n int, host text);
SQL
$node->safe_psql('postgres', 'CREATE PUBLICATION loads FOR TABLE '
      . join(', ', sort keys %definition));
$subscriber->safe_psql('postgres', 'CREATE SUBSCRIPTION loads CONNECTION '
      . "'${\$node->connstr} dbname=postgres' PUBLICATION loads");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE mirror (host text, c bigint);
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM mirror m USING gone g WHERE m.host IS NOT DISTINCT FROM g.host AND m.c = g.c;
  END IF;
  IF TG_OP <> 'DELETE' THEN INSERT INTO mirror SELECT host, c FROM added; END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER added AFTER INSERT ON by_host REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION follow();
CREATE TRIGGER changed AFTER UPDATE ON by_host REFERENCING OLD TABLE AS gone NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION follow();
CREATE TRIGGER gone AFTER DELETE ON by_host REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION follow();
CREATE TABLE note (k int, s timestamptz, e timestamptz,
  FOREIGN KEY (k, s, e) REFERENCES by_window ON DELETE CASCADE);
SQL

# ---- messages ----

my $sent = 0;

sub produce
{
    my ($count) = @_;
    my (@lines, @values);
    for (1 .. $count)
    {
        $sent++;
        my $host = $sent % 7 == 0 ? undef : 'host' . $sent % 7;
        my $at = sprintf('2026-01-01 00:%02d:%06.3f+00', $sent / 600, ($sent % 600) / 10);
        push @lines, sprintf(qq(%d\t\\N\t{"n": %d, "k": %d, "host": %s, "at": "%s"}), $sent % 2,
            $sent, $sent % 3, $host ? "\"$host\"" : 'null', $at);
        push @values, "($sent, ${\($sent % 3)}, " . ($host ? "'$host'" : 'NULL') . ", '$at')";
    }
    $broker->produce(@lines);
    $node->safe_psql('postgres', 'INSERT INTO plain VALUES ' . join(', ', @values));
    return;
}

sub wait_for_all
{
    wait_for_messages($node, $_, $sent) for sort keys %definition;
    return;
}

produce(700);
wait_for_all();
$node->safe_psql('postgres', 'INSERT INTO note SELECT k, window_start, window_end FROM by_window');
my $noted = $node->safe_psql('postgres', 'SELECT count(*) FROM note');
$subscriber->restart;
produce(301);
wait_for_all();
$node->restart;
produce(401);
wait_for_all();

# ---- what has come of it ----

my $kept = q{ HAVING window_end > anomaly.watermark('by_window') - interval '1 minute'};
same_rows($node, "SELECT * FROM $_",
    sprintf($definition{$_}, 'plain') . ($_ eq 'by_window' ? $kept : ''), $_)
  for sort keys %definition;
same_rows($node, 'SELECT * FROM mirror', 'SELECT * FROM by_host',
    'transition tables held each change');
same_rows($node, 'SELECT * FROM note',
    'SELECT n.* FROM note n JOIN by_window w'
      . ' ON (w.k, w.window_start, w.window_end) = (n.k, n.s, n.e)',
    'what refers to a row has gone with it');
my $left = $node->safe_psql('postgres', 'SELECT count(*) FROM note');
ok($left > 0 && $left < $noted, "$left of $noted notes are left");
# Decoding reads what is flushed, and a commit without events does not wait for that.
$node->safe_psql('postgres', 'CREATE TABLE flushes ()');
$node->wait_for_catchup('loads');
for my $table (sort keys %definition)
{
    my $rows = "SELECT string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\") FROM $table t";
    is($subscriber->safe_psql('postgres', $rows), $node->safe_psql('postgres', $rows),
        "the subscriber has the rows of $table");
}
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM pg_stat_subscription WHERE pid'
      . ' IS NOT NULL AND relid IS NULL'), '1', 'and follows still');
$subscriber->stop;

# ---- nobody reads for nobody ----

# Connections to the broker, of anybody.
sub connections
{
    my ($port) = $broker->bootstrap =~ /:(\d+)$/;
    return scalar grep { /^\s*\d+: \S+ \S+:([0-9A-F]{4}) 01 / && hex($1) == $port }
      split /\n/, slurp_file('/proc/net/tcp');
}

cmp_ok(connections(), '>', 0, 'the broker is connected while tables are fed');
$node->safe_psql('postgres', 'DROP TABLE note; DROP TABLE ' . join(', ', sort keys %definition));
wait_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'anomaly stream'},
    '0', 'without a table there is no worker');
for (1 .. 100)
{
    last if connections() == 0;
    usleep(100_000);
}
is(connections(), 0, 'nor a connection');
is($node->safe_psql('postgres', 'SELECT state, lag FROM anomaly.stream_status'), 'idle|',
    'which is shown');
is($node->safe_psql('postgres', 'SELECT count(*) FROM readings'), $sent,
    'a SELECT still looks into the topic');
done_testing();
