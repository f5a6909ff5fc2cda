# Goal: everything that is done for a table waits with it, and is done once when the lock is let go:
# dead letters that are taken in again, what its rules find with the triggers on it, rows that
# retention removes and those that refer to them. The stream's other table goes on.
# Method: single messages, and locks on just what one of these needs.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows hold let_go);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', fsync => 'off', 'anomaly.lock_timeout' => '200ms');
my $broker = Broker->mock(topic => 'readings', partitions => 1);
create_server($node, $broker->bootstrap);

sub sql { return $node->safe_psql('postgres', $_[0]) }

my %definition = (
    other => 'SELECT n, at FROM %s',
    shares => 'SELECT n, share(n) AS share FROM %s',
    windowed => "SELECT window_start, window_end, count(*) AS n FROM %s,"
      . " tumble(at, interval '10 seconds') GROUP BY 1, 2");
my %with = (windowed => ", anomaly.retention = '1 minute'");
sql(<<'SQL');
CREATE FOREIGN TABLE readings (n int, at timestamptz) SERVER message_queue
  OPTIONS (topic 'readings', event_time 'at', idle_timeout '1 hour');
CREATE TABLE plain (n int, at timestamptz);
CREATE FUNCTION share(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN RETURN 100 / (n % 10); END $$;
SQL
sql("CREATE TABLE $_ WITH (anomaly.continuous" . ($with{$_} // '') . ') AS '
      . sprintf($definition{$_}, 'readings')) for sort keys %definition;
sql(<<'SQL');
CREATE TABLE audit (n int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.audit VALUES (NEW.n); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT ON shares FOR EACH ROW WHEN (NEW.n % 10 = 0)
  EXECUTE FUNCTION note();
CREATE FUNCTION busy(w windowed) RETURNS text LANGUAGE sql STABLE AS $$SELECT 'n ' || w.n$$;
SELECT anomaly.create_rule('busy', 'windowed', 'busy');
CREATE TABLE seen (message text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN INSERT INTO public.seen VALUES (NEW.message); RETURN NULL; END $$;
CREATE TRIGGER see AFTER INSERT ON anomaly.finding_log FOR EACH ROW EXECUTE FUNCTION see();
CREATE TABLE note (window_start timestamptz, window_end timestamptz, FOREIGN KEY
  (window_start, window_end) REFERENCES windowed ON DELETE CASCADE);
SQL

# One message a second from the n-th on.
my $sent = 0;
sub send_to
{
    my ($end) = @_;
    my @n = $sent + 1 .. $end;
    my $at = "timestamptz '2026-01-01 00:00:00+00' + n * interval '1 second'";
    $broker->produce(split /\n/, sql("SET timezone = 'UTC'; SELECT E'0\\t\\\\N\\t' ||"
              . " json_build_object('n', n, 'at', $at) FROM generate_series($n[0], $end) n"));
    sql("INSERT INTO plain SELECT n, $at FROM generate_series($n[0], $end) n");
    $sent = $end;
    return;
}

sub is_left_waiting
{
    my ($table, $name) = @_;
    return wait_until($node, 'SELECT state FROM anomaly.table_status WHERE waiting_since < now()'
          . " AND relid = '$table'::regclass", 'waiting for a lock', $name);
}

send_to(100);
wait_for_messages($node, $_, $sent) for sort keys %definition;
is(sql('SELECT count(*) FROM anomaly.dead_letter'), '10', 'ten messages have no share');

# ---- dead letters ----
sql('CREATE OR REPLACE FUNCTION share(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS'
      . ' $$ BEGIN RETURN 100 / (n % 10 + 1); END $$');
sql('CREATE TABLE was AS SELECT * FROM shares');
my $session = hold($node, 'LOCK TABLE audit IN SHARE MODE');
sql(q{SELECT anomaly.replay_dead_letters('readings')});
is_left_waiting('shares', 'the trigger for what is taken in again waits');
send_to(109);
wait_for_messages($node, 'other', $sent);
is(sql('SELECT count(*) FROM anomaly.dead_letter'), '10', 'they are dead letters still');
let_go($session);
wait_until($node, 'SELECT count(*) FROM anomaly.dead_letter', '0', 'then they are taken in');
wait_for_messages($node, 'shares', $sent);
same_rows($node, 'SELECT * FROM shares',
    'SELECT * FROM was UNION ALL SELECT n, share(n) FROM plain WHERE n % 10 = 0 OR n > 100',
    'each once');
is(sql('SELECT count(*) FROM audit'), '10', 'and so has the trigger');

# ---- findings ----
$session = hold($node, 'LOCK TABLE seen IN SHARE MODE');
my $found = sql('SELECT count(*) FROM anomaly.finding_log');
send_to(135);
is_left_waiting('windowed', 'the trigger on findings waits');
wait_for_messages($node, 'other', $sent);
is(sql('SELECT count(*) FROM anomaly.finding_log'), $found, 'nothing is found yet');
let_go($session);
wait_for_messages($node, 'windowed', $sent);
my $closed = sql(q{SELECT extract(epoch FROM anomaly.watermark('windowed')
    - timestamptz '2026-01-01 00:00:00+00')::int / 10});
is(sql('SELECT count(*), count(DISTINCT message), count(DISTINCT window_start)'
          . ' FROM anomaly.finding_log'), "$closed|2|$closed", 'then each window is, once');
is(sql('SELECT count(*) FROM seen'), $closed, 'and the trigger has run for each');
is(sql('SELECT count(*), count(DISTINCT seq), max(seq) - min(seq) + 1 FROM'
          . ' anomaly.events_since(0)'), "$closed|$closed|$closed", 'and events tell of them');

# ---- retention ----
sql('INSERT INTO note SELECT window_start, window_end FROM windowed');
$session = hold($node, 'SELECT count(*) FROM (SELECT FROM note FOR UPDATE) r');
send_to(170);
is_left_waiting('windowed', 'what refers to a window that is to go is locked');
wait_for_messages($node, 'other', $sent);
let_go($session);
wait_for_messages($node, 'windowed', $sent);
my $kept = q{window_end > anomaly.watermark('windowed') - interval '1 minute'};
same_rows($node, 'SELECT * FROM windowed',
    sprintf($definition{windowed}, 'plain') . " HAVING $kept", 'then it has gone');
is(sql("SELECT count(*) FILTER (WHERE $kept) = count(*) FROM note"), 't',
    'and so has what refers to it');

same_rows($node, 'SELECT * FROM other', 'SELECT * FROM plain', 'the other table has all');
is(sql('SELECT sum(failures), count(last_error) FROM anomaly.table_progress'), '0|0',
    'no table has failed');
is(sql('SELECT count(*) FROM anomaly.late_row'), '0', 'nothing was late');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing has crashed');
done_testing();
