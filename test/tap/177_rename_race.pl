# Goal: who renames what a definition names at the very moment when a worker loads it makes no table
# fail, not even for an instant.
# Method: one session renames a schema to and fro, another has the worker load anew all the while.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream goes_on);
use Broker;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $rounds = $ENV{ANOMALY_ROUNDS} // 1000;
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $node = cluster('main', fsync => 'off');
create_server($node, $broker->bootstrap);
create_stream($node);
$node->safe_psql('postgres', 'CREATE SCHEMA tools; CREATE FUNCTION tools.same(float8)'
      . ' RETURNS float8 LANGUAGE sql IMMUTABLE RETURN $1');
$node->safe_psql('postgres', "CREATE TABLE table_$_ WITH (anomaly.continuous) AS SELECT hostname,"
      . " window_start, sum(tools.same(usage)) FROM cpu_in, tumble(time_ltz, '30 seconds')"
      . ' GROUP BY 1, 2')
  for 1 .. 4;
$broker->start_generate(rate => 300, start_ms => 1_700_000_000_000, step_us => 50_000);
goes_on($node, 'table_1', 'it runs');

my $reload = "ALTER FOREIGN TABLE cpu_in OPTIONS (SET watermark_delay '%d seconds');\n"
  . "SELECT pg_sleep(0.003);\n";
my $script = join('', map { sprintf($reload, 10 + $_ % 2) } 1 .. 20 * $rounds);
my $loader = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr('postgres') ], '<', \$script,
    '>', '/dev/null');
my $session = Session->new($node);
my @names = qw(things tools);
$session->ask("ALTER SCHEMA $names[$_ % 2] RENAME TO $names[1 - $_ % 2];") for 1 .. $rounds;
$session->close;
$loader->kill_kill;

goes_on($node, 'table_1', 'it still runs');
unlike(slurp_file($node->logfile), qr/is failing|terminated by signal|TRAP/,
    'no table has failed, nothing has crashed');
is($broker->stop_generate, 0, 'the generator has delivered all');
$node->stop;
$broker->stop;
done_testing();
