# Goal: a table whose definition has begun to raise an error stops alone: it shows why, the others
# of its stream go on, and it goes on by itself when it is mended, as if nothing had been; a stream
# whose own column is broken does the same. What its constants are folded by runs as its owner.
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
CREATE FUNCTION half(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 / 2; END';
CREATE FUNCTION spelt(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
REVOKE EXECUTE ON FUNCTION add(int), twice(int), half(int), spelt(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add(int), twice(int), half(int), spelt(int) TO maker;
-- A type of its own, with a hash function that can be broken.
CREATE TYPE word;
CREATE FUNCTION word_in(cstring) RETURNS word LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION word_out(word) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE word (INPUT = word_in, OUTPUT = word_out, LIKE = text);
CREATE CAST (text AS word) WITHOUT FUNCTION;
CREATE CAST (word AS text) WITHOUT FUNCTION;
CREATE FUNCTION word_lt(word, word) RETURNS boolean LANGUAGE sql IMMUTABLE
  AS 'SELECT $1::text COLLATE "C" < $2::text';
CREATE FUNCTION word_le(word, word) RETURNS boolean LANGUAGE sql IMMUTABLE
  AS 'SELECT $1::text COLLATE "C" <= $2::text';
CREATE FUNCTION word_eq(word, word) RETURNS boolean LANGUAGE sql IMMUTABLE
  AS 'SELECT $1::text COLLATE "C" = $2::text';
CREATE FUNCTION word_ge(word, word) RETURNS boolean LANGUAGE sql IMMUTABLE
  AS 'SELECT $1::text COLLATE "C" >= $2::text';
CREATE FUNCTION word_gt(word, word) RETURNS boolean LANGUAGE sql IMMUTABLE
  AS 'SELECT $1::text COLLATE "C" > $2::text';
CREATE FUNCTION word_cmp(word, word) RETURNS int LANGUAGE sql IMMUTABLE
  AS 'SELECT pg_catalog.bttextcmp($1::text COLLATE "C", $2::text)';
CREATE FUNCTION word_hash(word) RETURNS int LANGUAGE plpgsql IMMUTABLE
  AS 'BEGIN RETURN hashtext($1::text COLLATE "C"); END';
CREATE OPERATOR < (LEFTARG = word, RIGHTARG = word, FUNCTION = word_lt);
CREATE OPERATOR <= (LEFTARG = word, RIGHTARG = word, FUNCTION = word_le);
CREATE OPERATOR = (LEFTARG = word, RIGHTARG = word, FUNCTION = word_eq, HASHES, MERGES);
CREATE OPERATOR >= (LEFTARG = word, RIGHTARG = word, FUNCTION = word_ge);
CREATE OPERATOR > (LEFTARG = word, RIGHTARG = word, FUNCTION = word_gt);
CREATE OPERATOR CLASS word_order DEFAULT FOR TYPE word USING btree AS OPERATOR 1 <, OPERATOR 2 <=,
  OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 word_cmp(word, word);
CREATE OPERATOR CLASS word_hashes DEFAULT FOR TYPE word USING hash AS OPERATOR 1 =,
  FUNCTION 1 word_hash(word);
SET ROLE maker;
CREATE FUNCTION lowest(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN current_user; END';
CREATE FOREIGN TABLE told (n int, who text GENERATED ALWAYS AS (who()) STORED,
    spelt text GENERATED ALWAYS AS (spelt(n)) STORED)
  SERVER message_queue OPTIONS (topic 'readings');
CREATE TABLE generated WITH (anomaly.continuous) AS SELECT n, who FROM told;
CREATE TABLE folded WITH (anomaly.continuous) AS SELECT n, who() FROM told;
SQL
my %definition = (
    steady => 'SELECT n FROM %s WHERE n > 0',
    folds => 'SELECT n FROM %s WHERE n > lowest(2)',
    calls => 'SELECT n, twice(n) FROM %s',
    adds => "SELECT n %% 2 AS odd, add(n) FROM %s GROUP BY 1",
    halves => 'SELECT half(n) AS half, count(*) FROM %s WHERE half(n) > 3 GROUP BY 1',
    names => "SELECT (n %% 7)::text::word AS name, count(*) FROM %s GROUP BY 1");
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
# Mended under another name.
breaks('folds', "$function 'BEGIN RAISE \$\$none again\$\$; END'", qr/^none again$/,
    'ALTER FUNCTION lowest(int) RENAME TO least_of; '
      . ($function =~ s/lowest/least_of/r) . " 'BEGIN RETURN \$1; END'");
$definition{folds} =~ s/lowest/least_of/;
breaks('calls', 'REVOKE EXECUTE ON FUNCTION twice(int) FROM maker',
    qr/^permission denied for function twice$/, 'GRANT EXECUTE ON FUNCTION twice(int) TO maker');

# In the middle of the work, too.
my $worker = $node->safe_psql('postgres', $pid);
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION add(int) FROM maker');
is_failing('adds', qr/^permission denied for aggregate add$/,
    'GRANT EXECUTE ON FUNCTION add(int) TO maker');
for (['calls', 'twice'], ['halves', 'half'])
{
    my ($name, $called) = @$_;
    $node->safe_psql('postgres', "REVOKE EXECUTE ON FUNCTION $called(int) FROM maker");
    is_failing($name, qr/^permission denied for function $called$/,
        "GRANT EXECUTE ON FUNCTION $called(int) TO maker");
}
is($node->safe_psql('postgres', $pid), $worker, 'without another start of the worker');

# When its groups are to be known again.
my $hash = 'CREATE OR REPLACE FUNCTION word_hash(word) RETURNS int LANGUAGE plpgsql IMMUTABLE AS';
breaks('names', "$hash \$\$ BEGIN RAISE 'no hash today'; END \$\$", qr/^no hash today$/,
    "$hash 'BEGIN RETURN hashtext(\$1::text COLLATE \"C\"); END'");

# A stream's own column: as a whole, with nothing lost.
sub stream_breaks
{
    my ($break, $error, $mend) = @_;
    $node->safe_psql('postgres', $break);
    send_readings();
    wait_for_messages($node, 'steady', $sent);
    my $told = q{FROM anomaly.stream_status WHERE stream = 'told'::regclass};
    wait_until($node, "SELECT state, last_error ~ '$error', worker_pid <> 0 $told", 'failing|t|t',
        "a stream that cannot be loaded says: $error");
    my $loader = $node->safe_psql('postgres', "SELECT worker_pid $told");
    my $log = length slurp_file($node->logfile);
    $node->safe_psql('postgres', $mend);
    wait_for_messages($node, $_, $sent) for qw(generated folded);
    is($node->safe_psql('postgres', "SELECT state, worker_pid $told"), "running|$loader",
        'it goes on when that is mended, in the same process');
    unlike(substr(slurp_file($node->logfile), $log), qr/one at a time/, 'no message is suspected');
    return;
}

my $who = 'CREATE OR REPLACE FUNCTION who() RETURNS text LANGUAGE plpgsql IMMUTABLE AS';
$node->safe_psql('postgres', q{SELECT anomaly.pause('told')});
wait_until($node, q{SELECT count(worker_pid) FROM anomaly.stream_status
    WHERE stream = 'told'::regclass}, '0', 'paused');
stream_breaks("$who 'BEGIN RAISE \$\$nobody\$\$; END'; SELECT anomaly.resume('told')",
    'nobody', "$who 'BEGIN RETURN current_user; END'");
stream_breaks('REVOKE EXECUTE ON FUNCTION spelt(int) FROM maker',
    'permission denied for function spelt', 'GRANT EXECUTE ON FUNCTION spelt(int) TO maker');

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
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.dead_letter'), '0',
    'no message was blamed');
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
