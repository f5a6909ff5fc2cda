# Goal: what is inserted into a stream becomes visible to readers of committed messages with our
# commit, all of it, and nothing of what was rolled back, a savepoint too; a broker that dies in
# between makes our transaction fail, and the session goes on when it is back.
# Method: a real Kafka, read by kcat as read_committed and, to see that there was something to hide,
# as read_uncommitted; a mock cluster for delivery plain.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until same_rows);
use Broker;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = cluster('sink', max_prepared_transactions => 5);
my $broker = Broker->kafka(topic => 'big', partitions => 2);
$broker->topic($_, 2) for qw(small typed);
$node->safe_psql('postgres', 'CREATE SERVER message_queue FOREIGN DATA WRAPPER anomaly_kafka'
      . " OPTIONS (bootstrap_servers '" . $broker->bootstrap . "', message_timeout_ms '2000')");

sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text) }

# The error of a script, which must fail.
sub error_of
{
    my ($text) = @_;
    my ($rc, $out, $err) =
      $node->psql('postgres', $text, on_error_stop => 1, extra_params => ['-q']);
    isnt($rc, 0, "fails: " . substr($text, 0, 60));
    return $err;
}

# The messages of a topic, sorted.
sub seen
{
    my ($topic, $level, $format) = @_;
    my @command = ('kcat', '-b', $broker->bootstrap, '-C', '-t', $topic, '-o', 'beginning', '-e',
        '-q', '-X', 'isolation.level=' . ($level // 'read_committed'), '-f', $format // '%s\n');
    my ($out, $err) = ('', '');
    IPC::Run::run(\@command, '>', \$out, '2>', \$err) or die "@command: $err";
    my @lines = sort split /\n/, $out;
    return @lines;
}

sub numbers { return join(' ', sort { $a <=> $b } map { /(\d+)/ ? $1 : () } seen(@_)) }

# The broker answers a commit before it has marked the messages: a reader may have to look again.
sub comes_to
{
    my ($get, $want, $name) = @_;
    my $got = '';
    for (1 .. 100) { $got = $get->(); last if $got eq $want; }
    return is($got, $want, $name);
}

sql("CREATE FOREIGN TABLE $_ (n int) SERVER message_queue OPTIONS (topic '$_')") for qw(big small);

# ---- many rows ----
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe("SET anomaly.sink_buffer = '64kB'; BEGIN;"
      . ' INSERT INTO big SELECT generate_series(1, 100000);');
my @sent;
for (1 .. 100) { @sent = seen('big', 'read_uncommitted'); last if @sent >= 90000; }
cmp_ok(scalar(@sent), '>=', 90000, 'a large transaction sends before its commit');
$session->query_safe('ROLLBACK;');
is(scalar(my @none = seen('big')), 0, 'rolled back, a reader of committed messages sees none');
sql('INSERT INTO big SELECT generate_series(1, 100000)');
my @all;
for (1 .. 100) { @all = seen('big'); last if @all >= 100000; }
is(scalar(@all), 100000, 'of a transaction that commits it sees all');
is((sort { length($a) <=> length($b) || $a cmp $b } @all)[0], '{"n":1}', 'as JSON');
is(sql('SELECT count(*), count(DISTINCT n), sum(n) FROM big'), '100000|100000|5000050000',
    'and so does a SELECT');

# ---- savepoints ----
sql(<<'SQL');
BEGIN;
INSERT INTO small VALUES (1);
SAVEPOINT a;
INSERT INTO small VALUES (2);
ROLLBACK TO a;
INSERT INTO small VALUES (3);
SAVEPOINT b;
INSERT INTO small VALUES (4);
SAVEPOINT c;
INSERT INTO small VALUES (5);
RELEASE c;
ROLLBACK TO b;
SAVEPOINT d;
INSERT INTO small VALUES (6);
RELEASE d;
COMMIT;
DO $$ BEGIN
    FOR i IN 10 .. 19 LOOP
        BEGIN
            INSERT INTO small VALUES (i);
            IF i % 2 = 0 THEN PERFORM 1 / 0; END IF;
        EXCEPTION WHEN division_by_zero THEN NULL; END;
    END LOOP;
END $$;
BEGIN;
INSERT INTO small VALUES (20);
ROLLBACK;
SQL
comes_to(sub { numbers('small') }, '1 3 6 11 13 15 17 19',
    'nothing of a savepoint that was rolled back');
comes_to(sub { numbers('small', 'read_uncommitted') }, '1 3 6 11 13 15 17 19',
    'it was not even sent');

# ---- what is not possible says so ----
like(error_of('UPDATE small SET n = 1'), qr/ERROR:  cannot update stream "small"/, 'UPDATE');
like(error_of('DELETE FROM small'), qr/ERROR:  cannot delete from stream "small"/, 'DELETE');
like(error_of('INSERT INTO small VALUES (1) ON CONFLICT DO NOTHING'), qr/ON CONFLICT/, 'conflicts');
like(error_of("BEGIN; INSERT INTO small VALUES (30); PREPARE TRANSACTION 'p'"),
    qr/ERROR:  cannot PREPARE a transaction that has written to a stream/, 'PREPARE TRANSACTION');
sql("BEGIN; SELECT 1; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'");
sql("CREATE SERVER other FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers '"
      . $broker->bootstrap . "'); CREATE FOREIGN TABLE elsewhere (n int) SERVER other OPTIONS"
      . " (topic 'small')");
like(error_of('BEGIN; INSERT INTO small VALUES (31); INSERT INTO elsewhere VALUES (32); COMMIT'),
    qr/ERROR:  cannot write to streams of several servers/, 'two servers');
comes_to(sub { numbers('small') }, '1 3 6 11 13 15 17 19',
    'and leaves nothing');

# ---- COPY, metadata, and what a row may be ----
sql(<<'SQL');
CREATE FOREIGN TABLE typed (
    a int NOT NULL, host text OPTIONS (path '$.tags."host name"'),
    load float8 OPTIONS (path '$.tags.load'),
    twice int GENERATED ALWAYS AS (a * 2) STORED,
    k text OPTIONS (metadata 'key'), p int OPTIONS (metadata 'partition'),
    o bigint OPTIONS (metadata 'offset'), t timestamptz OPTIONS (metadata 'timestamp'))
    SERVER message_queue OPTIONS (topic 'typed');
COPY typed (a, host, load, k, p, t) FROM stdin;
1	h"1	0.5	key	1	2026-01-31 12:00:00.123+00
2	\N	\N	\N	0	2026-01-31 12:00:01+00
\.
SQL
comes_to(sub { join(' ', seen('typed', undef, '%p %k %T %s\n')) },
    '0  1769860801000 {"a":2,"tags":{"host name":null,"load":null}}'
      . ' 1 key 1769860800123 {"a":1,"tags":{"host name":"h\"1","load":0.5}}',
    'COPY FROM, paths and metadata columns');
is(sql('SELECT a, host, load, twice, k, p, t FROM typed ORDER BY a'),
    "1|h\"1|0.5|2|key|1|2026-01-31 12:00:00.123+00\n2|||4||0|2026-01-31 12:00:01+00",
    'and back');
is(sql('INSERT INTO typed (a, k) VALUES (3, \'x\') RETURNING a, twice'), '3|6', 'RETURNING');
like(error_of('INSERT INTO typed (host) VALUES (1)'), qr/null value in column "a"/, 'NOT NULL');
like(error_of('INSERT INTO typed (a, o) VALUES (1, 1)'), qr/cannot write column "o"/, 'an offset');
like(error_of('INSERT INTO typed (a, p) VALUES (1, 77)'), qr/Unknown partition/,
    'no such partition');
sql('CREATE TABLE parent (n int) PARTITION BY LIST (n); CREATE TABLE p1 PARTITION OF parent FOR'
      . ' VALUES IN (1); CREATE FOREIGN TABLE p2 PARTITION OF parent DEFAULT SERVER message_queue'
      . " OPTIONS (topic 'small'); INSERT INTO parent VALUES (1), (40); CREATE VIEW over AS SELECT"
      . ' n FROM small WHERE n < 100 WITH CHECK OPTION; INSERT INTO over VALUES (41)');
like(error_of('INSERT INTO over VALUES (500)'), qr/check option/, 'the check option of a view');
comes_to(sub { numbers('small') }, '1 3 6 11 13 15 17 19 40 41',
    'routed rows and those through a view');

# ---- a serialization failure comes before Kafka's commit ----
sql('CREATE TABLE skew (n int); INSERT INTO skew VALUES (1), (2)');
my $one = $node->background_psql('postgres', on_error_stop => 0);
my $two = $node->background_psql('postgres', on_error_stop => 0);
my $number = 50;
for my $session ($one, $two)
{
    $number++;
    $session->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(n) FROM skew;'
          . " INSERT INTO skew VALUES ($number); INSERT INTO small VALUES ($number);");
}
$one->query('COMMIT;');
$two->query('COMMIT;');
$_->quit for $one, $two;
my $kept = sql('SELECT string_agg(n::text, \' \' ORDER BY n) FROM skew WHERE n > 50');
is($kept, '51', 'one of two fails');
comes_to(sub { numbers('small') }, '1 3 6 11 13 15 17 19 40 41 51',
    'and the same one is missing in the topic');

# ---- the broker dies in between ----
sql('CREATE TABLE beside (n int)');
$session->query_safe('BEGIN; INSERT INTO beside VALUES (1); INSERT INTO small VALUES (60);');
$broker->kill;
my $begin = time();
$session->query('COMMIT;');
cmp_ok(time() - $begin, '<', 15, 'COMMIT does not wait for ever for a dead broker');
is(sql('SELECT count(*) FROM beside'), '0', 'and does not commit');
my $waiting = "FROM pg_stat_activity WHERE state = 'active' AND wait_event_type = 'Extension'"
  . " AND backend_type = 'client backend'";
$session->query_until(qr/begun/, "\\echo begun\nINSERT INTO small VALUES (61);\n");
wait_until($node, "SELECT count(*) $waiting", '1', 'a statement waits for the broker');
$begin = time();
sql("SELECT pg_cancel_backend(pid) $waiting");
$session->query('SELECT 1;');
cmp_ok(time() - $begin, '<', 1, 'and can be cancelled');
like(slurp_file($node->logfile), qr/ERROR:  canceling statement due to user request/, 'it was');
like(error_of('INSERT INTO small VALUES (62)'), qr/ERROR:  could not write to Kafka/, 'an error');
$broker->start;
my $tries = 0;
$tries++ while $tries < 50 && $node->psql('postgres', 'INSERT INTO small VALUES (63)');
cmp_ok($tries, '<', 50, 'a new session succeeds');
$session->query('INSERT INTO small VALUES (64);');
comes_to(sub { numbers('small') }, '1 3 6 11 13 15 17 19 40 41 51 63 64',
    'nothing of those that failed');

# ---- a session that ends in a Kafka transaction ----
$session->query("BEGIN;"
      . ' INSERT INTO big SELECT generate_series(200001, 250000);');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'");
wait_until($node,
    "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'", '0',
    'the session ends');
sql('INSERT INTO big VALUES (300000)');
is(sql('SELECT count(*), max(n) FROM big'), '100001|300000', 'and holds up no reader');

# ---- without transactions ----
my $plain = Broker->mock(topic => 'plain');
sql("CREATE SERVER plain_queue FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers '"
      . $plain->bootstrap . "', delivery 'plain', message_timeout_ms '1000',"
      . " compression_codec 'lz4');"
      . " CREATE FOREIGN TABLE plain (n int) SERVER plain_queue OPTIONS (topic 'plain')");
sql('BEGIN; INSERT INTO plain SELECT generate_series(1, 1000); SAVEPOINT a;'
      . ' INSERT INTO plain VALUES (2000); ROLLBACK TO a; INSERT INTO small VALUES (70); COMMIT;'
      . ' BEGIN; INSERT INTO plain VALUES (3000); ROLLBACK');
is(sql('SELECT count(*), max(n) FROM plain'), '1000|1000', 'plain: what is committed alone');
comes_to(sub { numbers('small') }, '1 3 6 11 13 15 17 19 40 41 51 63 64 70',
    'beside a Kafka transaction');
$plain->kill;
like(error_of('INSERT INTO plain VALUES (4)'), qr/ERROR:  could not write to Kafka/,
    'plain: a failed delivery');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
