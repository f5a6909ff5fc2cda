# Goal: a continuous table equals its own SELECT, whatever the SELECT and whatever the messages.
# Method: random streams, messages and queries, with restarts at random moments; PostgreSQL itself
# decodes the messages into a plain table, and says what each query gives over the good ones that
# were neither late for it nor raised in it. Sums of floats over several partitions may differ by
# the
# order of addition, and nothing else may. ANOMALY_SEED repeats a run, ANOMALY_ROUNDS extends it.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages worker_pids);
use Broker;
use Random qw(random_stream random_message random_query);
use RandomExpr qw(pick chance);
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{ANOMALY_SEED} // time();
my $rounds = $ENV{ANOMALY_ROUNDS} // 3;
my $queries_a_round = 110;
my $phases = 5;
my $messages_a_phase = 250;
diag("ANOMALY_SEED=$seed");
srand($seed);

my $node = cluster('main', max_worker_processes => 40, 'anomaly.batch_rows' => 64,
    'anomaly.commit_interval' => '20ms', fsync => 'off', jit => 'off',
    max_parallel_workers_per_gather => 0, enable_sort => 'off', work_mem => '64MB',
    max_locks_per_transaction => 1024, timezone => pick('Europe/Berlin', 'UTC'));
my $tree = $ENV{ANOMALY_TREE};
$node->safe_psql('postgres', slurp_file("$tree/test/tap/random.sql"));

sub quoted { return defined $_[0] ? "'" . ($_[0] =~ s/'/''/gr) . "'" : 'NULL' }

sub create_stream
{
    my ($stream) = @_;
    my @fields = grep { $_->{path} } @{ $stream->{columns} };
    my $declare = sub {
        my ($with_options) = @_;
        return join(', ', map {
            my $path = !$_->{path} ? '' : join('.', '$', map { "\"$_\"" } @{ $_->{path} });
            "$_->{name} $_->{sql}"
              . ($with_options && $path ? " OPTIONS (path '$path')" : '')
              . ($_->{not_null} ? ' NOT NULL' : '')
              . ($_->{generated} ? " GENERATED ALWAYS AS ($_->{generated}) STORED" : '')
        } @{ $stream->{columns} });
    };
    my ($n) = $stream->{name} =~ /(\d+)/;
    $stream->{number} = $n;
    my $delay_s = $stream->{delay_s} * $stream->{pace};
    $stream->{broker} = Broker->mock(topic => $stream->{topic},
        partitions => $stream->{partitions});
    create_server($node, $stream->{broker}->bootstrap, "queue_$n");
    $node->safe_psql('postgres', "CREATE FOREIGN TABLE $stream->{name} (@{[$declare->(1)]},"
          . " kafka_partition int OPTIONS (metadata 'partition'), kafka_offset bigint OPTIONS
              (metadata 'offset'),"
          . " kafka_key text OPTIONS (metadata 'key')) SERVER queue_$n OPTIONS (topic
              '$stream->{topic}',"
          . " event_time 'at', watermark_delay '$delay_s seconds', idle_timeout '1 hour')");
    $node->safe_psql('postgres', "CREATE TABLE plain_$n (@{[$declare->(0)]},"
          . ' kafka_partition int, kafka_offset bigint, kafka_key text);'
          . "CREATE TYPE fields_$n AS (@{[join(', ', map { qq($_->{name} $_->{sql}) } @fields)]});"
          . "CREATE TABLE raw_$n (kafka_partition int, kafka_offset bigint, kafka_key text,
              message bytea);"
          . "CREATE TABLE bad_$n (kafka_partition int, kafka_offset bigint, reason text);");
    push @{ $stream->{columns} },
      { name => 'kafka_partition', type => 'int4' }, { name => 'kafka_offset', type => 'int8' },
      { name => 'kafka_key', type => 'text' };
    return;
}

# The windows of a message that it was not late for.
sub windows_in_time
{
    my ($query) = @_;
    return ", LATERAL (SELECT w.* FROM $query->{tumble} w WHERE NOT EXISTS"
      . " (SELECT FROM anomaly.late_row a WHERE a.relid = '$query->{name}'::regclass"
      . ' AND (a.kafka_partition, a.kafka_offset, a.window_start)'
      . ' = (p.kafka_partition, p.kafka_offset, w.window_start))) w';
}

# The query over a source. Where $judged: its windows are left open, and it has what the tolerance
# needs.
sub select_from
{
    my ($query, $source, $judged) = @_;
    my $select = $query->{select};
    $select .= join('', map { ", $_->[1] AS tol_$_->[0]" } @{
        $query->{approximate} // [] }) if $judged;
    # As one condition, so that the planner cannot change the order of its parts.
    my $where = !defined $query->{where} ? '' : $judged ? " WHERE ($query->{where}) IS TRUE"
        : " WHERE $query->{where}";
    my $windows = $judged ? '%WINDOWS%' : $query->{tumble} ? ", $query->{tumble}" : '';
    return "SELECT $select FROM $source$windows$where" . ($query->{group} // '')
        . ($query->{having} // '');
}

# Creates the tables; refused may be only what PostgreSQL itself cannot plan.
sub create_tables
{
    my ($stream, @queries) = @_;
    my $sql = join(";\n", map {
        my $with = join(', ', 'anomaly.continuous', @{ $_->{options} });
        'SELECT ' . quoted($_->{name}) . " || ' ' || e FROM attempt("
          . quoted("CREATE TABLE $_->{name} WITH ($with) AS "
              . select_from($_, pick($stream->{name}, "(SELECT * FROM $stream->{name}) s")))
              . ') e WHERE e IS NOT NULL'
    } @queries);
    my %refused = map { /^(\S+) (.*)/ ? ($1, $2) : () } split /\n/, $node->safe_psql('postgres',
        $sql);
    for my $query (grep { $refused{ $_->{name} } } @queries)
    {
        my $plain = select_from($query, "plain_$stream->{number}");
        my $error = $node->safe_psql('postgres', 'SELECT attempt(' . quoted("EXPLAIN $plain")
            . ')');
        # Of several parts that raise, which comes first is not said.
        next if $error ne '' && $refused{ $query->{name} } !~ /continuous table/;
        fail("$query->{name} is refused");
        diag("$refused{$query->{name}}\n$plain");
    }
    return grep { !$refused{ $_->{name} } } @queries;
}

sub produce
{
    my ($stream, $phase) = @_;
    my (@lines, @raw);
    for my $i (1 .. $messages_a_phase)
    {
        my $partition = int(rand($stream->{partitions}));
        my $at = $stream->{begin_ms} + $stream->{pace} * (($phase * $messages_a_phase + $i) * 100
          - (chance(0.04) ? rand(120_000) : rand($stream->{delay_s} * 1000)));
        my $key = pick('\N', 'key', "\xc3\xa9");
        my $message = chance(0.002) ? undef : random_message($stream, $at);
        my $hex = defined $message ? '\x' . unpack('H*', $message) : '\N';
        push @lines, "$partition\t$key\t$hex";
        my $offset = $stream->{next}[$partition]++ // 0;
        push @raw, join("\t", $partition, $offset, $key, defined $message ? "\\$hex" : $hex);
    }
    $stream->{sent} += $messages_a_phase;
    $stream->{broker}->produce(@lines);
    my $file = "${PostgreSQL::Test::Utils::tmp_check}/raw";
    open(my $out, '>', $file) or die $!;
    print {$out} "$_\n" for @raw;
    close($out) or die $!;
    $node->safe_psql('postgres', "COPY raw_$stream->{number} FROM '$file'");
    return;
}

sub disturb
{
    my $what = pick(qw(nothing worker server));
    if ($what eq 'worker')
    {
        $node->safe_psql('postgres', "SELECT pg_terminate_backend($_)") for worker_pids($node,
            'stream worker');
    }
    elsif ($what eq 'server')
    {
        # Starts that come to nothing are followed by pauses; these are ours.
        $node->safe_psql('postgres', 'UPDATE anomaly.stream SET unfinished_starts = 0');
        $node->stop('immediate');
        $node->start;
    }
    return;
}

sub diagnose
{
    diag($node->safe_psql('postgres', 'SELECT s.unfinished_starts, w.*
        FROM anomaly.stream s LEFT JOIN anomaly.stream_workers() w USING (stream)'),
        $node->safe_psql('postgres', "SELECT pid, backend_type, state, wait_event, query FROM"
          . " pg_stat_activity WHERE backend_type LIKE 'anomaly%'"),
        $node->safe_psql('postgres', 'SELECT next_offsets, failures, last_error, committed_at,'
          . ' count(*) FROM anomaly.table_progress GROUP BY 1, 2, 3, 4 ORDER BY 1'));
    return;
}

sub wait_for_all
{
    my ($stream) = @_;
    wait_until($node, <<"SQL", 't', "$stream->{name}: $stream->{sent} messages") or diagnose();
SELECT coalesce(bool_and((SELECT coalesce(sum(greatest(o, 0)), 0) FROM unnest(next_offsets) o)
  >= $stream->{sent}), true)
FROM anomaly.table_progress JOIN anomaly.continuous_table USING (relid)
WHERE stream = '$stream->{name}'::regclass
SQL
    return;
}

sub decode
{
    my ($stream) = @_;
    my @fields = grep { $_->{path} } @{ $stream->{columns} };
    my $paths = join(', ', map {
        quoted($_->{name}) . ', $1 #> ARRAY[' . join(', ', map { quoted($_) } @{ $_->{path} }) . ']'
    } @fields);
    my $n = $stream->{number};
    $node->safe_psql('postgres', "SELECT decode('$n', 'fields_$n', " . quoted($paths) . ', '
          . quoted(join(', ', map { $_->{name} } @fields)) . ')');
    is($node->safe_psql('postgres', <<"SQL"), '', "$stream->{name}: the same messages are bad");
SELECT coalesce(b.reason, 'good'), coalesce(d.reason, 'good'), kafka_partition, kafka_offset,
  encode(r.message, 'escape')
FROM bad_$n b FULL JOIN
  (SELECT * FROM anomaly.dead_letter WHERE stream = '$stream->{name}'::regclass AND relid IS NULL) d
  USING (kafka_partition, kafka_offset) JOIN raw_$n r USING (kafka_partition, kafka_offset)
WHERE b.reason IS NULL OR d.reason IS NULL LIMIT 5
SQL
    return;
}

sub watermarks
{
    my ($stream) = @_;
    return map { split /\|/ } split /\n/, $node->safe_psql('postgres',
        'SELECT relid::regclass, watermark'
          . " FROM anomaly.table_status WHERE stream = '$stream->{name}'::regclass AND watermark
              IS NOT NULL");
}

# A message of the last phase whose window was closed before is late, unless the table has no use
# for it.
sub check_late
{
    my ($stream, $first, $closed, @queries) = @_;
    my $last = join(' OR ', map { '(kafka_partition = ' . $_ . ' AND kafka_offset >= '
        . ($first->[$_] // 0) . ')' }
          0 .. $stream->{partitions} - 1);
    my @sql = map { <<"SQL" } grep { $_->{tumble} && $closed->{ $_->{name} } } @queries;
INSERT INTO problem (what) SELECT '$_->{name}: not late:
    ' || kafka_partition || '/' || kafka_offset FROM (
  SELECT * FROM plain_$stream->{number} p WHERE ($last)
  AND NOT EXISTS (SELECT FROM anomaly.dead_letter d WHERE
    d.relid = '$_->{name}'::regclass AND (d.kafka_partition,
        d.kafka_offset) = (p.kafka_partition, p.kafka_offset))
  OFFSET 0) p, $_->{tumble} w
WHERE CASE WHEN w.window_end + interval '$_->{lateness}' <= '$closed->{$_->{name}}'
  AND NOT EXISTS (SELECT FROM anomaly.late_row d WHERE d.relid = '$_->{name}'::regclass
    AND (d.kafka_partition, d.kafka_offset, d.window_start)
      = (p.kafka_partition, p.kafka_offset, w.window_start))
  THEN (@{[$_->{where} // 'true']}) END LIMIT 3
SQL
    $node->safe_psql('postgres', join(";\n", @sql));
    is($node->safe_psql('postgres', 'SELECT what FROM problem ORDER BY id LIMIT 5'), '',
        "$stream->{name}: what was too late is late, in " . @sql . ' tables');
    $node->safe_psql('postgres', 'TRUNCATE problem');
    return;
}

sub check
{
    my ($stream, $closed, @queries) = @_;
    my $plain = "plain_$stream->{number}";
    my @sql;
    for my $query (@queries)
    {
        my $name = $query->{name};
        my $tumble = $query->{tumble} ? ", $query->{tumble}" : '';
        my $where = $query->{where} // 'true';
        my %approximate = map { $_->[0] => 1 } @{ $query->{approximate} // [] };
        my $exact = "(SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM
            pg_attribute"
          . " WHERE attrelid = '$name'::regclass AND attnum > 0 AND attname <> ALL
              ('{@{[join(',', sort keys %approximate)]}}'))";
        my $keys = $query->{kind} eq 'filter' ? undef
          : join(', ', (map { "k$_" } 0 .. $#{ $query->{keys} }), @{
              $query->{window_columns} // [] });
        my $group = $query->{group} ? $query->{group} =~ s/^ GROUP BY //r : undef;
        my $only;
        if ($query->{close} && !$closed)
        {
            next unless grep { $_ eq 'window_end' } @{ $query->{window_columns} };
            $only = "window_end + interval '$query->{lateness}' <= anomaly.watermark('$name')";
        }
        push @sql, "INSERT INTO problem (what) SELECT '$name: ' || p FROM check_rows('$name',
            '$plain', "
          . join(', ', quoted(select_from($query, '%SRC%', 1)),
              quoted($query->{tumble} ? windows_in_time($query) : ''), quoted($where),
              quoted($group),
            quoted($keys), $exact, "'{" . join(',', sort keys %approximate) . "}'",
                quoted($only)) . ') p';
        push @sql, "INSERT INTO problem (what) SELECT '$name: ' || p FROM check_records('$name',
            '$plain', "
          . join(', ', quoted($query->{raw}), quoted($tumble), quoted($where),
            quoted($query->{lateness} // '0')) . ') p';
    }
    my ($result, $out, $error) = $node->psql('postgres', join(";\n", @sql), on_error_stop => 0);
    diag($error) if $error =~ /ERROR/;
    my %bad;
    push @{ $bad{ (split /:/)[0] } }, $_ for split /\n/, $node->safe_psql('postgres',
        "SELECT replace(left(what, 1000), E'\\n', ' ') FROM problem ORDER BY id");
    $node->safe_psql('postgres', 'TRUNCATE problem');
    for my $query (@queries)
    {
        ok(!$bad{ $query->{name} }, "$query->{name}: $query->{kind}") and next;
        diag(join("\n", @{ $bad{ $query->{name} } }, select_from($query, $stream->{name}),
            "WITH (@{$query->{options}})"));
    }
    ok($error !~ /ERROR/, "$stream->{name}: all could be compared");
    return;
}

# What this test has found before, each at its smallest.
sub known_cases
{
    my $broker = Broker->mock(topic => 'known', partitions => 1);
    create_server($node, $broker->bootstrap, 'queue_known');
    $node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE known (n int NOT NULL, b boolean,
    j jsonb) SERVER queue_known OPTIONS (topic 'known');
CREATE FUNCTION mended(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE TABLE known_all WITH (anomaly.continuous) AS SELECT n, b, j FROM known;
CREATE TABLE known_broken WITH (anomaly.continuous) AS SELECT n, count(*),
    mended(7) FROM known GROUP BY n;
CREATE OR REPLACE FUNCTION mended(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE
    ''broken''; END';
SQL
    # jsonb takes the message to PostgreSQL, which has to look at NOT NULL too.
    $broker->produce("0\t\\N\t{\"j\": 1}", "0\t\\N\t{\"j\": 1, \"n\": 5}",
        "0\t\\N\t{\"n\": null, \"j\": 2}");
    wait_for_messages($node, 'known_all', 3);
    is($node->safe_psql('postgres', 'SELECT * FROM known_all'), '5||1',
        'NOT NULL holds where PostgreSQL decodes');
    # An expression over a group that cannot even be prepared: the table fails, and its worker
    # goes on.
    wait_until($node, q{SELECT failures >= 3 FROM anomaly.table_progress
        WHERE relid = 'known_broken'::regclass},
        't', 'a table whose output cannot be prepared is tried again');
    $node->safe_psql('postgres',
        q{CREATE OR REPLACE FUNCTION mended(int) RETURNS int LANGUAGE plpgsql
        IMMUTABLE AS 'BEGIN RETURN $1 + 1; END'});
    wait_for_messages($node, 'known_broken', 3);
    is($node->safe_psql('postgres', 'SELECT * FROM known_broken'), '5|1|8',
        'and goes on once it is mended');
    unlike(slurp_file($node->logfile), qr/terminated by signal/, 'no worker has crashed');
    like($node->safe_psql('postgres',
        q{SELECT attempt('CREATE TABLE known_never WITH (anomaly.continuous) AS
        SELECT n, count(*), (''a b''::text)::numeric FROM known GROUP BY n')}),
        qr/invalid input syntax/,
        'a constant part that always raises is refused');
    $node->safe_psql('postgres', 'DROP TABLE known_all, known_broken; DROP FOREIGN TABLE known;'
          . 'TRUNCATE anomaly.dead_letter');
    $broker->stop;
    return;
}

known_cases();
my $all = 0;
for my $round (1 .. $rounds)
{
    my $stream = random_stream($round);
    create_stream($stream);
    my @queries = map { random_query($stream, "q${round}_$_") } 1 .. $queries_a_round;
    my @later = splice(@queries, $queries_a_round * 0.7);
    @queries = create_tables($stream, @queries);
    for my $phase (1 .. $phases)
    {
        produce($stream, $phase);
        push @queries, create_tables($stream, @later) if $phase == 3;
        wait_for_all($stream) if chance(0.5);
        disturb();
    }
    wait_for_all($stream);
    # What is closed now: after it, whatever goes there has to be late.
    my %closed = watermarks($stream);
    my $before = { sent => [ @{ $stream->{next} } ] };
    produce($stream, $phases + 1);
    wait_for_all($stream);
    decode($stream);
    check_late($stream, $before->{sent}, \%closed, @queries);
    check($stream, 0, @queries);
    my @windowed = grep { $_->{kind} eq 'windowed' } @queries;
    $node->safe_psql('postgres', join(';', map {
        "SELECT anomaly.close_windows('$_->{name}')" } @windowed));
    wait_until($node, "SELECT sum(open_windows) = 0 FROM anomaly.table_status WHERE stream =
        '$stream->{name}'::regclass",
        't', "$stream->{name}: all windows are closed");
    check($stream, 1, @windowed);
    is($node->safe_psql('postgres',
        "SELECT string_agg(last_error, ', ') FROM anomaly.table_progress"), '',
        "$stream->{name}: no table has failed");
    $all += @queries;
    my $count = $node->safe_psql('postgres',
        "SELECT (SELECT count(*) FROM plain_$round), (SELECT count(*) FROM bad_$round),"
          . " (SELECT count(*) FROM anomaly.late_row), (SELECT count(*) FROM anomaly.dead_letter
              WHERE relid IS NOT NULL)");
    note("$stream->{name}: $stream->{partitions} partitions, good|bad|late|dead: $count");
    $node->safe_psql('postgres', 'DROP TABLE ' . join(', ', map { $_->{name} } @queries));
    $stream->{broker}->stop;
}
cmp_ok($all, '>=', $rounds * $queries_a_round * 0.9, "$all queries");
done_testing();
