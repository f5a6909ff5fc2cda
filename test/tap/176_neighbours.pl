# Goal: what a user puts beside a continuous table and cannot take a row, such as an index on an
# expression that raises, stops that table alone: it says what is to be looked at, and goes on by
# itself when that is gone. A label of an enum that is renamed while messages come is one to the
# filters and conditions that use it, and so is a new attribute of a row type.
# Method: indexes that cannot take some rows are made and dropped under load; each table equals its
# own SELECT in the end.
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
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE TYPE pair AS (a int, b text);
CREATE FOREIGN TABLE readings (n int, m mood, long text, p pair) SERVER message_queue
  OPTIONS (topic 'readings');
CREATE FUNCTION inverse(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN 1000 / $1; END';
SQL
my %definition = (
    steady => 'SELECT count(*) AS n FROM %s',
    counted => 'SELECT n %% 10 AS rest, count(*) AS n FROM %s GROUP BY 1',
    kept => 'SELECT n, long FROM %s',
    pairs => 'SELECT n, p FROM %s',
    moods => q{SELECT n, m FROM %s WHERE m = 'sad'},
    mood_count => q{SELECT n %% 3 AS k, count(m) FILTER (WHERE m = 'sad') AS c FROM %s GROUP BY 1});
my @all = sort keys %definition;
my $sent = 0;

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub state_of { return "SELECT state FROM anomaly.table_status WHERE relid = '$_[0]'::regclass" }

sub error_of
{
    return sql("SELECT last_error FROM anomaly.table_status WHERE relid = '$_[0]'::regclass");
}

sql("CREATE TABLE $_ WITH (anomaly.continuous) AS " . sprintf($definition{$_}, 'readings'))
  for @all;

# The long texts do not compress.
sub send_readings
{
    my ($mood) = @_;
    my $long = join('', map { chr(65 + int(rand(26))) . int(rand(10)) } 1 .. 4000);
    my $line = qq{0\t\\N\t{"n": #, "m": "$mood", "long": "$long", "p": {"a": #, "c": #}}};
    $broker->produce(map { my $n = $_; $line =~ s/#/$n/gr } $sent + 1 .. $sent + 30);
    $sent += 30;
    return;
}

# ---- indexes that cannot take a row ----
sub stops
{
    my ($name, $make, $error, $drop) = @_;
    wait_for_messages($node, $_, $sent) for @all;
    sql($make);
    send_readings('sad');
    my @others = grep { $_ ne $name } @all;
    wait_for_messages($node, $_, $sent) for @others;
    wait_until($node, state_of($name), 'failing', "$make: its table is failing");
    is(sql(state_of($_)), 'running', "$_ runs") for @others;
    like(error_of($name), $error, 'it says why');
    sql($drop);
    wait_for_messages($node, $name, $sent);
    wait_until($node, state_of($name), 'running', "$drop: it runs");
    return;
}

stops('kept', 'CREATE INDEX ON kept (long)',
    qr/^index row size \d+ exceeds btree version 4 maximum 2704 for index "kept_long_idx"$/,
    'DROP INDEX kept_long_idx');
my $look = 'look also at what is computed for each row by its indexes';
stops('counted',
    'CREATE INDEX "Bro ken" ON counted (n) WHERE inverse(n - 6) > 0; CREATE INDEX ON counted (n)',
    qr/^division by zero: $look: "Bro ken"$/, 'DROP INDEX "Bro ken"');
send_readings('sad');
wait_for_messages($node, $_, $sent) for @all;

# ---- a label, and an attribute ----
sql(q{ALTER TYPE mood RENAME VALUE 'sad' TO 'low'});
my $before = $sent;
sql('ALTER TYPE pair ADD ATTRIBUTE c int');
send_readings('low');
wait_for_messages($node, $_, $sent) for @all;
same_rows($node, 'SELECT n, (p).a, (p).c FROM pairs',
    "SELECT n, n, CASE WHEN n > $before THEN n END FROM generate_series(1, $sent) n", 'pairs');
sql("CREATE TABLE plain AS SELECT n, 'low'::mood AS m FROM generate_series(1, $sent) n");
$definition{$_} =~ s/sad/low/ for @all;
same_rows($node, "SELECT * FROM $_", sprintf($definition{$_}, 'plain'), $_)
  for grep { !/kept|pairs/ } @all;
is(sql('SELECT count(*), count(DISTINCT n) FROM kept'), "$sent|$sent", 'kept');
is(sql('SELECT count(*) FROM anomaly.dead_letter'), '0', 'no message was blamed');
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
