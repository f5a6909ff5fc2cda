# Goal: a table whose definition has begun to raise an error stops alone: it shows why, the others
# of its stream go on, and it goes on by itself when it is mended, as if nothing had been.
# What its constants are folded by runs as its owner.
# Method: functions of a definition are replaced, or may not be called any more, under load.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', fsync => 'off');
my $broker = Broker->mock(topic => 'readings');
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE maker;
GRANT CREATE, USAGE ON SCHEMA public TO maker;
GRANT USAGE ON FOREIGN SERVER message_queue TO maker;
CREATE FOREIGN TABLE readings (n int, at timestamptz GENERATED ALWAYS AS (to_timestamp(n)) STORED)
  SERVER message_queue OPTIONS (topic 'readings', event_time 'at', idle_timeout '1 hour');
GRANT SELECT ON readings TO maker;
CREATE FUNCTION total(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE AGGREGATE add(int) (SFUNC = total, STYPE = bigint, INITCOND = '0');
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 2 * $1; END';
REVOKE EXECUTE ON FUNCTION add(int), twice(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add(int), twice(int) TO maker;
SET ROLE maker;
CREATE FUNCTION lowest(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN current_user; END';
CREATE FOREIGN TABLE told (n int, who text GENERATED ALWAYS AS (who()) STORED)
  SERVER message_queue OPTIONS (topic 'readings');
CREATE TABLE generated WITH (anomaly.continuous) AS SELECT n, who FROM told;
CREATE TABLE folded WITH (anomaly.continuous) AS SELECT n, who() FROM told;
SQL
my %definition = (
    steady => 'SELECT n FROM %s WHERE n > 0',
    folds => 'SELECT n FROM %s WHERE n > lowest(2)',
    calls => 'SELECT n, twice(n) FROM %s',
    adds => "SELECT n %% 2 AS odd, add(n) FROM %s GROUP BY 1");
for my $name (sort keys %definition)
{
    $node->safe_psql('postgres', "SET ROLE maker; CREATE TABLE $name WITH (anomaly.continuous) AS "
          . sprintf($definition{$name}, 'readings'));
}
my $pid = q{SELECT worker_pid FROM anomaly.stream_status WHERE stream = 'readings'::regclass};
my $sent = 0;

sub send_readings
{
    $broker->produce(map { qq{0\t\\N\t{"n": $_}} } $sent + 1 .. $sent + 100);
    $sent += 100;
    return;
}

sub state_of { return "SELECT state FROM anomaly.table_status WHERE relid = '$_[0]'::regclass" }

# It breaks; meanwhile the others read on. It is mended, and there it is again.
sub breaks
{
    my ($name, $break, $error, $mend) = @_;
    $node->safe_psql('postgres', $break);
    # Whatever was prepared is made anew.
    $node->safe_psql('postgres', q{SELECT anomaly.pause('readings')});
    wait_until($node, q{SELECT count(worker_pid) FROM anomaly.stream_status
        WHERE stream = 'readings'::regclass}, '0', 'paused');
    $node->safe_psql('postgres', q{SELECT anomaly.resume('readings')});
    return is_failing($name, $error, $mend);
}

sub is_failing
{
    my ($name, $error, $mend) = @_;
    send_readings();
    my @others = grep { $_ ne $name } sort keys %definition;
    wait_for_messages($node, $_, $sent) for @others;
    wait_until($node, state_of($name), 'failing', "$name is failing");
    is($node->safe_psql('postgres', state_of($_)), 'running', "$_ runs") for @others;
    like($node->safe_psql('postgres',
            "SELECT last_error FROM anomaly.table_status WHERE relid = '$name'::regclass"),
        $error, 'and says why');
    my $worker = $node->safe_psql('postgres', $pid);
    wait_until($node, "SELECT failures > 2 FROM anomaly.table_progress
        WHERE relid = '$name'::regclass", 't', 'it is tried again');
    is($node->safe_psql('postgres', $pid), $worker, 'by the same worker');
    $node->safe_psql('postgres', $mend);
    wait_until($node, state_of($name), 'running', 'it runs when that is mended');
    wait_for_messages($node, $name, $sent);
    return;
}

send_readings();
wait_for_messages($node, $_, $sent) for sort keys %definition;

my $function = 'CREATE OR REPLACE FUNCTION lowest(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS';
breaks('folds',
    "$function \$\$ BEGIN RAISE 'none for %, says %', \$1, current_user; END \$\$",
    qr/^none for 2, says maker$/, "$function 'BEGIN RETURN \$1; END'");
breaks('calls', 'REVOKE EXECUTE ON FUNCTION twice(int) FROM maker',
    qr/^permission denied for function twice$/, 'GRANT EXECUTE ON FUNCTION twice(int) TO maker');

# In the middle of the work, too.
my $worker = $node->safe_psql('postgres', $pid);
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION add(int) FROM maker');
is_failing('adds', qr/^permission denied for aggregate add$/,
    'GRANT EXECUTE ON FUNCTION add(int) TO maker');
is($node->safe_psql('postgres', $pid), $worker, 'without another start of the worker');
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION twice(int) FROM maker');
is_failing('calls', qr/^permission denied for function twice$/,
    'GRANT EXECUTE ON FUNCTION twice(int) TO maker');

send_readings();
wait_for_messages($node, $_, $sent) for sort keys %definition;
$node->safe_psql('postgres', "CREATE TABLE plain AS SELECT n FROM generate_series(1, $sent) n");
same_rows($node, "SELECT * FROM $_", sprintf($definition{$_}, 'plain'), $_)
  for sort keys %definition;
for my $name (qw(generated folded))
{
    wait_for_messages($node, $name, $sent);
    is($node->safe_psql('postgres', "SELECT DISTINCT who FROM $name"), 'maker',
        "$name: what is folded runs as its owner");
}
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
