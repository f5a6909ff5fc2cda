# Goal: ordinary triggers are a user's own dispatcher: on continuous tables, with the rights of the
# table's owner, and on anomaly.finding_log, with those of the function's owner and never a
# superuser's. One that raises stops its own table alone, visibly, until it is mended.
# Method: outboxes filled by triggers; triggers that raise, that try to keep rights, that defer.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream wait_until wait_for_messages same_rows
  consume load_plain check_oracle worker_pids);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $begin_ms = 1_700_000_010_000;    # a window begins
my $per_window = 2100;
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $node = cluster('main');
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub as_alice { return sql("SET ROLE alice;\n$_[0]") }

sub refused
{
    my ($role, $sql, $error, $name) = @_;
    my ($rc, $out, $err) = $node->psql('postgres', "SET ROLE $role;\n$sql");
    return like($err, $error, $name);
}

sql(<<'SQL');
CREATE ROLE alice;
CREATE ROLE bob;
GRANT USAGE ON FOREIGN SERVER message_queue TO alice;
GRANT SELECT ON cpu_in TO alice;
GRANT CREATE ON SCHEMA public TO alice, bob;
GRANT EXECUTE ON FUNCTION anomaly.create_rule TO alice;
GRANT TRIGGER, SELECT ON anomaly.finding_log TO bob;
SQL
for my $table (qw(cpu_agg cpu_hot))
{
    as_alice("CREATE TABLE $table WITH (anomaly.continuous) AS "
          . sprintf($Anomaly::definition{$table}, 'cpu_in'));
}
as_alice(<<'SQL');
CREATE FUNCTION over_80(c cpu_agg) RETURNS boolean LANGUAGE sql STABLE AS
  $$ SELECT c.usage_avg > 80 $$;
SELECT anomaly.create_rule('over_80', 'cpu_agg', 'over_80');
SQL

my $window = -1;

sub send_window
{
    $window++;
    $broker->generate(count => $per_window, seed => 30 + $window,
        start_ms => $begin_ms + 30_000 * $window, step_us => int(30_000_000 / $per_window));
    return;
}

sub wait_for { return wait_for_messages($node, $_[0], $per_window * ($window + 1)) }

sub state_of
{
    return sql("SELECT state FROM anomaly.table_status WHERE relid = '$_[0]'::regclass");
}

# The table fails with this error while the others go on; once mended it takes in everything.
sub fails_alone
{
    my ($table, $other, $error, $mend, $name) = @_;
    send_window();
    wait_until($node, "SELECT state FROM anomaly.table_status WHERE relid = '$table'::regclass",
        'failing', "$name: the table is failing");
    like(sql("SELECT last_error FROM anomaly.table_status WHERE relid = '$table'::regclass"),
        $error, 'with the error');
    wait_for($other);
    is(state_of($other), 'running', 'the others go on');
    sql($mend);
    wait_for($table);
    is(state_of($table), 'running', 'mended, it goes on');
    return;
}

# ---- on a continuous table ----

as_alice(<<'SQL');
CREATE TABLE outbox (hostname text, usage float8, added_by name);
CREATE FUNCTION to_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO outbox VALUES (NEW.hostname, NEW.usage, current_user); RETURN NULL; END $$;
CREATE TRIGGER dispatch AFTER INSERT ON cpu_hot FOR EACH ROW EXECUTE FUNCTION to_outbox();
CREATE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN RAISE EXCEPTION 'the outbox is on fire'; END $$;
SQL
send_window();
wait_for($_) for qw(cpu_agg cpu_hot);
same_rows($node, 'SELECT hostname, usage, added_by FROM outbox',
    q{SELECT hostname, usage, 'alice'::name FROM cpu_hot}, 'an outbox, as the owner of the table');
my ($worker) = worker_pids($node, 'stream worker');
as_alice('CREATE TRIGGER fire AFTER INSERT ON cpu_hot EXECUTE FUNCTION raises()');
fails_alone('cpu_hot', 'cpu_agg', qr/^the outbox is on fire$/, 'DROP TRIGGER fire ON cpu_hot',
    'a trigger that raises');
is((worker_pids($node, 'stream worker'))[0], $worker, 'in the same worker');
same_rows($node, 'SELECT hostname, usage FROM outbox', 'SELECT hostname, usage FROM cpu_hot',
    'what the trigger wrote is each row once');

# ---- on the finding log ----

sql(<<'SQL');
CREATE SCHEMA ops;
CREATE TABLE ops.outbox (finding uuid, message text, added_by name);
CREATE FUNCTION ops.dispatch() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO ops.outbox VALUES (NEW.id, NEW.rule || ' ' || NEW.series, current_user);
    RETURN NULL;
  END $$;
CREATE TRIGGER dispatch AFTER INSERT ON anomaly.finding_log
  FOR EACH ROW EXECUTE FUNCTION ops.dispatch();
SET ROLE bob;
CREATE TABLE bobs (added_by name);
CREATE FUNCTION bob() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
  BEGIN INSERT INTO public.bobs VALUES (current_user); RETURN NULL; END $$;
CREATE TRIGGER bob AFTER INSERT ON anomaly.finding_log FOR EACH ROW EXECUTE FUNCTION bob();
CREATE FUNCTION bob_borrows() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO public.bobs VALUES (current_user); RETURN NULL; END $$;
SQL
my $on = 'ON anomaly.finding_log FOR EACH ROW';
refused('bob', "CREATE TRIGGER t AFTER INSERT $on EXECUTE FUNCTION bob_borrows()",
    qr/would run with the rights of a superuser\nHINT:  Make function bob_borrows\(\) SECURITY DEF/,
    'a function with borrowed rights is refused');
refused('bob', "CREATE TRIGGER t AFTER INSERT $on WHEN (NEW.rule <> '') EXECUTE FUNCTION bob()",
    qr/has a WHEN condition.*Put the condition into the trigger's function/s, 'so is WHEN');
refused('bob', "CREATE TRIGGER t BEFORE INSERT $on EXECUTE FUNCTION bob()",
    qr/is not an AFTER trigger/, 'and BEFORE');
refused('postgres', 'CREATE TRIGGER t AFTER INSERT ON anomaly.alert_event'
      . ' EXECUTE FUNCTION ops.dispatch()',
    qr/"alert_event" is a table of anomaly and takes no triggers/, 'and any on the other tables');
refused('alice', "CREATE TRIGGER t AFTER INSERT $on EXECUTE FUNCTION raises()",
    qr/permission denied/, 'and any of whom nobody let');
my $found = sql('SELECT count(*) FROM anomaly.finding_log');
send_window();
wait_for($_) for qw(cpu_agg cpu_hot);
same_rows($node, 'SELECT finding, message, added_by FROM ops.outbox',
    qq{SELECT id, rule || ' ' || series, 'postgres'::name FROM anomaly.finding_log
       WHERE found_at > (SELECT max(found_at) FROM (SELECT found_at FROM anomaly.finding_log
         ORDER BY found_at LIMIT $found) f)}, 'an outbox of findings');
is(sql('SELECT string_agg(DISTINCT added_by, $$ $$), count(*) = (SELECT count(*) FROM ops.outbox)
    FROM bobs'), 'bob|t', q{bob's runs as bob});

sql('ALTER FUNCTION bob() SECURITY INVOKER');
fails_alone('cpu_agg', 'cpu_hot', qr/"bob" on anomaly\.finding_log would run with the rights of a /,
    'ALTER FUNCTION bob() SECURITY DEFINER', 'rights borrowed afterwards');
sql(q{CREATE FUNCTION ops.raises() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no outbox'; END $$});
sql("CREATE TRIGGER fire AFTER INSERT $on EXECUTE FUNCTION ops.raises()");
fails_alone('cpu_agg', 'cpu_hot', qr/^no outbox$/, 'DROP TRIGGER fire ON anomaly.finding_log',
    'one that raises there');
is(sql('SELECT string_agg(DISTINCT added_by, $$ $$) FROM bobs'), 'bob', 'bob is never another');
same_rows($node,
    q{SELECT series->>'hostname', series->>'cpu', window_start FROM anomaly.finding_log},
    q{SELECT hostname, cpu, window_start FROM cpu_agg WHERE usage_avg > 80
      AND window_end <= anomaly.watermark('cpu_agg')}, 'and no finding was lost or came twice');
is(sql('SELECT count(*), count(DISTINCT finding) FROM anomaly.alert_event'),
    sql('SELECT count(*), count(*) FROM anomaly.finding_log'), 'nor an event');

# ---- nobody keeps the worker's rights, or leaves anything behind in it ----

as_alice(<<'SQL');
CREATE TABLE later (id int PRIMARY KEY);
CREATE TABLE spy (who name, what text);
CREATE FUNCTION looks() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO public.spy VALUES (current_user, 'deferred'); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER looks AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION looks();
CREATE SEQUENCE numbers;
CREATE FUNCTION puts_off() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN SET CONSTRAINTS ALL DEFERRED; INSERT INTO later VALUES (nextval('numbers'));
  RETURN NULL; END $$;
CREATE TRIGGER puts_off AFTER INSERT ON cpu_hot EXECUTE FUNCTION puts_off();
SQL
fails_alone('cpu_hot', 'cpu_agg', qr/^SET CONSTRAINTS cannot be used in what a stream's worker/,
    'DROP TRIGGER puts_off ON cpu_hot', 'a trigger that puts off');
as_alice(<<'SQL');
CREATE FUNCTION defers() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO later VALUES (nextval('numbers')); RETURN NULL; END $$;
CREATE TRIGGER defers AFTER INSERT ON cpu_hot EXECUTE FUNCTION defers();
SQL
send_window();
wait_for('cpu_hot');
is(sql('SELECT DISTINCT who, what FROM spy'), 'alice|deferred',
    'what is deferred runs as the owner of the table');

# Whoever adds two numbers while that path is in force calls alice's function. The worker starts
# anew, so that it has no plans yet.
as_alice(<<'SQL');
CREATE FUNCTION adds(bigint, bigint) RETURNS bigint LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO public.spy VALUES (current_user, 'trap');
  RETURN int8pl($1, $2); END $$;
CREATE OPERATOR public.+ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = adds);
CREATE FUNCTION sets_path() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN PERFORM set_config('search_path', 'public, pg_catalog', false); RETURN NULL; END $$;
CREATE TRIGGER sets_path AFTER INSERT ON cpu_agg EXECUTE FUNCTION sets_path();
SQL
sql(q{SELECT anomaly.pause('cpu_in')});
wait_until($node, 'SELECT worker_pid IS NULL FROM anomaly.stream_status', 't', 'no worker');
sql(q{SELECT anomaly.resume('cpu_in')});
send_window();
wait_for('cpu_agg');
is(sql(q{SELECT count(*) FROM spy WHERE who <> 'alice'}), '0',
    'a path that a trigger sets is gone after it');

done_testing();
