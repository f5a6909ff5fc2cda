# Goal: who may no longer read a stream gets nothing more of it: the table alone stops, says which
# right is missing and whose, takes in no message committed after the REVOKE, and goes on after the
# GRANT with nothing lost. Rights on single columns, through groups and through views count as in
# any query.
# Method: rights are taken and given while messages come, and while none come; the tables equal
# their own SELECT in the end.
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
CREATE ROLE picker;
CREATE ROLE member;
CREATE ROLE readers;
CREATE ROLE viewer;
CREATE ROLE shower;
CREATE ROLE stranger;
GRANT readers TO member;
GRANT CREATE ON SCHEMA public TO maker, picker, member, viewer, shower, stranger;
CREATE FOREIGN TABLE readings (n int, twice int GENERATED ALWAYS AS (2 * n) STORED)
  SERVER message_queue OPTIONS (topic 'readings');
GRANT SELECT ON readings TO maker, readers, shower;
GRANT SELECT (n) ON readings TO picker;
SET ROLE shower;
CREATE VIEW evens AS SELECT n FROM readings WHERE n % 2 = 0;
GRANT SELECT ON evens TO viewer;
CREATE VIEW invoked WITH (security_invoker) AS SELECT n FROM readings;
GRANT SELECT ON invoked TO readers;
RESET ROLE;
SQL

# By the role that makes and so owns it.
my %definition = (
    steady => 'SELECT count(*) AS n FROM %s',
    made => 'SELECT n % 10 AS rest, count(*) AS n, sum(twice) AS s FROM %s GROUP BY 1',
    picked => 'SELECT n FROM %s WHERE n % 3 = 0',
    membered => 'SELECT twice FROM %s',
    viewed => 'SELECT n FROM %s WHERE n % 2 = 0',
    invoked_by => 'SELECT n FROM %s');
my %source = (viewed => 'evens', invoked_by => 'invoked');
my %owner = (
    made => 'maker',
    picked => 'picker',
    membered => 'member',
    viewed => 'viewer',
    invoked_by => 'member');
my @all = sort keys %definition;
my $sent = 0;

sub sql { return $node->safe_psql('postgres', $_[0]) }

for my $name (@all)
{
    sql('SET ROLE ' . ($owner{$name} // 'none')
          . "; CREATE TABLE $name WITH (anomaly.continuous) AS "
          . ($definition{$name} =~ s/%s/$source{$name} \/\/ 'readings'/er));
}
my (undef, undef, $refused) = $node->psql('postgres',
    'SET ROLE picker; CREATE TABLE no WITH (anomaly.continuous) AS SELECT twice FROM readings');
like($refused, qr/permission denied for foreign table readings/,
    'a column without the right to it is refused');

sub send_readings
{
    $broker->produce(map { qq{0\t\\N\t{"n": $_}} } $sent + 1 .. $sent + 100);
    $sent += 100;
    return;
}

sub state_of { return "SELECT state FROM anomaly.table_status WHERE relid = '$_[0]'::regclass" }

sub says
{
    my ($name, $what, $role, $how) = @_;
    return is(sql("SELECT last_error FROM anomaly.table_status WHERE relid = '$name'::regclass"),
        "permission denied for $what: grant SELECT on it to role \"$role\", as whom it is read",
        "$how: it says what is missing, and to whom");
}

# One that nothing comes in for stops when the right is taken, too.
sub stops
{
    my ($name, $break, $what, $role, $mend) = @_;
    wait_for_messages($node, $_, $sent) for @all;
    wait_until($node, state_of($name), 'running', "$name runs");
    my $rows = sql("SELECT count(*) FROM $name");
    my $pid = sql('SELECT worker_pid FROM anomaly.stream_status');
    sql($break);
    wait_until($node, state_of($name), 'failing', "$break: $name is failing");
    says($name, $what, $role, $break);
    send_readings();
    my @others = grep { $_ ne $name } @all;
    wait_for_messages($node, $_, $sent) for @others;
    is(sql(state_of($_)), 'running', "$_ runs") for @others;
    is(sql("SELECT count(*) FROM $name"), $rows, 'it has taken in nothing');
    sql($mend);
    wait_for_messages($node, $name, $sent);
    wait_until($node, state_of($name), 'running', "$mend: it runs");
    is(sql('SELECT worker_pid FROM anomaly.stream_status'), $pid, 'in the same process');
    return;
}

send_readings();
my $readings = 'foreign table readings';
wait_for_messages($node, $_, $sent) for @all;
for my $round (1 .. 5)
{
    sql('REVOKE SELECT ON readings FROM maker');
    wait_until($node, state_of('made'), 'failing', 'without any message: made is failing');
    sql('GRANT SELECT ON readings TO maker');
    wait_until($node, state_of('made'), 'running', 'and runs again');
}
stops('made', 'REVOKE SELECT ON readings FROM maker', $readings, 'maker',
    'GRANT SELECT ON readings TO maker');
stops('picked', 'REVOKE SELECT (n) ON readings FROM picker', $readings, 'picker',
    'GRANT SELECT (n) ON readings TO picker');
stops('made', 'REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM maker', $readings, 'maker',
    'GRANT SELECT ON ALL TABLES IN SCHEMA public TO maker');
stops('viewed', 'REVOKE SELECT ON evens FROM viewer', 'view evens', 'viewer',
    'SET ROLE shower; GRANT SELECT ON evens TO viewer');
stops('viewed', 'REVOKE SELECT ON readings FROM shower', $readings, 'shower',
    'GRANT SELECT ON readings TO shower');
stops('made', 'ALTER FOREIGN TABLE readings OWNER TO stranger; REVOKE ALL ON readings FROM maker',
    $readings, 'maker', 'GRANT SELECT ON readings TO maker');
sql('ALTER FOREIGN TABLE readings OWNER TO current_user; GRANT SELECT ON readings TO shower');
send_readings();
wait_for_messages($node, $_, $sent) for @all;

# ---- what only the next commit tells ----
sub next_commit_stops
{
    my ($break, $missing, $mend) = @_;
    my @stopped = sort keys %$missing;
    my %count = map { $_ => sql("SELECT count(*) FROM $_") } @stopped;
    $break->();
    send_readings();
    for my $name (@stopped)
    {
        wait_until($node, state_of($name), 'failing', "$name is failing");
        says($name, @{ $missing->{$name} }, $name);
        is(sql("SELECT count(*) FROM $name"), $count{$name}, 'nothing more came to it');
    }
    $mend->();
    wait_for_messages($node, $_, $sent) for @all;
    return;
}

# Roles are known in all databases.
sql('CREATE DATABASE elsewhere');
next_commit_stops(
    sub { $node->safe_psql('elsewhere', 'REVOKE readers FROM member') },
    { membered => [ $readings, 'member' ], invoked_by => [ 'view invoked', 'member' ] },
    sub { $node->safe_psql('elsewhere', 'GRANT readers TO member') });
next_commit_stops(
    sub { sql('ALTER VIEW evens OWNER TO stranger') },
    { viewed => [ $readings, 'stranger' ] },
    sub { sql('ALTER VIEW evens OWNER TO shower') });
next_commit_stops(
    sub { sql('ALTER TABLE made OWNER TO stranger') },
    { made => [ $readings, 'stranger' ] },
    sub { sql('GRANT SELECT ON readings TO stranger') });

# ---- a view that is gone ----
sql('DROP VIEW evens');
send_readings();
wait_for_messages($node, $_, $sent) for @all;
sql("CREATE TABLE plain AS SELECT n, 2 * n AS twice FROM generate_series(1, $sent) n");
same_rows($node, "SELECT * FROM $_", $definition{$_} =~ s/%s/plain/r, $_) for @all;
is(sql('SELECT count(*) FROM anomaly.dead_letter'), '0', 'no message was blamed');
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
