# Goal: what users lock, and what their triggers do, holds up nothing that the manager of a database
# does for others: it wakes streams that rest, and keeps their workers.
# Method: a stream that is locked while it would like to rest; old findings that are locked, whose
# trigger raises, or would have the rights of a superuser. Each time another stream, which rests, is
# to read what comes.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until worker_pids hold let_go);
use Broker;
use PostgreSQL::Test::Utils;
use Resting qw(until_true);
use Test::More;
use Time::HiRes qw(sleep time);

my $broker = Broker->mock(topic => 'locked', partitions => 1);
my $node = cluster('main', 'anomaly.rest_after' => '100ms', 'anomaly.event_retention' => '1h',
    'anomaly.finding_retention' => '1h', log_min_messages => 'debug1');
create_server($node, $broker->bootstrap);

sub sql { return $node->safe_psql('postgres', $_[0]) }

# The watch's fetches wait for half as long, which the mock cluster has them do whatever comes.
sql(q{ALTER SERVER message_queue OPTIONS (ADD socket_timeout_ms '4000')});

my %sent;

sub produce
{
    my ($name) = @_;
    $broker->produce_to({ topic => $name }, "0\t\\N\t{\"n\":" . ++$sent{$name} . '}');
    return;
}

sub is_read
{
    my ($name, $when) = @_;
    return wait_until($node, "SELECT coalesce(max(n), 0) FROM ${name}_out", $sent{$name},
        "$when: $name is read");
}

sub all_rest
{
    my ($when) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    my $threads = sub { map { scalar(my @tasks = glob "/proc/$_/task/*") }
          worker_pids($node, 'stream worker') };
    sleep(0.1) until !grep({ $_ > 1 } $threads->()) || time > $end;
    return is(scalar(grep { $_ > 1 } $threads->()), 0, "$when: all rest");
}

sub is_logged
{
    my ($from, $pattern, $name) = @_;
    return ok(eval { $node->wait_for_log($pattern, $from) }, $name);
}

for my $name (qw(locked other))
{
    produce($name);
    sql("CREATE FOREIGN TABLE $name (n int) SERVER message_queue OPTIONS (topic '$name');"
          . " CREATE TABLE ${name}_out WITH (anomaly.continuous) AS SELECT n FROM $name");
    is_read($name, 'at first');
}
all_rest('at first');

# ---- a stream that somebody has locked ----
my $session = hold($node, 'ALTER FOREIGN TABLE locked ADD COLUMN m int');
my $log = -s $node->logfile;
produce('locked');
is_read('locked', 'locked');
is_logged($log, qr/anomaly cannot watch the topic of stream \d+: it is locked/, 'it may not rest');
for (1 .. 3)
{
    produce('other');
    is_read('other', "while a stream is locked ($_)");
}
let_go($session);
all_rest('then');

# ---- old findings ----
sql(<<'SQL');
CREATE ROLE alice SUPERUSER;
CREATE TABLE seen (by text);
GRANT INSERT ON seen TO PUBLIC;
CREATE FUNCTION look() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.seen VALUES (current_user); RETURN NULL; END $$;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
SQL

# One finding more than an hour old; a setting that has changed has it removed at once.
my $retention = 3600;

sub make_old
{
    sql('INSERT INTO anomaly.finding_log (id, rule, table_name, series, found_at) VALUES'
          . " (gen_random_uuid(), 'r', 't', '{}', now() - interval '1 day')");
    return;
}

sub remove_old
{
    $retention++;
    sql("ALTER SYSTEM SET anomaly.finding_retention = '$retention s'");
    $node->reload;
    return;
}

my @workers = worker_pids($node, '(manager|stream)') or BAIL_OUT('no workers');

sub all_goes_on
{
    my ($when) = @_;
    produce('other');
    is_read('other', $when);
    return is_deeply([ worker_pids($node, '(manager|stream)') ],
        \@workers, "$when: nobody has ended");
}

make_old();
$log = -s $node->logfile;
$session = hold($node, 'SELECT FROM anomaly.finding_log FOR UPDATE');
remove_old();
all_goes_on('while old findings are locked');
is_logged($log, qr/anomaly cannot remove old findings: canceling statement due to lock timeout/,
    'which is told');
let_go($session);
remove_old();
wait_until($node, 'SELECT count(*) FROM anomaly.finding_log', '0', 'and goes when they are not');

# ---- what it is asked while it waits for a lock ----
# That takes the wake-up for its own. With all streams at rest, the next would come a minute later.
all_rest('before it waits');
$session = hold($node, 'LOCK TABLE anomaly.finding_log');
remove_old();
wait_until($node, q{SELECT wait_event_type = 'Lock' FROM pg_stat_activity
    WHERE backend_type = 'anomaly manager'}, 't', 'the manager waits for a lock');
my $asked = time;
sql("CREATE FOREIGN TABLE third (n int) SERVER message_queue OPTIONS (topic 'other');"
      . ' CREATE TABLE third_out WITH (anomaly.continuous) AS SELECT n FROM third');
wait_until($node, q{SELECT worker_pid IS NOT NULL FROM anomaly.stream_status
    WHERE stream = 'third'::regclass}, 't', 'a stream that is made meanwhile has a worker');
cmp_ok(time - $asked, '<', 30, 'soon');
let_go($session);
sql('DROP FOREIGN TABLE third CASCADE');
wait_until($node, q{SELECT count(*) = 2 FROM pg_stat_activity
    WHERE backend_type = 'anomaly stream worker'}, 't', 'and none when it is dropped');

make_old();
$log = -s $node->logfile;
sql('CREATE TRIGGER hook AFTER DELETE ON anomaly.finding_log'
      . ' FOR EACH ROW EXECUTE FUNCTION refuse()');
remove_old();
is_logged($log, qr/anomaly cannot remove old findings: not this one/, 'a trigger that raises');
all_goes_on('with a trigger that raises');
sql('DROP TRIGGER hook ON anomaly.finding_log');

# As it is made it has the rights of its owner; that is not for ever.
sql('CREATE TRIGGER hook AFTER DELETE ON anomaly.finding_log'
      . ' FOR EACH ROW EXECUTE FUNCTION look()');
sql('ALTER FUNCTION look() OWNER TO alice; ALTER ROLE alice NOSUPERUSER');
remove_old();
wait_until($node, 'SELECT by FROM seen', 'alice', 'a trigger runs as its owner');
make_old();
sql('ALTER FUNCTION look() SECURITY INVOKER');
$log = -s $node->logfile;
remove_old();
is_logged($log, qr/remove old findings: trigger "hook" on .* would run with the rights of a super/,
    'not with the rights of a superuser');
all_goes_on('with such a trigger');
is(sql('SELECT string_agg(by, $$ $$) FROM seen'), 'alice', 'that never ran');

# ---- what there is to look at when nothing is old ----
sql('INSERT INTO anomaly.alert_event (seq, kind, id) SELECT n, $$rule_running$$, gen_random_uuid()'
      . ' FROM generate_series(1, 5000) n');

sub looked_at
{
    return split /\|/, sql('SELECT idx_scan + seq_scan, idx_tup_fetch + seq_tup_read'
          . q{ FROM pg_stat_all_tables WHERE relid = 'anomaly.alert_event'::regclass});
}

my ($looks, $rows) = looked_at();
until_true(sub { remove_old(); return (looked_at())[0] > $looks + 2 }, 'old events are looked for');
cmp_ok((looked_at())[1] - $rows, '<', 1000, 'among 5000 that are not, without a look at them all');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing has crashed');
done_testing();
