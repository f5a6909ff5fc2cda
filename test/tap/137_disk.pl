# Goal: a table that cannot be written, since its disk does not let us, stops alone: visibly, at its
# position, the stream's others going on; when the disk is there again it catches up by itself.
# Method: a table in a tablespace whose directory nobody may enter for a while.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows worker_pids);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', fsync => 'off');
my $broker = Broker->mock(topic => 'readings');
create_server($node, $broker->bootstrap);
my $disk = PostgreSQL::Test::Utils::tempdir_short();
# Pages that are in memory need no disk; new ones do.
my $definition = "SELECT n, repeat('x', 1000) AS x FROM %s";
$node->safe_psql('postgres', "CREATE TABLESPACE disk LOCATION '$disk'");
$node->safe_psql('postgres', 'CREATE FOREIGN TABLE readings (n int) SERVER message_queue'
      . q{ OPTIONS (topic 'readings')});
my $query = sprintf($definition, 'readings');
$node->safe_psql('postgres', "CREATE TABLE here WITH (anomaly.continuous) AS $query;"
      . " CREATE TABLE there WITH (anomaly.continuous) TABLESPACE disk AS $query");
my $sent = 0;

sub produce
{
    $broker->produce(map { "0\t\\N\t{\"n\": $_}" } $sent + 1 .. $sent + 100);
    return $sent += 100;
}

sub state_is
{
    my ($table, $state, $name) = @_;
    return wait_until($node,
        "SELECT state FROM anomaly.table_status WHERE relid = '$table'::regclass", $state, $name);
}

produce();
wait_for_messages($node, $_, $sent) for qw(here there);
$node->safe_psql('postgres', 'CHECKPOINT');
chmod(0, $disk) or die "$disk: $!";
# Files that a process has open stay open.
kill('TERM', worker_pids($node, 'stream worker'));
produce();
wait_for_messages($node, 'here', $sent);
state_is('there', 'failing', 'the table has stopped');
like($node->safe_psql('postgres', q{SELECT last_error FROM anomaly.table_status
    WHERE relid = 'there'::regclass}), qr/could not open file .*: Permission denied/,
    'and says why');
state_is('here', 'running', 'the other one has not');
produce();
wait_for_messages($node, 'here', $sent);
is($node->safe_psql('postgres', q{SELECT next_offsets FROM anomaly.table_progress
    WHERE relid = 'there'::regclass}), '{100}', 'it stays at its position');

chmod(0700, $disk) or die "$disk: $!";
wait_for_messages($node, 'there', $sent);
state_is('there', 'running', 'it runs again');
$node->safe_psql('postgres', "CREATE TABLE plain AS SELECT * FROM generate_series(1, $sent) n");
same_rows($node, "SELECT * FROM $_", sprintf($definition, 'plain'), $_) for qw(here there);
$broker->stop;
$node->stop;
done_testing();
