# Goal: what an administrator does to a continuous table and to what its query uses goes through
# while messages come, and changes nothing about its rows.
# Method: one statement after the other under load, after each of which the table goes on; then a
# worker that reads everything anew; in the end the tables are compared with their own SELECT.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream wait_until wait_for_messages same_rows consume
  load_plain);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', fsync => 'off', 'anomaly.commit_interval' => '20ms');
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
create_server($node, $broker->bootstrap);
create_stream($node);
my $disk = PostgreSQL::Test::Utils::tempdir_short();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql("CREATE TABLESPACE disk LOCATION '$disk'");
sql(<<'SQL');
CREATE ROLE keeper;
CREATE ROLE reader;
CREATE SCHEMA tools;
GRANT USAGE ON SCHEMA tools TO keeper;
GRANT SELECT ON cpu_in TO keeper;
CREATE TYPE tools.level AS ENUM ('low', 'high');
CREATE FUNCTION tools.level_of(float8) RETURNS tools.level LANGUAGE sql IMMUTABLE
  RETURN CASE WHEN $1 > 90 THEN 'high'::tools.level ELSE 'low'::tools.level END;
SQL
my %definition = (
    loads => 'SELECT hostname, cpu, window_start, window_end, count(*) AS n, max(usage) AS top'
      . " FROM %s, tumble(time_ltz, interval '10 seconds')"
      . ' GROUP BY hostname, cpu, window_start, window_end',
    levels => q{SELECT tools.level_of(usage) = 'high' AS l, count(*) AS n FROM %s}
      . " WHERE tools.level_of(usage) > 'low' GROUP BY 1");
sql("CREATE TABLE $_ WITH (anomaly.continuous) AS " . sprintf($definition{$_}, 'cpu_in'))
  for sort keys %definition;

# A commit of each table that began after the call.
sub goes_on
{
    my ($name) = @_;
    my $after = 'anomaly.table_progress JOIN (VALUES '
      . join(', ', split /\n/, sql(q{SELECT format('(%s, %s)', relid::oid, sequence)
          FROM anomaly.table_progress})) . ') v (r, s) ON r = relid::oid';
    return wait_until($node, "SELECT bool_and(sequence > s + 1) FROM $after", 't', $name);
}

$broker->start_generate(rate => 500, start_ms => 1_700_000_000_000, step_us => 20_000);
goes_on('tables are fed');
my @statements = split /\n/, <<'SQL';
VACUUM (FULL, ANALYZE) loads
CLUSTER loads USING loads_hostname_cpu_window_start_window_end_idx
REINDEX TABLE CONCURRENTLY loads
CREATE INDEX CONCURRENTLY ON loads (window_end) INCLUDE (top)
ALTER TABLE loads SET TABLESPACE disk
ALTER INDEX loads_hostname_cpu_window_start_window_end_idx RENAME TO loads_key
ALTER TABLE loads ALTER COLUMN top SET STATISTICS 500, ALTER COLUMN hostname SET STORAGE MAIN
ALTER TABLE loads SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0)
ALTER TABLE loads ENABLE ROW LEVEL SECURITY
CREATE POLICY own ON loads TO reader USING (hostname = current_user)
ALTER TABLE loads OWNER TO keeper
REASSIGN OWNED BY keeper TO CURRENT_USER
ALTER TABLE loads REPLICA IDENTITY FULL
CREATE PUBLICATION everything FOR ALL TABLES
CREATE STATISTICS pairs ON hostname, cpu FROM loads
ALTER FUNCTION tools.level_of(float8) RENAME TO grade
ALTER TYPE tools.level RENAME VALUE 'low' TO 'fine'
ALTER TYPE tools.level RENAME TO grade
ALTER SCHEMA tools RENAME TO things
ALTER FUNCTION tumble(timestamptz, interval, interval) RENAME TO tumbling
ALTER SCHEMA public RENAME TO open
ALTER SERVER message_queue RENAME TO queue
DROP PUBLICATION everything
SQL
for my $statement (@statements)
{
    sql($statement);
    goes_on($statement);
}
$node->restart;
sql('ALTER SCHEMA open RENAME TO public');
goes_on('a worker that reads all anew goes on');
is($broker->stop_generate, 0, 'the generator has delivered all');

my $file = PostgreSQL::Test::Utils::tempdir() . '/all';
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($node, 'plain', $file);
wait_for_messages($node, $_, sql('SELECT count(*) FROM plain')) for sort keys %definition;
$definition{levels} =~ s/tools\.level_of/things.grade/g;
$definition{levels} =~ s/low/fine/;
$definition{loads} =~ s/tumble/tumbling/;
same_rows($node, "SELECT * FROM $_", sprintf($definition{$_}, 'plain'), $_)
  for sort keys %definition;
is(sql('SELECT count(*) FROM anomaly.late_row'), '0', 'nothing was late');
is(sql('SELECT count(*) FROM anomaly.dead_letter'), '0', 'nothing was bad');
unlike(slurp_file($node->logfile), qr/is failing|PANIC|terminated by signal|TRAP/,
    'no table has failed, nothing has crashed');
$broker->stop;
$node->stop;
done_testing();
