# A stream of Random.pm in a cluster: its broker's messages, the continuous tables over it, and the
# judge, which is PostgreSQL itself over a plain table (random.sql). For 090_random.pl and
# 091_random_kill.pl.
#
#   declare_stream($node, $broker, $stream);
#   my @queries = create_tables($stream, @random_queries);
#   $broker->produce(random_lines($stream, 250));    # as often as wanted
#   judge($stream, sub { ... }, @queries);           # in the end
package Judge;

use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until);
use Exporter qw(import);
use PostgreSQL::Test::Utils;
use Random qw(random_message);
use RandomExpr qw(pick chance);
use Test::More;

our @EXPORT_OK = qw(judging_cluster declare_stream create_tables random_lines wait_for_all judge
  diagnose);

# A cluster whose judge can follow: no plan changes the order of messages more than it must.
sub judging_cluster
{
    my (%settings) = @_;
    my $node = cluster('main', max_worker_processes => 40, 'anomaly.batch_rows' => 64,
        'anomaly.commit_interval' => '20ms', jit => 'off', max_parallel_workers_per_gather => 0,
        enable_sort => 'off', work_mem => '64MB', max_locks_per_transaction => 1024,
        timezone => pick('Europe/Berlin', 'UTC'), %settings);
    $node->safe_psql('postgres', slurp_file("$ENV{ANOMALY_TREE}/test/tap/random.sql"));
    return $node;
}

sub quoted { return defined $_[0] ? "'" . ($_[0] =~ s/'/''/gr) . "'" : 'NULL' }

# The stream, and the plain tables that it is compared with. The broker has its topic.
sub declare_stream
{
    my ($node, $broker, $stream) = @_;
    $stream->{node} = $node;
    my @fields = grep { $_->{path} } @{ $stream->{columns} };
    my @kinds = $node->pg_version >= 18 ? qw(STORED VIRTUAL) : 'STORED';
    my $declare = sub {
        my ($with_options) = @_;
        return join(', ', map {
            my $path = !$_->{path} ? '' : join('.', '$', map { "\"$_\"" } @{ $_->{path} });
            "$_->{name} $_->{sql}"
              . ($with_options && $path ? " OPTIONS (path '$path')" : '')
              . ($_->{not_null} ? ' NOT NULL' : '')
              . (!$_->{generated} ? '' : " GENERATED ALWAYS AS ($_->{generated}) "
                  . ($with_options ? pick(@kinds) : 'STORED'))
        } @{ $stream->{columns} });
    };
    my ($n) = $stream->{name} =~ /(\d+)/;
    $stream->{number} = $n;
    $stream->{sent} = 0;
    my $delay_s = $stream->{delay_s} * $stream->{pace};
    create_server($node, $broker->bootstrap, "queue_$n");
    $node->safe_psql('postgres', "CREATE FOREIGN TABLE $stream->{name} (@{[$declare->(1)]},"
          . " kafka_partition int OPTIONS (metadata 'partition'),"
          . " kafka_offset bigint OPTIONS (metadata 'offset'),"
          . " kafka_key text OPTIONS (metadata 'key')) SERVER queue_$n"
          . " OPTIONS (topic '$stream->{topic}',"
          . " event_time 'at', watermark_delay '$delay_s seconds', idle_timeout '1 hour')");
    $node->safe_psql('postgres', "CREATE TABLE plain_$n (@{[$declare->(0)]},"
          . ' kafka_partition int, kafka_offset bigint, kafka_key text);'
          . "CREATE TYPE fields_$n AS (@{[join(', ', map { qq($_->{name} $_->{sql}) } @fields)]});"
          . "CREATE TABLE raw_$n (kafka_partition int, kafka_offset bigint, kafka_key text,"
          . ' message bytea);'
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
    my $node = $stream->{node};
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

# So many messages for the broker, as its produce takes them; the judge has them, too.
sub random_lines
{
    my ($stream, $count) = @_;
    my (@lines, @raw);
    for my $i ($stream->{sent} + 1 .. $stream->{sent} + $count)
    {
        my $partition = int(rand($stream->{partitions}));
        my $at = $stream->{begin_ms} + $stream->{pace} * ($i * 100
          - (chance(0.04) ? rand(120_000) : rand($stream->{delay_s} * 1000)));
        my $key = pick('\N', 'key', "\xc3\xa9");
        my $message = chance(0.002) ? undef : random_message($stream, $at);
        my $hex = defined $message ? '\x' . unpack('H*', $message) : '\N';
        push @lines, "$partition\t$key\t$hex";
        my $offset = $stream->{next}[$partition]++ // 0;
        push @raw, join("\t", $partition, $offset, $key, defined $message ? "\\$hex" : $hex);
    }
    $stream->{sent} += $count;
    my $file = "${PostgreSQL::Test::Utils::tmp_check}/raw";
    open(my $out, '>', $file) or die $!;
    print {$out} "$_\n" for @raw;
    close($out) or die $!;
    $stream->{node}->safe_psql('postgres', "COPY raw_$stream->{number} FROM '$file'");
    return @lines;
}

sub diagnose
{
    my ($node) = @_;
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
    my $node = $stream->{node};
    wait_until($node, <<"SQL", 't', "$stream->{name}: $stream->{sent} messages") or diagnose($node);
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
    my $node = $stream->{node};
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
    my $node = $stream->{node};
    return map { split /\|/ } split /\n/, $node->safe_psql('postgres',
        'SELECT relid::regclass, watermark FROM anomaly.table_status'
          . " WHERE stream = '$stream->{name}'::regclass AND watermark IS NOT NULL");
}

# A message of the last phase whose window was closed before is late, unless the table has no use
# for it.
sub check_late
{
    my ($stream, $first, $closed, @queries) = @_;
    my $node = $stream->{node};
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
    my $node = $stream->{node};
    my $plain = "plain_$stream->{number}";
    my @sql;
    for my $query (@queries)
    {
        my $name = $query->{name};
        my $tumble = $query->{tumble} ? ", $query->{tumble}" : '';
        my $where = $query->{where} // 'true';
        my %approximate = map { $_->[0] => 1 } @{ $query->{approximate} // [] };
        my $exact = "(SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)"
          . " FROM pg_attribute WHERE attrelid = '$name'::regclass AND attnum > 0"
          . " AND attname <> ALL ('{@{[join(',', sort keys %approximate)]}}'))";
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
        push @sql, "INSERT INTO problem (what) SELECT '$name: ' || p FROM check_rows("
          . "'$name', '$plain', "
          . join(', ', quoted(select_from($query, '%SRC%', 1)),
              quoted($query->{tumble} ? windows_in_time($query) : ''), quoted($where),
              quoted($group),
            quoted($keys), $exact, "'{" . join(',', sort keys %approximate) . "}'",
                quoted($only)) . ') p';
        push @sql, "INSERT INTO problem (what) SELECT '$name: ' || p FROM check_records("
          . "'$name', '$plain', "
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

# What has been closed is closed for the messages of $produce, which is called once; then
# everything has to be as PostgreSQL has it, with windows open, and with all of them closed.
sub judge
{
    my ($stream, $produce, @queries) = @_;
    my $node = $stream->{node};
    my $n = $stream->{number};
    wait_for_all($stream);
    my %closed = watermarks($stream);
    my @before = @{ $stream->{next} };
    $produce->();
    wait_for_all($stream);
    decode($stream);
    check_late($stream, \@before, \%closed, @queries);
    check($stream, 0, @queries);
    my @windowed = grep { $_->{kind} eq 'windowed' } @queries;
    $node->safe_psql('postgres', join(';', map {
        "SELECT anomaly.close_windows('$_->{name}')" } @windowed));
    wait_until($node, 'SELECT sum(open_windows) = 0 FROM anomaly.table_status'
          . " WHERE stream = '$stream->{name}'::regclass",
        't', "$stream->{name}: all windows are closed");
    check($stream, 1, @windowed);
    is($node->safe_psql('postgres',
        "SELECT string_agg(last_error, ', ') FROM anomaly.table_progress"), '',
        "$stream->{name}: no table has failed");
    my $count = $node->safe_psql('postgres', "SELECT (SELECT count(*) FROM plain_$n),"
          . " (SELECT count(*) FROM bad_$n), (SELECT count(*) FROM anomaly.late_row),"
          . ' (SELECT count(*) FROM anomaly.dead_letter WHERE relid IS NOT NULL)');
    note("$stream->{name}: $stream->{partitions} partitions, good|bad|late|dead: $count");
    $node->safe_psql('postgres', 'DROP TABLE ' . join(', ', map { $_->{name} } @queries));
    return;
}

1;
