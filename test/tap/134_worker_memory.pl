# Goal: the memory of a stream's worker does not grow with the changes that it follows.
# Method: tables come and go, under load, beside rules, a table whose trigger raises and one whose
# function may not be called; the worker's own account of its memory before and after.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', fsync => 'off');
my $broker = Broker->mock(topic => 'readings', partitions => 2);
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE maker;
GRANT CREATE, USAGE ON SCHEMA public TO maker;
GRANT USAGE ON FOREIGN SERVER message_queue TO maker;
SET ROLE maker;
CREATE FOREIGN TABLE readings (n int, host text,
    at timestamptz GENERATED ALWAYS AS (to_timestamp(n)) STORED)
  SERVER message_queue OPTIONS (topic 'readings', event_time 'at');
RESET ROLE;
CREATE FUNCTION thrice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 3 * $1; END';
SET ROLE maker;
CREATE TABLE steady WITH (anomaly.continuous, anomaly.retention = '1 hour') AS
  SELECT host, window_start, count(*) AS c, array_agg(n) AS a, sum(n::numeric) AS s
  FROM readings, tumble(at, interval '10 seconds') GROUP BY 1, 2;
CREATE TABLE calls WITH (anomaly.continuous) AS SELECT n, thrice(n) FROM readings;
CREATE TABLE raises WITH (anomaly.continuous) AS
  SELECT host, (n % 9)::numeric AS k, count(*) FROM readings GROUP BY 1, 2;
CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE $$no$$; END';
CREATE TRIGGER no AFTER INSERT ON raises FOR EACH STATEMENT EXECUTE FUNCTION no();
CREATE FUNCTION few(s steady) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT s.c < 3';
RESET ROLE;
SELECT anomaly.create_rule('few', 'steady', 'few');
REVOKE EXECUTE ON FUNCTION thrice(int) FROM PUBLIC;
SQL
my $pid = q{SELECT worker_pid FROM anomaly.stream_status WHERE stream = 'readings'::regclass};
my $sent = 0;

# A new table makes the worker load everything again.
sub change
{
    my ($times) = @_;
    for my $i (1 .. $times)
    {
        $node->safe_psql('postgres', <<'SQL');
DROP TABLE IF EXISTS passing;
CREATE TABLE passing WITH (anomaly.continuous) AS SELECT host, max(n) FROM readings GROUP BY 1;
SQL
        $broker->produce(
            map { sprintf qq{%d\t\\N\t{"n": %d, "host": "h"}}, $_ % 2, $_ }
              $sent + 1 .. $sent + 50);
        $sent += 50;
        wait_for_messages($node, $_, $sent) for qw(steady passing);
    }
    return;
}

sub used_bytes
{
    my $start = -s $node->logfile;
    my $worker = $node->safe_psql('postgres', $pid);
    $node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($worker)");
    my $total = qr/\[$worker\].*Grand total: .* (\d+) used/;
    $node->wait_for_log($total, $start);
    return substr(slurp_file($node->logfile), $start) =~ $total ? $1 : undef;
}

change(6);
my $worker = $node->safe_psql('postgres', $pid);
my $before = used_bytes();
change(25);
my $after = used_bytes();
is($node->safe_psql('postgres', $pid), $worker, 'one worker has seen it all');
is($node->safe_psql('postgres', q{SELECT string_agg(state, ' ' ORDER BY relid::text)
    FROM anomaly.table_status WHERE relid::text IN ('calls', 'raises')}), 'failing failing',
    'with two tables that fail');
note("$before bytes before, $after after");
cmp_ok($after, '<', $before + 1024 * 1024, 'its memory has not grown');
done_testing();
