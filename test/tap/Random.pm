# Random streams, messages and queries for 090_random.pl.
package Random;

use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(shuffle);
use RandomExpr qw(pick chance expression bare_column comparison);

our @EXPORT_OK = qw(random_stream random_message random_query);

my %sql_type = (
    bool => 'boolean', int2 => 'smallint', int4 => 'integer', int8 => 'bigint', float4 => 'real',
    float8 => 'double precision', text => 'text', numeric => 'numeric', date => 'date',
    ts => 'timestamp', tstz => 'timestamptz', uuid => 'uuid', jsonb => 'jsonb');

my %generated = (
    int4 => ['length(%s)', 'text'], float8 => ['%s * 2.5', 'float8'], text => ['upper(%s)', 'text'],
    int8 => ['%s * 1000 + 7', 'int4'], bool => ["%s > 10", 'int4'], numeric => ['%s / 3.0',
        'int8']);

# A stream: its columns (name, type, declaration, path, not_null), its partitions and delay. The
# event
# time is the column "at".
sub random_stream
{
    my ($number) = @_;
    my @columns;
    # Each type once, and some again.
    for my $type (sort(keys %sql_type), map { pick(qw(int4 float8 text text int8 bool)) } 1 .. 3)
    {
        my $name = 'c' . @columns . "_$type";
        my $sql = $sql_type{$type};
        $sql = pick('text', 'varchar(4)', 'text') if $type eq 'text';
        $sql = 'numeric(10,2)' if $type eq 'numeric' && chance(0.3);
        my $column = { name => $name, type => $type, sql => $sql, path => [$name] };
        if (chance(0.25)) { $column->{path} = ['tags', pick('', 'x ') . $name] }
        elsif (chance(0.1)) { $column->{path} = ['tags', 'deep', "\xc3\xa9$name"] }
        $column->{not_null} = chance(0.12);
        push @columns, $column;
    }
    for my $type (map { pick(sort keys %generated) } 1 .. 2)
    {
        my ($template, $from) = @{ $generated{$type} };
        my $of = pick(grep { $_->{type} eq $from && !$_->{generated} } @columns);
        push @columns, { name => 'g' . @columns . "_$type", type => $type, sql => $sql_type{$type},
            generated => sprintf($template, $of->{name}) };
    }
    my $by_number = chance(0.5);
    if ($by_number)
    {
        push @columns, { name => 'at_ms', type => 'int8', sql => 'bigint', path => ['at_ms'] },
          { name => 'at', type => 'tstz', sql => 'timestamptz',
            generated => 'to_timestamp(at_ms / 1000.0)' };
    }
    else
    {
        push @columns, { name => 'at', type => 'tstz', sql => 'timestamptz', path => ['at'] };
    }
    # Seconds, or the weeks around the end of a summer time.
    my $pace = chance(0.4) ? 20_000 : 1;
    return { name => "s$number", topic => "t$number", columns => \@columns, by_number => $by_number,
        pace => $pace, begin_ms => $pace == 1 ? 1_700_000_000_000 : 1_697_000_000_000,
        partitions => $number % 2 ? 1 : 1 + int(rand(4)), delay_s => pick(0, 1, 5, 20) };
}

my %value = (
    bool => sub { pick(qw(true false true false "yes" "off" "t" 1)) },
    int2 => sub { pick(int(rand(20)) - 5, -32768, 32767, '"12"', '1e2', '-0') },
    int4 => sub { pick((map { int(rand(50)) - 10 } 1 .. 4), 2147483647, -2147483648, '"17"',
        '2.5e1', 0) },
    int8 => sub { pick((map { int(rand(2000)) } 1 .. 3), '9223372036854775807',
        '-9223372036854775808',
            '" 5 "', 9007199254740993) },
    float4 => sub { pick(rand(100), 1.5, '-0.1', '1e-30', '3.4e38', '"NaN"', '0', '16777217',
        '-0.0') },
    float8 => sub { pick((map { rand(100) } 1 .. 4), '1e100', '-0.0', '"0.25"', '1e-310',
        '"-Infinity"', 3,
            '0.1', '123456789012345678901234567890', '5e-324') },
    text => sub { pick('"doc"', '"dopey"', '"happy"', '""', '"\u00e9\n\t\"\\\\"',
        "\"\xc3\xa9t\xc3\xa9\"",
            '"\ud83d\ude00"', 17, 'true', '"O\u0027Neil"', '"a b "', '-1.50', '"2.5"',
                '{"a":  1}', '"x\u007f"') },
    numeric => sub { pick(1.50, '"-3.25"', '0.000001', '1e3', '12345678.125', 0, '"NaN"',
        '99999.995') },
    date => sub { pick('"2023-11-14"', '"1969-12-31"', '"infinity"', '"2024-02-29"',
        '"Nov 3 2023"') },
    ts => sub { pick('"2023-11-14 12:00:00.123456"', '"0044-03-15 09:00:00 BC"',
        '"2023-11-14T22:13:20"',
            '"2023-11-14T22:13:20Z"', '"-infinity"', '"2023-11-14T22:13:59.9999999"') },
    tstz => sub { pick('"2023-11-14 12:00:00+02"', '"2023-11-14T22:13:20.5Z"',
        '"2023-11-14 22:13:20"',
            '"infinity"', '"2023-03-26 02:30:00"', '"2023-11-14T22:13:20-08:30"',
                '"20231114T221320Z"') },
    uuid => sub { pick('"00000000-0000-0000-0000-00000000000' . int(rand(4)) . '"',
            '"A0EEBC999C0B4EF8BB6D6BB9BD380A11"') },
    jsonb => sub { pick('{"a": 1}', '{"b": {"c": "x"}, "a": null}', '[1, "x", 2.50]', '"s"', 3,
        'true', '{}') });

# What no column, or not every one, takes.
my @wrong = ('"\u0000"', '"x"', '[]', '1e400', '99999999999999999999', '1.5', '"2023-13-45"',
    '"\ud800"',
    'tru', '01', '"2099-01-01 00:00:00Z"', "\"\xff\"", '{"a"', '');

sub put
{
    my ($tree, $path, $value) = @_;
    my @steps = @$path;
    my $last = pop @steps;
    $tree = $tree->{$_} //= {} for @steps;
    $tree->{$last} = $value;
    return;
}

sub write_object
{
    my ($tree) = @_;
    my @fields;
    for my $name (shuffle(sort keys %$tree))
    {
        my $value = $tree->{$name};
        my $text = ref $value ? write_object($value) : $value;
        my $key = chance(0.02) ? sprintf('\u%04x', ord($name)) . substr($name, 1) : $name;
        $key = $name if ord($name) > 127;
        push @fields, "\"$name\": null" if chance(0.01) && !ref $value;
        push @fields, "\"$key\":" . pick('', ' ', "\t ") . $text;
    }
    push @fields, '"other": ' . pick('1', '[1, {"a": [] }]', '"\u00e9"',
        '{"c1": 2}') if chance(0.1);
    return '{' . pick('', ' ') . join(pick(',', ', '), @fields) . '}';
}

# One message for the stream at about so many milliseconds of event time.
sub random_message
{
    my ($stream, $at_ms) = @_;
    my %tree;
    for my $column (grep { $_->{path} && $_->{name} !~ /^at/ } @{ $stream->{columns} })
    {
        my $rarely = $column->{not_null} ? 0.005 : 0.08;
        next if chance($rarely);
        my $text = chance($rarely) ? 'null' : $value{ $column->{type} }->();
        # Whether it overflows next to a NaN depends on the order, in PostgreSQL too.
        $text = '3e34' if $text eq '3.4e38' && $stream->{partitions} > 1;
        $text = pick(@wrong) if chance(0.002);
        $text = substr($text, 0, 4)
            . '"' if $column->{sql} eq 'varchar(4)' && $text =~ /^"[a-z]{4}/;
        put(\%tree, $column->{path}, $text);
    }
    $tree{tags} = pick('null', '3', '"x"', '[]') if chance(0.01);
    my $ms = sprintf('%d', $at_ms);
    my ($s, $f) = (int($ms / 1000), $ms % 1000);
    my @t = gmtime($s);
    my $iso = sprintf('"%04d-%02d-%02d%s%02d:%02d:%02d.%03d%s"', $t[5] + 1900, $t[4] + 1, $t[3],
        pick('T', ' '), @t[ 2, 1, 0 ], $f, pick('Z', '+00', '', '+00:00'));
    $tree{ $stream->{by_number} ? 'at_ms' : 'at' } =
      chance(0.004) ? pick('null', '"infinity"', '4070908800000', '"2099-01-01 00:00:00Z"')
      : $stream->{by_number} ? $ms : $iso;
    my $message = write_object(\%tree);
    return pick('[]', 'null', '3', '', '{', "$message}", "[$message]", "\xff$message",
        "  $message\r ")
      if chance(0.006);
    substr($message, int(rand(length $message)), 1, pick('', ',', '"', '}', '0',
        "\x01")) if chance(0.006);
    return $message;
}

# ---- queries ----

my @key_types = qw(bool int2 int4 int8 float8 text text text date ts tstz uuid numeric jsonb);

# Of two that are equal, as 0 and -0 or 1.0 and 1.00, a group shows its first. Where nobody can say
# which that is, because messages are sorted or come from several partitions, none is wanted.
sub key
{
    my ($columns, $ordered) = @_;
    my $type = pick(grep { $ordered || !/^float|numeric|jsonb/ } @key_types);
    my $column = bare_column([grep { ($_->{sql} // '') ne 'varchar(4)' } @$columns], $type);
    return $column if $type =~ /^float/ || chance(0.5);
    my $sql = expression($columns, $type, 2);
    return $sql =~ /\b[cg]\d+_|\bat\b/ ? $sql : $column;
}

my %of = (
    count => [qw(bool int4 text numeric jsonb)], sum => [qw(int2 int4 int8 float4 float8)],
    avg => [qw(int2 int4 int8 float4 float8)],
    min => [qw(int2 int4 int8 float4 float8 date ts tstz)],
    max => [qw(int2 int4 int8 float4 float8 date ts tstz)],
    bool_and => ['bool'], bool_or => ['bool'], every => ['bool'],
    stddev => [qw(float4 float8)], var_pop => [qw(float4 float8)]);

# Aggregates that PostgreSQL's own functions compute: what their results are, over what. None
# depends on the order of the messages, but where ORDER BY gives it.
my %computed = (
    'sum(%s)' => ['numeric', qw(numeric)], 'avg(%s)' => ['numeric', qw(numeric)],
    'stddev(%s)' => ['numeric', qw(int2 int4 int8 numeric)],
    'var_pop(%s)' => ['numeric', qw(int4 int8 numeric)],
    'bit_xor(%s)' => ['int8', qw(int8)], 'bit_and(%s)' => ['int8', qw(int8)],
    'min(%s)' => ['text', qw(text)], 'max(%s)' => ['text', qw(text)],
    'min(%s COLLATE "C")' => ['text', qw(text)], 'max(%s COLLATE "C")' => ['text', qw(text)]);
# The values of these are kept, which takes a window.
my %kept = (
    'count(DISTINCT %s)' => ['int8', qw(bool int4 float8 text date numeric uuid tstz)],
    'sum(DISTINCT %s)' => ['int8', qw(int4)],
    'avg(DISTINCT %s)' => ['numeric', qw(int8)],
    'array_agg(DISTINCT %s)' => ['array', qw(text int4 date uuid)],
    'array_agg(%s ORDER BY kafka_partition, kafka_offset)' =>
      ['array', qw(bool int2 float4 text numeric jsonb ts)],
    "string_agg(%s, '-' ORDER BY kafka_offset DESC, kafka_partition)" => ['text', qw(text)],
    'jsonb_agg(%s ORDER BY kafka_partition DESC, kafka_offset)' => ['array', qw(jsonb int4 text)],
    'percentile_disc(0.4) WITHIN GROUP (ORDER BY %s)' => ['int8', qw(int8)],
    'percentile_cont(0.75) WITHIN GROUP (ORDER BY %s)' => ['float8', qw(int4)],
    'mode() WITHIN GROUP (ORDER BY %s)' => ['int8', qw(int8)],
    'rank(7) WITHIN GROUP (ORDER BY %s)' => ['int8', qw(int4)]);

sub computed_aggregate
{
    my ($columns, $of, $filter) = @_;
    my $template = pick(sort keys %$of);
    my ($type, @types) = @{ $of->{$template} };
    my $argument = expression($columns, pick(@types), pick(0, 0, 1, 2));
    return { sql => sprintf($template, $argument) . $filter, type => $type, raw => $argument,
        filter => $filter };
}

# An aggregate: sql, type of its result, and for sums of floats what they add up. sorted: PostgreSQL
# mixes the messages of a group, since some aggregate has them sorted.
sub aggregate
{
    my ($columns, $exact, $sorted) = @_;
    my $filter = chance(0.25) ? ' FILTER (WHERE ' . comparison($columns, 2) . ')' : '';
    return { sql => "count(*)$filter", type => 'int8', raw => '1',
        filter => $filter } if chance(0.2);
    return computed_aggregate($columns, \%kept, $filter) if $sorted && chance(0.6);
    return computed_aggregate($columns, \%computed, $filter) if chance(0.3);
    my $name = pick(grep { $exact || !/stddev|var/ } sort keys %of);
    # Of a zero and its negative the later is the larger, too.
    my $type = pick(grep { !$sorted || $name !~ /min|max/ || !/^float/ } @{ $of{$name} });
    my $float = $type =~ /^float/;
    my $argument = expression($columns, $type, $float && !$exact ? 0 : pick(0, 0, 1, 2));
    my %result = (
        type => $name eq 'count' ? 'int8' : $name =~ /bool|every/ ? 'bool'
          : $name eq 'avg' ? ($float ? 'float8' : 'numeric')
          : $name eq 'sum' ? { int2 => 'int8', int4 => 'int8',
              int8 => 'numeric' }->{$type} // $type : $name =~ /stddev|var/ ? 'float8' : $type,
        sql => "$name($argument)$filter", raw => $argument, filter => $filter);
    $result{sum_of} = $argument if $float && !$exact && $name =~ /sum|avg/;
    return \%result;
}

# What the window of a query may be, and when it closes.
sub add_window
{
    my ($query, $pace) = @_;
    my $days = $pace > 1 && chance(0.7);
    my $size = $days ? pick('1 day', '1 week', '2 days', '1 month')
      : $pace > 1 ? pick('6 hours', '13 hours 7 minutes', '48 hours')
      : pick('30 seconds', '7 seconds', '13.5 seconds', '1 minute', '1 hour', '0.333333 seconds',
        '1 minute 1 second', '23 hours 59 minutes');
    my $offset = $days ? pick('', ", interval '5 hours'", ", interval '-3 days'")
      : pick('', '', ", interval '2.5 seconds'", ", interval '-11 seconds'",
        ", interval '1 hour'");
    # More often than the windows are long, as often, or with gaps.
    my $slide = $size eq '1 month' ? '1 month' : $days ? pick('1 day', '3 days')
      : $pace > 1 ? pick('5 hours', '23 hours') : pick('5 seconds', '17.25 seconds', '2 minutes');
    # Hundreds of windows a message are too much for the judge, group by group.
    my $fine = $pace <= 1 && $size =~ /hour/;
    $query->{tumble} = chance(0.35) && !$fine
      ? "hop(at, interval '$slide', interval '$size'$offset)"
      : "tumble(at, interval '$size'$offset)";
    $query->{lateness} = pick('0', '0', $pace > 1 ? ('1 day', '40 hours')
        : ('3 seconds', '1 minute'));
    push @{ $query->{options} }, "anomaly.allowed_lateness = '$query->{lateness}'"
      if $query->{lateness} ne '0';
    $query->{close} = chance(0.3);
    push @{ $query->{options} }, "anomaly.emit = 'close'" if $query->{close};
    return;
}

# A query: its clauses, and what the comparison needs to know.
sub random_query
{
    my ($stream, $name) = @_;
    my $columns = $stream->{columns};
    my $exact = $stream->{partitions} == 1;
    my $kind = pick(qw(filter filter windowed windowed windowed total));
    my %query = (name => $name, kind => $kind, options => [],
        where => chance(0.6) ? expression($columns, 'bool', 3) : undef);
    if ($kind eq 'filter')
    {
        my $n = 0;
        $query{select} = join(', ', map { expression($columns, pick(sort keys %sql_type), 3)
            . ' AS o' . $n++ }
              1 .. pick(1, 2, 5));
        $query{raw} = $query{select};
        return \%query;
    }
    my %seen;
    my $sorted = $kind eq 'windowed' && chance(0.4);
    my @keys = grep { defined && !$seen{$_}++ } map { key($columns, $exact && !$sorted) }
      1 .. pick(0, 1, 1, 1, 2, 3);
    my @aggregates = map { aggregate($columns, $exact && !$sorted, $sorted) } 1 .. pick(1, 2, 4);
    $query{keys} = \@keys;
    $query{raw} = join(', ', 'at', @keys, map {
        my $f = $_->{filter} =~ s/^ FILTER \(WHERE (.*)\)$/$1/sr;
        $_->{filter} ? "CASE WHEN $f THEN $_->{raw} END" : $_->{raw} } @aggregates);
    my ($n, @outputs, @approximate) = (0);
    push @outputs, "$keys[$_] AS k$_" for 0 .. $#keys;
    for my $aggregate (@aggregates)
    {
        my $name = 'a' . $n++;
        push @outputs, "$aggregate->{sql} AS $name";
        if ($aggregate->{sum_of})
        {
            push @approximate, [$name,
                "sum(abs(($aggregate->{sum_of})::float8))$aggregate->{filter}"];
        }
    }
    $query{approximate} = \@approximate;
    # What can be computed of the aggregates that do not depend on the order.
    my @values = map { { name => "($_->{sql})", type => $_->{type} } } grep {
        !$_->{sum_of} } @aggregates;
    my @window = $kind ne 'windowed' ? () : pick([], ['window_start'], ['window_end']);
    @window = @window && @{ $window[0] } ? @{ $window[0] } : $kind eq 'windowed'
        ? qw(window_start window_end) : ();
    push @values, map { { name => $_, type => 'tstz' } } @window;
    my @derived = grep { my $v = $_; grep {
        $_->{type} eq $v } @values } qw(int8 numeric float8 bool);
    for (1 .. pick(0, 0, 1, 2))
    {
        my $type = @derived ? pick(@derived) : last;
        push @outputs, expression(\@values, $type, 2) . ' AS a' . $n++;
    }
    push @outputs, "($keys[0]) IS NULL AS a" . $n++ if @keys && chance(0.2);
    my @group = @keys;
    if ($kind eq 'windowed')
    {
        push @group, @window;
        push @outputs, @window;
        add_window(\%query, $stream->{pace});
        $query{window_columns} = \@window;
    }
    $query{group} = @group ? ' GROUP BY ' . join(', ', @group) : '';
    my @comparable = grep { $_->{type} =~ /int8|numeric|bool|float8/ } @values;
    $query{having} = chance(0.25) && @comparable ? ' HAVING ' . comparison_of(\@comparable) : '';
    # The order of columns is free.
    $query{select} = join(', ', shuffle(@outputs));
    return \%query;
}

sub comparison_of
{
    my ($values) = @_;
    my $value = pick(@$values);
    return $value->{name} if $value->{type} eq 'bool';
    return "$value->{name} " . pick('>', '<', '<>') . ' ' . pick(0, 1, 3, 10)
      . (chance(0.3) ? " AND 100 / nullif($value->{name}, 7)::int > 0" : '');
}

1;
