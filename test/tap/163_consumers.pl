# Goal: the programs of demo/consumers miss nothing, whatever becomes of their connection and of
# themselves.
# Method: all of them at the same time, over windows of findings; their connections are ended, the
# server is started again, they are killed. Then the one in the shell is killed a hundred times at
# random while three streams write events.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream wait_until);
use Broker;
use JSON::PP ();
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $seed = $ENV{ANOMALY_SEED} // time();
my $kills = $ENV{ANOMALY_KILLS} // 100;
note("ANOMALY_SEED=$seed");
srand($seed);

my $dir = $ENV{ANOMALY_CONSUMERS};
my $logs = $PostgreSQL::Test::Utils::log_path;
my ($python) = grep { system("$_ -c 'import psycopg' 2>/dev/null") == 0 }
  qw(python3 /usr/bin/python3);
my %command = (
    shell => [ 'bash', "$dir/consumer.sh" ],
    python => [ $python // 'python3', "$dir/consumer.py" ],
    node => [ 'node', "$dir/node/consumer.js" ],
    go => ["$dir/go/consumer"],
    java => [ 'java', '-XX:TieredStopAtLevel=1', '-cp', "$dir/java:/usr/share/java/postgresql.jar",
        'Consumer' ],
);

my $begin_ms = 1_700_000_010_000;    # a window begins
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $node = cluster('main', listen_addresses => '127.0.0.1');
create_server($node, $broker->bootstrap);

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(<<'SQL');
CREATE ROLE pager LOGIN;
GRANT EXECUTE ON FUNCTION anomaly.create_consumer, anomaly.consumer_events, anomaly.consumer_ack
  TO pager;
SQL
# Every reading is a finding.
for my $name (qw(one two three))
{
    create_stream($node, name => "${name}_in");
    sql(<<"SQL");
CREATE TABLE $name WITH (anomaly.continuous, anomaly.start = 'latest') AS
  SELECT hostname, usage FROM ${name}_in;
CREATE FUNCTION tell_$name(r $name) RETURNS text LANGUAGE sql STABLE AS \$\$ SELECT r.hostname \$\$;
SELECT anomaly.create_rule('$name', '$name', 'tell_$name');
GRANT SELECT ON $name TO pager;
SQL
}
sql(q{SELECT anomaly.pause(s::regclass) FROM unnest('{two_in,three_in}'::text[]) s});
sql(qq{SET ROLE pager; SELECT anomaly.create_consumer('$_')}) for sort keys %command;

# Starts a consumer with an output of its own; a group, so that what it starts dies with it.
my %runs;

sub start
{
    my ($name) = @_;
    my $file = "$logs/consumer_$name." . ++$runs{$name};
    my $pid = fork() // BAIL_OUT("fork: $!");
    return { pid => $pid, file => $file } if $pid;
    POSIX::setpgid(0, 0);
    @ENV{qw(PGHOST PGPORT PGDATABASE PGUSER)} = ('127.0.0.1', $node->port, 'postgres', 'pager');
    $ENV{NODE_PATH} = '/usr/share/nodejs';
    open(STDIN, '<', '/dev/null');
    open(STDOUT, '>', $file);
    open(STDERR, '>>', "$logs/consumer_$name.err");
    exec(@{ $command{$name} }, $name) or POSIX::_exit(127);
}

sub kill_it
{
    my ($run) = @_;
    kill('KILL', -$run->{pid}, $run->{pid});
    waitpid($run->{pid}, 0);
    return;
}

# What its runs have printed: [seq, id, message]. A line that was cut by a kill was not yet printed.
sub printed
{
    my ($name) = @_;
    return map { JSON::PP::decode_json($_) }
      map { grep { chomp } split /^/, slurp_file("$logs/consumer_$name.$_") } 1 .. $runs{$name};
}

sub wait_for_all
{
    my ($name, $what) = @_;
    my $head = sql('SELECT max(seq) FROM anomaly.event_head');
    for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
    {
        my @events = printed($name);
        return pass("$what: $name") if @events && $events[-1][0] == $head;
        Time::HiRes::usleep(100_000);
    }
    return fail("$what: $name");
}

my $sent = 0;

sub send_readings
{
    my ($count) = @_;
    my $before = sql('SELECT coalesce(max(seq), 0) FROM anomaly.event_head');
    $broker->generate(count => $count, seed => ++$sent, start_ms => $begin_ms + 1000 * $sent);
    return wait_until($node, "SELECT seq >= $before + $count FROM anomaly.event_head", 't',
        "$count readings");
}

# Each event at least once, the same each time, and what the log has.
sub check
{
    my ($name, $what) = @_;
    my %seen;
    my $different = 0;
    for my $event (printed($name))
    {
        my $text = JSON::PP->new->canonical->ascii->encode($event);
        $different++ if ($seen{ $event->[0] } //= $text) ne $text;
    }
    my $json = JSON::PP->new->canonical->ascii;
    my $log = join("\n", map { $json->encode(JSON::PP::decode_json($_)) } split /\n/,
        sql('SELECT json_build_array(seq, id, message) FROM anomaly.events_since(0, 1000000)
            ORDER BY seq'));
    ok($log eq join("\n", map { $seen{$_} } sort { $a <=> $b } keys %seen),
        "$what: $name has seen each event") or diag(scalar(keys %seen) . ' seen');
    is($different, 0, "$what: $name can tell repeats by seq");
    return;
}

# ---- all of them ----

my $nasty = q{<b onclick=\"x()\">'; DROP TABLE one; --\\\\ \u0001 \n\t} . 'long ' x 2000;
$broker->produce(qq{0\tk\t{"hostname":"$nasty","usage":1,"occurred_at":$begin_ms}});
wait_until($node, 'SELECT seq = 1 FROM anomaly.event_head', 't', 'a host with a hostile name');
send_readings(250);
my %run = map { $_ => start($_) } sort keys %command;
wait_for_all($_, 'what was there before') for sort keys %command;
send_readings(50);
wait_for_all($_, 'what comes') for sort keys %command;
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pager'});
send_readings(50);
wait_for_all($_, 'after its connection was ended') for sort keys %command;
$node->restart;
send_readings(50);
wait_for_all($_, 'after the server was started again') for sort keys %command;
kill_it($run{$_}) for sort keys %command;
send_readings(50);
%run = map { $_ => start($_) } sort keys %command;
wait_for_all($_, 'after it was killed') for sort keys %command;
kill_it($run{$_}) for sort keys %command;
check($_, 'in the end') for sort keys %command;
is(sql(q{SELECT count(*) FROM one}), '451', 'and nothing was harmed');

# ---- killed at random ----

sql('SELECT anomaly.resume(s::regclass) FROM unnest($${two_in,three_in}$$::text[]) s');
$broker->start_generate(rate => 300, seed => $seed, start_ms => $begin_ms + 3_600_000);
for my $kill (1 .. $kills)
{
    my $run = start('shell');
    Time::HiRes::usleep(30_000 + int(rand(250_000)));
    kill_it($run);
}
$broker->stop_generate;
sql("SELECT anomaly.wait_for_stream('${_}_in')") for qw(one two three);
my $last = start('shell');
wait_for_all('shell', "after $kills kills");
kill_it($last);
check('shell', "after $kills kills");
my @events = printed('shell');
my %distinct = map { $_->[0] => 1 } @events;
note(scalar(@events) - scalar(keys %distinct) . ' repeats in ' . scalar(@events) . ' events');
cmp_ok(sql('SELECT count(DISTINCT rule) FROM anomaly.events_since(0, 1000000)'), '==', 3,
    'from three streams');

done_testing();
