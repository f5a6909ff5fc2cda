# Goal: a continuous table over a view, or with WITH queries, equals its own query; it stays what
# the view was at its creation, whatever becomes of the view, through a restart and a dump.
# Method: views over the stream and the same over a plain table, under load.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', fsync => 'off');
my $broker = Broker->mock(topic => 'readings');
create_server($node, $broker->bootstrap);
my $columns = 'n int, host text, at timestamptz';
$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE readings ($columns) SERVER message_queue
  OPTIONS (topic 'readings', event_time 'at', idle_timeout '1 hour');
CREATE TABLE plain ($columns);
SQL
for my $of (qw(readings plain))
{
    $node->safe_psql('postgres', <<"SQL");
CREATE VIEW few_$of AS SELECT n * 2 AS twice, upper(host) AS host, at FROM $of WHERE n % 3 <> 0;
CREATE VIEW fewer_$of (h, t, v) AS SELECT host, at, twice FROM few_$of WHERE twice % 5 <> 0;
SQL
}
my %definition = (
    chosen => 'SELECT host, twice FROM few_%1$s WHERE twice > 10',
    windowed => q{SELECT v.h, window_start, count(*), sum(v.v) AS total
        FROM fewer_%1$s v, tumble(v.t, interval '10 seconds') GROUP BY v.h, window_start},
    chained => q{WITH a AS (SELECT h, v + 1 AS v FROM fewer_%1$s),
        b AS (SELECT h || '.' AS h, v FROM a WHERE v %% 2 = 1)
        SELECT h, count(*), max(v) FROM b GROUP BY h});

$node->safe_psql('postgres',
    "CREATE TABLE $_ WITH (anomaly.continuous) AS " . sprintf($definition{$_}, 'readings'))
  for sort keys %definition;
my $sent = 0;

sub send_readings
{
    my @n = $sent + 1 .. $sent + 300;
    my @at = map { sprintf '2026-01-01 00:%02d:%02d+00', int($_ / 60), $_ % 60 } @n;
    my @host = map { 'h' . $_ % 4 } @n;
    $broker->produce(map {
        qq{0\t\\N\t{"n": $n[$_], "host": "$host[$_]", "at": "$at[$_]"}} } 0 .. $#n);
    $node->safe_psql('postgres', 'INSERT INTO plain VALUES '
          . join ', ', map { "($n[$_], '$host[$_]', '$at[$_]')" } 0 .. $#n);
    $sent += @n;
    wait_for_messages($node, $_, $sent) for sort keys %definition;
    same_rows($node, "SELECT * FROM $_", sprintf($definition{$_}, 'plain'), $_)
      for sort keys %definition;
    return;
}

send_readings();
$node->safe_psql('postgres',
    'CREATE OR REPLACE VIEW few_readings AS SELECT n AS twice, host, at FROM readings');
$node->restart;
send_readings();
$node->safe_psql('postgres', 'DROP VIEW fewer_readings, few_readings');
$node->restart;
send_readings();
unlike($node->safe_psql('postgres', 'SELECT definition FROM anomaly.continuous_table'),
    qr/FROM \S*few/, 'no definition names a view');
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
