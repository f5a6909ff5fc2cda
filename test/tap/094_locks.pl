# Goal: who locks a continuous table, rows of it, or what its triggers write into, holds up that
# table alone and for as long as he likes: it shows that it waits, for whom and since when, and
# takes in everything exactly once when he lets go. The stream's other tables go on. Nobody's
# statement fails by a deadlock with us. With anomaly.lock_timeout = 0 the whole stream waits.
# Method: sessions that hold locks of every kind under load; in the end each table is compared with
# its own SELECT over the messages.
use strict;
use warnings;

use Anomaly qw(cluster create_server create_stream create_cpu_tables goes_on wait_until
  wait_for_messages same_rows consume load_plain check_oracle worker_pids hold let_go);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# The worker has a limit of its own, whatever the database's; these sessions have none.
$ENV{PGOPTIONS} = '-c lock_timeout=0';
my $node = cluster('main', fsync => 'off', 'anomaly.lock_timeout' => '300ms');
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
create_server($node, $broker->bootstrap);
create_stream($node);
create_cpu_tables($node);
my $noted = "SELECT hostname, window_start, window_end, count(*) AS n FROM %s,"
  . " tumble(time_ltz, interval '1 minute') GROUP BY hostname, window_start, window_end";

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql('ALTER DATABASE postgres SET lock_timeout = 1; CREATE TABLE audit (hostname text, n bigint);'
      . ' CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS'
      . ' $$ BEGIN INSERT INTO public.audit VALUES (NEW.hostname, NEW.n); RETURN NULL; END $$;'
      . ' CREATE TABLE noted WITH (anomaly.continuous) AS ' . sprintf($noted, 'cpu_in')
      . '; CREATE TRIGGER note AFTER INSERT OR UPDATE ON noted FOR EACH ROW'
      . ' EXECUTE FUNCTION note()');
$broker->start_generate(rate => 300, start_ms => 1_700_000_000_000, step_us => 50_000);

sub state_is
{
    my ($table, $state, $name) = @_;
    return wait_until($node,
        "SELECT state FROM anomaly.table_status WHERE relid = '$table'::regclass", $state, $name);
}

# Not the moment in which the worker itself still waits.
sub is_left_waiting
{
    my ($table, $name) = @_;
    return wait_until($node, 'SELECT state FROM anomaly.table_status WHERE waiting_since < now()'
          . " AND relid = '$table'::regclass", 'waiting for a lock', $name);
}

sub set_limit
{
    my ($limit) = @_;
    $node->adjust_conf('postgresql.conf', 'anomaly.lock_timeout', $limit);
    return $node->reload;
}

# The lock is held; the table waits, the others go on.
sub waits_alone
{
    my ($table, $lock) = @_;
    is_left_waiting($table, "$lock: $table waits, visibly");
    is(sql("SELECT last_error IS NULL, blocked_by FROM anomaly.table_status"
              . " WHERE relid = '$table'::regclass"),
        't|{' . sql(q{SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'}) . '}',
        "$lock: for whom, which is no error");
    my $position = "SELECT sequence FROM anomaly.table_progress WHERE relid = '$table'::regclass";
    my $before = sql($position);
    for my $other (grep { $_ ne $table } qw(cpu_agg cpu_hot noted))
    {
        goes_on($node, $other, "$lock: $other goes on");
        state_is($other, 'running', "$lock: and is running");
    }
    is(sql($position), $before, "$lock: $table has stayed where it was");
    is(sql('SELECT state FROM anomaly.stream_status'), 'running', "$lock: its stream is running");
    return;
}

goes_on($node, $_, "$_ is fed") for qw(cpu_agg cpu_hot noted);

# ---- locks of every kind ----
my @locks = (
    [ 'cpu_agg', 'LOCK TABLE cpu_agg IN ACCESS EXCLUSIVE MODE' ],
    [ 'cpu_agg', 'CREATE INDEX ON cpu_agg (usage_max)' ],
    [ 'cpu_agg', 'SELECT count(*) FROM (SELECT FROM cpu_agg FOR UPDATE) r' ],
    [ 'cpu_hot', 'ALTER TABLE cpu_hot RENAME TO never; ALTER TABLE never RENAME TO cpu_hot' ],
    [ 'noted', 'LOCK TABLE audit IN SHARE MODE' ],
    [ 'noted', 'DROP TABLE noted' ],
);
for my $case (@locks)
{
    my ($table, $lock) = @$case;
    my $session = hold($node, $lock);
    waits_alone($table, $lock);
    $session->{in} .= "ROLLBACK;\n" if $lock =~ /DROP/;
    let_go($session);
    goes_on($node, $table, "$lock: $table goes on afterwards");
    state_is($table, 'running', "$lock: and is running");
}

# ---- to try again costs the others next to nothing ----
set_limit('8s');
my $session = hold($node, 'SELECT count(*) FROM (SELECT FROM cpu_agg FOR UPDATE) r');
my $start = time;
is_left_waiting('cpu_agg', 'rows are locked, with a limit of 8 s');
cmp_ok(time - $start, '<', 6, 'less for a table that has waited three times lately');
my $committed = q{SELECT committed_at, sequence FROM anomaly.table_progress
    WHERE relid = 'cpu_hot'::regclass};
my ($at, $number) = split /\|/, sql($committed);
my $longest = 0;
for (1 .. 20)
{
    $node->poll_query_until('postgres', "SELECT sequence > $number FROM ($committed) p");
    my ($seconds, @next) = split /\|/,
      sql("SELECT extract(epoch FROM committed_at - '$at'), * FROM ($committed) p");
    $longest = $seconds if $seconds > $longest;
    ($at, $number) = @next;
}
cmp_ok($longest, '<', 2.5, "20 commits of another table, the longest pause");
note("$longest s");
let_go($session);
goes_on($node, 'cpu_agg', 'it goes on soon after');
set_limit('300ms');

# ---- several at once; a new table; requests meanwhile ----
sql('CREATE TABLE ended WITH (anomaly.continuous) AS ' . sprintf($noted, 'cpu_in'));
goes_on($node, 'ended', 'one more');
my @all = qw(cpu_agg cpu_hot noted ended);
$session = hold($node, 'LOCK TABLE cpu_agg, cpu_hot, noted, ended IN SHARE MODE');
is_left_waiting($_, "all are locked: $_ waits") for @all;
wait_until($node, 'SELECT state FROM anomaly.stream_status', 'waiting for a lock',
    'so their stream does');
sql('CREATE TABLE fresh WITH (anomaly.continuous) AS SELECT hostname, count(*) AS n FROM cpu_in'
      . ' GROUP BY hostname');
goes_on($node, 'fresh', 'one that is made meanwhile is fed');
is_left_waiting($_, "and $_ waits on") for @all;
is(sql(q{SELECT anomaly.wait_for_stream('cpu_in', '1 second')}), 'f',
    'wait_for_stream waits for all');
sql(q{SELECT anomaly.close_windows('ended')});
goes_on($node, 'fresh', 'close_windows of one that waits');
is(sql(q{SELECT close_requested FROM anomaly.continuous_table
    WHERE relid = 'ended'::regclass}), 't', 'is to be done');
sql(q{SELECT anomaly.pause('cpu_in')});
wait_until($node, 'SELECT worker_pid IS NULL FROM anomaly.stream_status', 't', 'pause ends it');
is(sql('SELECT DISTINCT state FROM anomaly.table_status'), 'paused', 'and says so');
sql(q{SELECT anomaly.resume('cpu_in')});
goes_on($node, 'fresh', 'resume: one goes on');
is_left_waiting($_, "resume: $_ waits again") for @all;
let_go($session);
goes_on($node, $_, "let go of: $_ goes on") for @all;
wait_until($node, q{SELECT close_requested FROM anomaly.continuous_table
    WHERE relid = 'ended'::regclass}, 'f', 'its windows were closed');
wait_until($node, 'SELECT readers FROM anomaly.stream_workers()', '1', 'all share a reader again');

# ---- nobody's statement fails because of us ----
for my $round (1 .. 5)
{
    $session = hold($node, 'SELECT count(*) FROM (SELECT FROM noted FOR UPDATE) r');
    $session->{in} .= "LOCK TABLE cpu_agg, cpu_hot IN ACCESS EXCLUSIVE MODE; SELECT 'both';\n";
    $session->{run}->pump until $session->{out} =~ /both/ || $session->{error} ne '';
    is($session->{error}, '', "locks in the order that would be a deadlock, $round");
    let_go($session);
    goes_on($node, $_, "$_ goes on") for qw(cpu_agg noted);
}
$session = hold($node, 'LOCK TABLE cpu_agg IN SHARE MODE');
is_left_waiting('cpu_agg', 'who waits for it');
my ($status) = $node->psql('postgres', "SET statement_timeout = '1min'; BEGIN; DROP TABLE cpu_hot;"
      . ' ROLLBACK');
is($status, 0, 'holds up no DROP TABLE of another');
let_go($session);
goes_on($node, $_, "$_ goes on") for qw(cpu_agg cpu_hot);

# We are in the middle of a commit, hold cpu_agg, and come to wait for rows of noted last. Of the
# limit there is half as much for each time that the table has waited lately.
set_limit('5h');
wait_until($node, 'SELECT readers FROM anomaly.stream_workers()', '1', 'all share a commit');
sql('CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS'
      . ' $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;'
      . ' CREATE TRIGGER gate AFTER INSERT OR UPDATE ON cpu_agg EXECUTE FUNCTION gate()');
my $gate = hold($node, 'SELECT pg_advisory_xact_lock(7)');
wait_until($node, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted},
    '1', 'a commit is under way');
$session = hold($node, "SET deadlock_timeout = '30s';"
      . ' SELECT count(*) FROM (SELECT FROM noted FOR UPDATE) r');
$session->{in} .= "LOCK TABLE cpu_agg IN ACCESS EXCLUSIVE MODE; SELECT 'both';\n";
$session->{run}->pump_nb while $session->{in} ne q{};
wait_until($node, q{SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'
    AND relation = 'cpu_agg'::regclass AND NOT granted}, '1', 'a statement waits for it');
$start = time;
let_go($gate);
$session->{run}->pump until $session->{out} =~ /both/ || $session->{error} ne '';
is($session->{error}, '', 'a deadlock ends our wait, not the statement');
cmp_ok(time - $start, '<', 10, 'and does so soon');
is_left_waiting('noted', 'its table waits');
let_go($session);
goes_on($node, $_, "$_ goes on") for qw(cpu_agg noted);
sql('DROP TRIGGER gate ON cpu_agg');
set_limit('300ms');

# ---- of a table that is failing, too ----
sql('CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE $x$no$x$; END $$;'
      . ' CREATE TRIGGER refuse AFTER INSERT OR UPDATE ON ended EXECUTE FUNCTION refuse()');
state_is('ended', 'failing', 'its trigger raises');
$session = hold($node, 'DROP TABLE ended');
is_left_waiting('ended', 'one that is failing is dropped: it waits');
goes_on($node, $_, "$_ goes on") for qw(cpu_agg noted);
$session->{in} .= "ROLLBACK;\n";
let_go($session);
state_is('ended', 'failing', 'rolled back, it is failing again');
sql('DROP TRIGGER refuse ON ended');
goes_on($node, 'ended', 'and goes on');

# ---- a crash meanwhile ----
$session = hold($node, 'LOCK TABLE noted IN ACCESS EXCLUSIVE MODE');
is_left_waiting('noted', 'it waits');
my ($worker) = worker_pids($node, 'stream worker');
kill('KILL', $worker);
$session->{run}->finish;
wait_until($node, "SELECT count(*) FROM pg_stat_activity WHERE pid <> $worker"
      . " AND backend_type = 'anomaly stream worker'", '1', 'the server has restarted');
$session = hold($node, 'SELECT count(*) FROM (SELECT FROM noted FOR UPDATE) r');
waits_alone('noted', 'after a crash');
let_go($session);

# ---- without a limit ----
set_limit(0);
$session = hold($node, 'LOCK TABLE cpu_agg IN SHARE MODE');
wait_until($node, 'SELECT state FROM anomaly.stream_status', 'waiting for a lock',
    'anomaly.lock_timeout = 0: the stream waits');
like(sql(q{SELECT blocked_by FROM anomaly.table_status WHERE relid = 'cpu_agg'::regclass}),
    qr/^\{\d+\}$/, 'and says for whom');
my $hot = sql(q{SELECT sequence FROM anomaly.table_progress WHERE relid = 'cpu_hot'::regclass});
is(sql(q{SELECT anomaly.wait_for_stream('cpu_in', '2 seconds')}), 'f', 'longer than any limit');
is(sql(q{SELECT sequence FROM anomaly.table_progress WHERE relid = 'cpu_hot'::regclass}), $hot,
    'all its tables do');
set_limit('300ms');
let_go($session);
goes_on($node, $_, "let go of: $_ goes on") for qw(cpu_agg cpu_hot noted);

# ---- nothing was lost, nothing came twice ----
is($broker->stop_generate, 0, 'the generator has delivered all');
my $file = PostgreSQL::Test::Utils::tempdir() . '/all';
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($node, 'plain', $file);
my $sent = sql('SELECT count(*) FROM plain');
wait_for_messages($node, $_, $sent) for qw(cpu_agg cpu_hot noted fresh);
check_oracle($node, 'plain', 'in the end');
same_rows($node, 'SELECT * FROM noted', sprintf($noted, 'plain'), 'noted equals its SELECT');
same_rows($node, 'SELECT * FROM fresh', 'SELECT hostname, count(*) FROM plain GROUP BY 1',
    'fresh equals its SELECT');
is(sql('SELECT count(*) FROM audit'), sql(q{SELECT rows_written FROM anomaly.table_status
    WHERE relid = 'noted'::regclass}), 'its trigger has run once for each of its rows');
is(sql('SELECT sum(failures), count(last_error) FROM anomaly.table_progress'), '0|1',
    'no table has failed but the one');
unlike(slurp_file($node->logfile), qr{PANIC|TRAP|ERROR:  deadlock}, 'nothing else has crashed');
done_testing();
