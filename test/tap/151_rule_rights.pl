# Goal: a rule can see and do what its owner may, and no more; whatever it does wrong costs only
# itself, leaves nothing behind, and all other rules have found what there is in the same commit.
# Method: one function that misbehaves as its parameters say, so that good rules share a query with
# bad ones, on a table of a plain user; the superuser's worst on a table of his own.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows worker_pids);
use Broker;
use Test::More;

my $begin = 1_700_000_010;    # a window begins
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 1);
my $node = cluster('main', 'anomaly.rule_time_limit' => '400ms');
create_server($node, $broker->bootstrap);

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }

my $stream = q{(hostname text, usage float8, occurred_at bigint, time_ltz timestamptz
    GENERATED ALWAYS AS (to_timestamp(occurred_at / 1000.0)) STORED) SERVER message_queue
    OPTIONS (topic 'cpu_load_stats_real', event_time 'time_ltz', watermark_delay '10 seconds',
      idle_timeout '1 hour')};
my $aggregate = q{SELECT hostname, window_start, window_end, avg(usage) AS usage_avg,
    count(*) AS n FROM %s, tumble(time_ltz, interval '30 seconds')
    GROUP BY hostname, window_start, window_end};
sql(<<"SQL");
CREATE ROLE alice;
CREATE ROLE bob;
GRANT USAGE ON FOREIGN SERVER message_queue TO alice;
GRANT CREATE ON SCHEMA public TO alice, bob;
GRANT EXECUTE ON FUNCTION anomaly.create_rule(text, regclass, text, text, jsonb),
  anomaly.drop_rule(text), anomaly.events_since(bigint, integer) TO alice, bob;
SET ROLE bob;
CREATE TABLE secret AS SELECT 'bob''s'::text AS word;
CREATE TABLE limits (hostname text, allowed float8);
INSERT INTO limits VALUES ('a', 50), ('b', 50), ('a', 1000);
ALTER TABLE limits ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_a ON limits FOR SELECT TO alice USING (hostname = 'a');
GRANT SELECT ON limits TO alice;
SET ROLE alice;
CREATE FOREIGN TABLE hers_in $stream;
CREATE TABLE hers WITH (anomaly.continuous) AS @{[sprintf $aggregate, 'hers_in']};
CREATE TABLE scribble (what text);
GRANT SELECT ON hers TO bob;
SQL

# ---- who may make a rule on what ----

sub refused
{
    my ($role, $sql, $error, $name) = @_;
    my ($rc, $out, $err) = $node->psql('postgres', "SET ROLE $role; $sql");
    return like($err, $error, $name);
}

sql(q{SET ROLE bob;
  CREATE FUNCTION his(c hers) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
  CREATE FUNCTION told(c hers) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS
    'SELECT word FROM secret';
  CREATE FUNCTION hidden(c hers) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
  REVOKE EXECUTE ON FUNCTION hidden(hers) FROM PUBLIC});
refused('bob', q{SELECT anomaly.create_rule('x', 'hers', 'his')}, qr/must be owner of table hers/,
    'who may only read a table makes no rule on it');
refused('alice', q{SELECT anomaly.create_rule('x', 'hers', 'hidden')},
    qr/permission denied for function hidden/, 'the owner must be allowed to run the function');
sql(q{SELECT anomaly.create_rule('x', 'hers', 'his')});
refused('bob', q{SELECT anomaly.drop_rule('x')}, qr/must be owner of table hers/,
    'a rule is its table\'s owner\'s, whoever made it');
sql(q{SET ROLE alice; SELECT anomaly.drop_rule('x')});

# ---- what rules of a plain user do ----

sql(<<'SQL');
SET ROLE alice;
CREATE FUNCTION acts(c hers, p jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  IF p ? 'run' THEN EXECUTE p->>'run'; END IF;
  IF p ? 'ask' THEN EXECUTE p->>'ask' INTO answer; END IF;
  IF p ? 'sqlstate' THEN RAISE EXCEPTION 'as wished' USING ERRCODE = p->>'sqlstate'; END IF;
  RETURN coalesce(answer, 'fine');
END $$;
CREATE FUNCTION many(c hers, p jsonb) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
  $$ SELECT 'info', n::float8, NULL::float8, 'x' FROM generate_series(1, (p->>'n')::int) n $$;
CREATE FUNCTION deep(c hers) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN deep(c); END $$;
CREATE FUNCTION unset(c hers) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT current_setting('work_mem') || ' ' || current_setting('synchronous_commit') $$;
CREATE FUNCTION limited(c hers) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
  $$ SELECT 'info', c.usage_avg, allowed, l.hostname FROM limits l $$;
SQL
# name => [ parameters, the error, or undef: it is well and finds this ]
my %acts = (
    good => [ {}, undef, 'fine' ],
    role => [ { run => 'SET ROLE postgres' }, qr/cannot set parameter "role"/ ],
    session => [ { run => 'SET SESSION AUTHORIZATION postgres' },
        qr/cannot set parameter "session_authorization"/ ],
    reset => [ { run => 'RESET ROLE', ask => 'SELECT current_user::text' },
        qr/cannot set parameter "role"/ ],
    whoami => [ { ask => 'SELECT current_user::text' }, undef, 'alice' ],
    secret => [ { ask => 'SELECT word FROM secret' }, qr/permission denied for table secret/ ],
    log => [ { ask => 'SELECT message FROM anomaly.finding_log' },
        qr/permission denied for table finding_log/ ],
    password => [ { ask => 'SELECT rolpassword FROM pg_authid' },
        qr/permission denied for table pg_authid/ ],
    program => [ { run => q{COPY (SELECT 1) TO PROGRAM 'true'} },
        qr/must be superuser or .*pg_execute_server_program|permission denied to COPY/ ],
    file => [ { ask => q{SELECT pg_read_file('PG_VERSION')} },
        qr/permission denied for function pg_read_file/ ],
    terminates => [ { ask => 'SELECT pg_terminate_backend(pg_backend_pid())::text' },
        qr/must be a superuser|permission denied to terminate/ ],
    inserts => [ { run => q{INSERT INTO scribble VALUES ('x')} }, qr/read-only transaction/ ],
    drops => [ { run => 'DROP TABLE hers' }, qr/read-only transaction/ ],
    read_write => [
        { run => q{SET transaction_read_only = off; INSERT INTO scribble VALUES ('x')} },
        qr/cannot set transaction read-write mode/ ],
    temporary => [ { run => 'CREATE TEMP TABLE t ()' }, qr/read-only|security-restricted/ ],
    listens => [ { run => 'LISTEN anomaly' }, qr/security-restricted operation/ ],
    prepares => [ { run => 'PREPARE p AS SELECT 1' }, qr/security-restricted operation/ ],
    commits => [ { run => 'COMMIT' }, qr/EXECUTE of transaction commands|invalid transaction/ ],
    object => [ { ask => 'SELECT lo_create(4711)::text' }, 'maybe' ],
    settings => [ { run => q{SET work_mem = '123kB'; SET synchronous_commit = off},
            ask => q{SELECT current_setting('work_mem')} }, undef, '123kB' ],
    locks => [ { ask => 'SELECT pg_advisory_lock(4711)::text' }, undef, '' ],
    notifies => [ { ask => q{SELECT pg_notify('anomaly', 'from a rule')::text} }, undef, '' ],
    divides => [ { ask => 'SELECT (1 / (random() * 0)::int)::text' }, qr/division by zero/ ],
    raises => [ { sqlstate => 'P0001' }, qr/as wished/ ],
    shutdown => [ { sqlstate => '57P01' }, qr/as wished/ ],
    memory => [ { sqlstate => '53200' }, qr/as wished/ ],
    canceled => [ { sqlstate => '57014' }, qr/as wished/ ],
    sleeps => [ { ask => 'SELECT pg_sleep(3600)::text' }, qr/did not end within \d+ ms/ ],
);

sub json
{
    my ($hash) = @_;
    return '{' . join(', ', map { qq("$_": ") . ($hash->{$_} =~ s/(["\\])/\\$1/gr) . '"' }
          sort keys %$hash) . '}';
}

for my $name (sort keys %acts)
{
    sql("SET ROLE alice; SELECT anomaly.create_rule('$name', 'hers', 'acts', 'close', \$j\$"
          . json($acts{$name}[0]) . '$j$)');
}
sql(q{SET ROLE alice;
  SELECT anomaly.create_rule('deep', 'hers', 'deep');
  SELECT anomaly.create_rule('unset', 'hers', 'unset');
  SELECT anomaly.create_rule('limited', 'hers', 'limited');
  SELECT anomaly.create_rule('told', 'hers', 'told');
  SELECT anomaly.create_rule('a few', 'hers', 'many', 'close', '{"n": 3}');
  SELECT anomaly.create_rule('a million', 'hers', 'many', 'close', '{"n": 1000000}')});

my $sent = 0;
my $window = -1;

sub next_window
{
    my @tables = @_;
    $window++;
    my $ms = ($begin + 30 * $window + 15) * 1000;
    $broker->produce(map { qq(0\t$_\t{"hostname":"$_","usage":90,"occurred_at":$ms}) } qw(a b));
    $sent += 2;
    wait_for_messages($node, $_, $sent) for @tables;
    return;
}

next_window('hers') for 0 .. 2;
my ($worker) = worker_pids($node, 'stream worker');
my $closed = "window_end <= (SELECT anomaly.watermark('hers'))";
is(sql("SELECT count(*) FROM hers WHERE $closed"), '4', 'two windows have closed, of two hosts');
for my $name (sort keys %acts)
{
    my (undef, $error, $finding) = @{ $acts{$name} };
    my ($errors, $last) = split /\|/,
      sql("SELECT errors, coalesce(last_error, '') FROM anomaly.rule_status WHERE name = '$name'");
    next if defined $error && $error eq 'maybe';
    if (defined $error)
    {
        like($last, $error, "$name: its error");
        is($errors, '2', "$name: in each of two commits");
        is(sql("SELECT count(*) FROM anomaly.finding_log WHERE rule = '$name'"), '0',
            "$name: nothing found");
    }
    else
    {
        is("$errors $last", '0 ', "$name: no error");
        same_rows($node,
            "SELECT series, window_end, message FROM anomaly.finding_log WHERE rule = '$name'",
            "SELECT jsonb_build_object('hostname', hostname), window_end, '$finding'"
              . " FROM hers WHERE $closed", "$name: all found, once");
    }
}
like(sql(q{SELECT last_error FROM anomaly.rule WHERE name = 'deep'}), qr/stack depth limit/,
    'endless recursion');
same_rows($node, q{SELECT series->>'hostname', message, threshold FROM anomaly.finding_log
      WHERE rule = 'limited'},
    "SELECT h.hostname, 'a', allowed FROM hers h, (VALUES (50::float8), (1000)) l (allowed)"
      . " WHERE $closed", 'row security of another\'s table holds for the owner');
is(sql(q{SELECT DISTINCT message FROM anomaly.finding_log WHERE rule = 'told'}), q{bob's},
    'a SECURITY DEFINER function is its owner\'s, as everywhere');
is(sql(q{SELECT count(*) FROM anomaly.finding_log WHERE rule = 'a few'}), '12',
    'a set is found beside a million rows of the same function');
like(sql(q{SELECT errors || ' ' || findings || ' ' || dropped FROM anomaly.rule
    WHERE name = 'a million'}), qr/^(0 20000 180000|[12] (10000 90000|0 0))$/,
    'of those the first are written, or they take too long');
is((worker_pids($node, 'stream worker'))[0], $worker, 'the worker is the same all the time');
is(sql(q{SELECT string_agg(DISTINCT state, ' ') FROM anomaly.table_status}), 'running',
    'no table has failed');

# ---- what is left behind ----

is(sql(q{SELECT DISTINCT message FROM anomaly.finding_log WHERE rule = 'unset'}), '4MB on',
    'no setting lasts longer than the query that made it');
is(sql('SELECT count(*) FROM scribble'), '0', 'nothing was written');
is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), '0', 'no lock was kept');
is(sql(q{SELECT count(*) FROM pg_largeobject_metadata}), '0', 'no large object was made');

# ---- who may read what was found ----

refused('bob', q{SET ROLE bob; SELECT * FROM anomaly.finding_log},
    qr/permission denied for table finding_log/, 'the log is not for everybody');
sql('SELECT anomaly.drop_rule(name) FROM anomaly.rule');

# ---- rights that go away ----

sql(q{SET ROLE alice;
  CREATE FUNCTION borrows(c hers) RETURNS text LANGUAGE sql STABLE AS
    $$ SELECT hostname FROM limits WHERE c.hostname = 'b' LIMIT 1 $$;
  SELECT anomaly.create_rule('borrows', 'hers', 'borrows')});
next_window('hers');
is(sql(q{SELECT count(*) FROM anomaly.finding_log WHERE rule = 'borrows'}), '1', 'it may read');
sql('SET ROLE bob; REVOKE SELECT ON limits FROM alice');
next_window('hers');
like(sql(q{SELECT last_error FROM anomaly.rule WHERE name = 'borrows'}),
    qr/permission denied for table limits/, 'revoked, at once');
sql('SET ROLE bob; GRANT SELECT ON limits TO alice');
sql('GRANT SELECT ON hers_in TO bob; ALTER TABLE hers OWNER TO bob');
next_window('hers');
is(sql(q{SELECT count(*), max(message) FROM anomaly.finding_log WHERE rule = 'borrows'
    AND window_end = (SELECT max(window_end) FROM anomaly.finding_log)}), '1|a',
    'the table has another owner, and so has the rule');
sql(q{SET ROLE bob; SELECT anomaly.drop_rule('borrows')});

# ---- a superuser's ----

sql(<<"SQL");
CREATE FOREIGN TABLE mine_in $stream;
CREATE TABLE mine WITH (anomaly.continuous) AS @{[sprintf $aggregate, 'mine_in']};
CREATE FUNCTION kills(c mine, p jsonb) RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN
  IF p ? 'end' THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(0.01); END IF;
  IF p ? 'cancel' THEN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(0.01); END IF;
  RETURN c.hostname; END \$\$;
SELECT anomaly.create_rule('lives', 'mine', 'kills', 'close', '{}');
SELECT anomaly.create_rule('lives, too', 'mine', 'kills', 'close', '{"x": 1}');
SELECT anomaly.create_rule('ends', 'mine', 'kills', 'close', '{"end": 1}');
SELECT anomaly.create_rule('cancels', 'mine', 'kills', 'close', '{"cancel": 1}');
SQL
next_window('mine', 'hers');
wait_until($node, q{SELECT NOT enabled FROM anomaly.rule WHERE name = 'ends'}, 't',
    'a rule that ends its worker is disabled');
next_window('mine', 'hers');
my $mine = "window_end <= (SELECT anomaly.watermark('mine'))";
for my $name ('lives', 'lives, too')
{
    same_rows($node,
        "SELECT series->>'hostname', window_end FROM anomaly.finding_log WHERE rule = '$name'",
        "SELECT hostname, window_end FROM mine WHERE $mine", "$name: has found all, once");
}
is(sql(q{SELECT last_error FROM anomaly.rule WHERE name = 'ends'}),
    'ended the worker that evaluated it: disabled', 'with the reason');
is(sql(q{SELECT count(*), min(message) FROM anomaly.events_since(0, 1000000)
    WHERE kind = 'rule_failing' AND rule = 'ends'}),
    '1|rule "ends" ended the worker that evaluated it: disabled', 'and one event');
is(sql(q{SELECT count(*) FROM anomaly.rule_gap WHERE rule = 'ends' AND until IS NULL}), '1',
    'and what it misses is recorded');
like(sql(q{SELECT last_error FROM anomaly.rule WHERE name = 'cancels'}),
    qr/canceling statement due to user request/, 'one that cancels itself has failed');
my ($now) = sort(worker_pids($node, 'stream worker'));
next_window('mine', 'hers');
is((sort(worker_pids($node, 'stream worker')))[0], $now, 'and that was all');

done_testing();
