# What the TAP tests of the database share: a cluster with the extension, the seed's stream, waiting
# for a state, and comparing tables row for row.
package Anomaly;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT_OK = qw(cluster create_server create_stream create_cpu_tables create_rule wait_until
  goes_on wait_for_messages same_rows consume load_plain check_oracle worker_pids kill_server hold
  let_go program quick log_count);

# A psql that is refused, since the server recovers, may be gone before its query was written, of
# which IPC::Run dies: one more answer that is not the wanted one.
{
    my $poll = PostgreSQL::Test::Cluster->can('poll_query_until');
    no warnings 'redefine';
    *PostgreSQL::Test::Cluster::poll_query_until = sub {
        my @arguments = @_;
        for (;;)
        {
            my $met = eval { $poll->(@arguments) };
            return $met if $@ eq '';
            die $@ if $@ !~ /Broken pipe/;
            Time::HiRes::sleep(0.1);
        }
    };
}

# The seed's two continuous tables. %s is the stream, or a plain table with the same messages.
our %definition = (
    cpu_agg => 'SELECT hostname, cpu, window_start, window_end, avg(usage) AS usage_avg,'
      . " max(usage) AS usage_max FROM %s, tumble(time_ltz, interval '30 seconds')"
      . ' GROUP BY hostname, cpu, window_start, window_end',
    cpu_hot => 'SELECT time_ltz, hostname, cpu, usage FROM %s WHERE usage > 80',
);

# A running cluster that preloads the extension, which is created in database postgres.
# %settings go to postgresql.conf; create => 0 leaves CREATE EXTENSION to the caller.
sub cluster
{
    my ($name, %settings) = @_;
    my $create = delete $settings{create} // 1;
    my %default = (
        shared_preload_libraries => 'anomaly',
        max_worker_processes => 20,
        # The modules of PostgreSQL turn this off; a crash is what some tests are about.
        restart_after_crash => 'on',
        log_line_prefix => '%m [%p] %q%a ',
    );
    %settings = (%default, %settings);
    my $node = PostgreSQL::Test::Cluster->new($name);
    # Whatever the machine's locale is: messages are UTF-8.
    $node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
    # From 16 on an aggregate with ORDER BY sorts the rows of its neighbours, too: what array_agg
    # says of its order would not be that of the rows.
    $settings{enable_presorted_aggregate} //= 'off' if $node->pg_version >= 16;
    $node->append_conf('postgresql.conf',
        join('', map { "$_ = '" . ($settings{$_} =~ s/'/''/gr) . "'\n" } sort keys %settings));
    $node->start;
    $node->safe_psql('postgres', 'CREATE EXTENSION anomaly') if $create;
    return $node;
}

sub create_server
{
    my ($node, $bootstrap, $name) = @_;
    $name //= 'message_queue';
    $node->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER anomaly_kafka"
          . " OPTIONS (bootstrap_servers '$bootstrap')");
    return;
}

# The seed's stream. Named arguments: name, topic, server, and options (a hash that adds to or
# replaces the options of the table).
sub create_stream
{
    my ($node, %of) = @_;
    my $name = $of{name} // 'cpu_in';
    my $server = $of{server} // 'message_queue';
    my %options = (
        topic => $of{topic} // 'cpu_load_stats_real',
        format => 'json',
        event_time => 'time_ltz',
        watermark_delay => '10 seconds',
        startup => 'earliest',
        %{ $of{options} // {} });
    my $options = join(', ', map { "$_ '$options{$_}'" } sort keys %options);
    $node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE $name (
  hostname    text,
  cpu         text,
  usage       double precision,
  occurred_at bigint,
  time_ltz    timestamptz GENERATED ALWAYS AS (to_timestamp(occurred_at / 1000.0)) STORED,
  kafka_partition int    OPTIONS (metadata 'partition'),
  kafka_offset    bigint OPTIONS (metadata 'offset')
) SERVER $server OPTIONS ($options)
SQL
    return;
}

# Both continuous tables over stream cpu_in; %with are options of them without "anomaly.".
sub create_cpu_tables
{
    my ($node, %with) = @_;
    my $with = join(', ', 'anomaly.continuous', map { "anomaly.$_ = '$with{$_}'" } sort keys %with);
    for my $table (sort keys %definition)
    {
        # emit = close is for windows.
        my $own = $table eq 'cpu_hot' ? 'anomaly.continuous' : $with;
        $node->safe_psql('postgres',
            "CREATE TABLE $table WITH ($own) AS " . sprintf($definition{$table}, 'cpu_in'));
    }
    return;
}

# The seed's thresholds, and the rule over them for cpu_agg.
sub create_rule
{
    my ($node) = @_;
    $node->safe_psql('postgres', <<'SQL');
CREATE TABLE cpu_thresholds (hostname text PRIMARY KEY, allowed_top int);
INSERT INTO cpu_thresholds VALUES ('doc', 20), ('grumpy', 30), ('sleepy', 40), ('bashful', 60),
  ('happy', 70), ('sneezy', 80), ('dopey', 90);
CREATE FUNCTION cpu_over_threshold(c cpu_agg) RETURNS SETOF anomaly.finding
LANGUAGE sql STABLE AS $$
  SELECT 'warning', c.usage_avg, t.allowed_top::float8,
         format('host:%s CPU: %s avg CPU value:%s over the threshold %s',
                c.hostname, c.cpu, c.usage_avg, t.allowed_top)
  FROM cpu_thresholds t WHERE t.hostname = c.hostname AND c.usage_avg > t.allowed_top $$;
SELECT anomaly.create_rule('cpu_over_threshold', 'cpu_agg', 'cpu_over_threshold');
SQL
    return;
}

# Waits until the query gives $want (default: t), and passes then.
sub wait_until
{
    my ($node, $sql, $want, $name) = @_;
    $want //= 't';
    return ok($node->poll_query_until('postgres', $sql, $want), $name // "in the end: $sql");
}

# Passes when the statement does, in under a second; what it gives.
sub quick
{
    my ($node, $sql, $name, $database) = @_;
    my $begin = Time::HiRes::time();
    my ($rc, $out, $err) = $node->psql($database // 'postgres', $sql);
    my $took = Time::HiRes::time() - $begin;
    is($rc, 0, "$name succeeds") or diag($err);
    cmp_ok($took, '<', 1, "$name takes under a second");
    return $out;
}

# How often the server's log has it.
sub log_count
{
    my ($node, $pattern) = @_;
    return scalar(() = slurp_file($node->logfile) =~ /$pattern/g);
}

# Passes when the table has some commits that began after the call.
sub goes_on
{
    my ($node, $table, $name) = @_;
    my $from = "FROM anomaly.table_progress WHERE relid = '$table'::regclass";
    my $now = $node->safe_psql('postgres', "SELECT sequence $from");
    return wait_until($node, "SELECT sequence > $now + 3 $from", 't', $name);
}

# Waits until a continuous table has taken in so many messages (over all partitions; the topic has
# no gaps: no transactions, no compaction).
sub wait_for_messages
{
    my ($node, $table, $count) = @_;
    return wait_until($node,
        "SELECT coalesce(sum(greatest(o, 0)), 0) >= $count FROM anomaly.table_progress,"
          . " unnest(next_offsets) o WHERE relid = '$table'::regclass",
        't', "$table has taken in $count messages");
}

# Passes when two queries give the same rows, the same number of times each.
sub same_rows
{
    my ($node, $got, $want, $name) = @_;
    my $differences = $node->safe_psql('postgres', <<"SQL");
WITH got AS MATERIALIZED ($got), want AS MATERIALIZED ($want),
unexpected AS (SELECT * FROM got EXCEPT ALL SELECT * FROM want),
missing AS (SELECT * FROM want EXCEPT ALL SELECT * FROM got)
(SELECT 'unexpected: ' || u::text FROM unexpected u LIMIT 10) UNION ALL
(SELECT 'missing: ' || m::text FROM missing m LIMIT 10)
SQL
    my $rows = $node->safe_psql('postgres', "SELECT count(*) FROM ($want) w");
    ok($differences eq '' && $rows > 0, "$name ($rows rows)") or diag($differences);
    return $differences eq '';
}

# Writes all messages of a topic to a file: partition, offset and message, separated by tabs.
sub consume
{
    my ($bootstrap, $topic, $file) = @_;
    PostgreSQL::Test::Utils::system_or_bail('sh', '-c',
        'exec kcat -b "$1" -C -t "$2" -o beginning -e -q -f "%p\t%o\t%s\n" >"$3"',
        'kcat', $bootstrap, $topic, $file);
    return;
}

# Loads such a file into a new plain table that has the columns of the seed's stream.
sub load_plain
{
    my ($node, $table, $file) = @_;
    $node->safe_psql('postgres', <<"SQL");
CREATE TABLE $table (
  hostname text, cpu text, usage double precision, occurred_at bigint,
  time_ltz timestamptz GENERATED ALWAYS AS (to_timestamp(occurred_at / 1000.0)) STORED,
  kafka_partition int, kafka_offset bigint);
CREATE TEMP TABLE line (kafka_partition int, kafka_offset bigint, message jsonb);
COPY line FROM '$file' (FORMAT csv, DELIMITER E'\\t', QUOTE E'\\b');
INSERT INTO $table (hostname, cpu, usage, occurred_at, kafka_partition, kafka_offset)
SELECT m.hostname, m.cpu, m.usage, m.occurred_at, l.kafka_partition, l.kafka_offset
FROM line l, jsonb_to_record(l.message)
  AS m(hostname text, cpu text, usage double precision, occurred_at bigint);
ANALYZE $table;
SQL
    return;
}

# Passes when the seed's continuous tables equal their own SELECT over a plain table; with $until
# (SQL), only the windows that end by then are compared. Everything exactly, but averages up to the
# order of addition.
sub check_oracle
{
    my ($node, $plain, $name, $until) = @_;
    my $where = defined $until ? "WHERE window_end <= $until" : '';
    my $columns = 'hostname, cpu, window_start, window_end, usage_max';
    my $agg = sprintf($definition{cpu_agg}, $plain);
    my $same = same_rows($node, "SELECT $columns FROM cpu_agg $where",
        "SELECT $columns FROM ($agg) q $where", "$name: cpu_agg, keys and maxima");
    my $far = $node->safe_psql('postgres',
            "SELECT count(*) FROM cpu_agg c JOIN ($agg) q USING (hostname, cpu, window_start)"
          . ' WHERE (abs(c.usage_avg - q.usage_avg) < 1e-9) IS NOT TRUE'
          . (defined $until ? " AND c.window_end <= $until" : ''));
    $same &= is($far, '0', "$name: cpu_agg, averages");
    return same_rows($node, 'SELECT * FROM cpu_hot', sprintf($definition{cpu_hot}, $plain),
        "$name: cpu_hot") && $same;
}

# A session that holds a lock until it is let go.
sub hold
{
    my ($node, $sql) = @_;
    my %session = (in => "BEGIN; $sql; SELECT 'held';\n", out => '', error => '');
    $session{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
        '<', \$session{in}, '>', \$session{out}, '2>', \$session{error},
        IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    $session{run}->pump until $session{out} =~ /held/;
    return \%session;
}

sub let_go
{
    my ($session) = @_;
    $session->{in} .= "COMMIT;\n\\q\n";
    return $session->{run}->finish;
}

# Process ids of the extension's workers whose kind matches, such as 'stream worker'.
sub worker_pids
{
    my ($node, $kind) = @_;
    return split /\n/, $node->safe_psql('postgres',
        "SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'anomaly.*$kind' ORDER BY pid");
}

# The server loses its power: the postmaster and all its children at once, none of whom gets to
# write anything more. start() brings it back.
sub kill_server
{
    my ($node) = @_;
    my $postmaster = $node->{_pid};
    kill('STOP', $postmaster);    # so that it has no more children than these
    for my $attempt (1 .. 3000)
    {
        last if `ps -o stat= -p $postmaster` =~ /^T/;
        BAIL_OUT('a server does not stop') if $attempt == 3000;
    }
    my @processes = ($postmaster, _children_of($postmaster));
    kill('KILL', @processes);
    for my $attempt (1 .. 3000)
    {
        last unless grep { _is_alive($_) } @processes;
        BAIL_OUT('a killed server does not end') if $attempt == 3000;
        Time::HiRes::usleep(10_000);
    }
    # Where nobody reaps orphans, the dead postmaster's number still looks taken.
    unlink($node->data_dir . '/postmaster.pid',
        $node->host . '/.s.PGSQL.' . $node->port . '.lock');
    $node->{_pid} = undef;
    return;
}

sub _children_of
{
    my ($parent) = @_;
    return grep { defined } map { /^\s*(\d+)\s+(\d+)$/ && $2 == $parent ? $1 : undef }
      split /\n/, scalar `ps -e -o pid= -o ppid=`;
}

# A zombie is not.
sub _is_alive
{
    my ($pid) = @_;
    my $state = `ps -o stat= -p $pid`;
    return $state ne '' && $state !~ /^Z/;
}

# Path of a program that CMake built: mock_broker, generate.
sub program
{
    my ($name) = @_;
    my $path = ($ENV{ANOMALY_BIN} // '') . "/$name";
    BAIL_OUT("there is no program $path") unless -x $path;
    return $path;
}

1;
