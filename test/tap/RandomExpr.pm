# Random expressions over the columns of a random stream, for 090_random.pl. An expression is SQL
# text
# of the type asked for; it may raise on some rows, but never on all, and never without a column.
package RandomExpr;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(pick chance text_literal expression bare_column comparison);

sub pick { return $_[ int(rand(@_)) ] }
sub chance { return rand() < $_[0] }

my @words = ('doc', 'dopey', 'happy', '', "\xc3\xa9t\xc3\xa9", '17', '-3', 'a b', '2.5', "O'Neil",
    "\xe6\xbc\xa2\xe5\xad\x97", 'true', 'DOC');

sub text_literal { return "'" . (pick(@words) =~ s/'/''/gr) . "'" }

my %constant = (
    bool => sub { pick(qw(true false)) },
    int2 => sub { pick(1, 2, 7, -5, 300) . '::smallint' },
    int4 => sub { pick(1, 2, 3, 7, 10, 100, '(-4)', 2147483647) },
    int8 => sub { pick(1, 5, '(-9)', 1000, '9223372036854775807') . '::bigint' },
    float4 => sub { pick('1.5', '(-0.25)', '3', '1e10') . '::real' },
    float8 => sub { pick('0.5', '2', '(-7.25)', '1e100', '100') . '::float8' },
    text => \&text_literal,
    numeric => sub { pick('1.5', '0.001', '12345678901234567890.123', '(-3)') . '::numeric' },
    date => sub { pick("'2023-11-14'::date", "'2024-02-29'::date", "'infinity'::date") },
    ts => sub { pick("'2023-11-14 22:13:20'::timestamp",
        "'1999-12-31 23:59:59.999999'::timestamp") },
    tstz => sub { pick("'2023-11-14 22:13:50+00'::timestamptz", "'infinity'::timestamptz") },
    uuid => sub { "'00000000-0000-0000-0000-000000000001'::uuid" },
    jsonb => sub { pick(q('{"a": 1}'::jsonb), q('[1, "x"]'::jsonb)) });

# A column of the type, if there is one, or a constant.
sub bare_column
{
    my ($columns, $type) = @_;
    my @fit = grep { $_->{type} eq $type } @$columns;
    return @fit ? pick(@fit)->{name} : undef;
}

sub leaf
{
    my ($columns, $type) = @_;
    my $name = chance(0.75) ? bare_column($columns, $type) : undef;
    return $name // $constant{$type}->();
}

my @integers = qw(int2 int4 int8);
my @floats = qw(float4 float8);
my @ordered = (@integers, @floats, qw(text numeric date ts tstz));

# What takes expressions: each gets a function that makes one of a type.
my $compare = sub {
    my ($e) = @_;
    my ($left, $right) = chance(0.35) ? (pick(@integers, @floats), pick(@integers, @floats)) : ();
    $left = $right = pick(@ordered, 'uuid', 'bool') unless defined $left;
    return '(' . $e->($left) . ' ' . pick('=', '<>', '<', '<=', '>', '>=') . ' ' . $e->($right)
        . ')';
};

sub arithmetic
{
    my ($type, @operators) = @_;
    return sub {
        my ($e) = @_;
        return '(' . $e->($type) . ' ' . pick(@operators) . ' ' . $e->($type) . ')';
    };
}

# The divisor is never a constant zero, nor folded into one.
sub quotient
{
    my ($type, $operator) = @_;
    return sub {
        my ($e, $columns) = @_;
        my $by = bare_column($columns, $type) // $constant{$type}->();
        $by = "nullif($by, 0)" if chance(0.5);
        return '(' . $e->($type) . " $operator $by)";
    };
}

sub unary
{
    my ($from, @templates) = @_;
    return sub { my ($e) = @_; return sprintf(pick(@templates), $e->($from)) };
}

sub general
{
    my ($type) = @_;
    return (
        sub {
            my ($e) = @_;
            my $else = chance(0.5) ? ' ELSE ' . $e->($type) : '';
            return '(CASE WHEN ' . $e->('bool') . ' THEN ' . $e->($type) . "$else END)";
        },
        sub { my ($e) = @_; 'coalesce(' . $e->($type) . ', ' . $e->($type) . ')' },
    );
}

my %forms = (
    bool => [
        $compare, $compare, $compare,
        sub { my ($e) = @_; '(' . $e->('bool') . ' ' . pick(qw(AND OR)) . ' ' . $e->('bool')
            . ')' },
        sub { my ($e) = @_; '(' . $e->('bool') . ' ' . pick(qw(AND OR)) . ' ' . $e->('bool')
            . ')' },
        sub { my ($e) = @_; '(NOT ' . $e->('bool') . ')' },
        sub { my ($e) = @_; '(' . $e->(pick(@ordered, 'jsonb')) . pick(' IS NULL',
            ' IS NOT NULL') . ')' },
        sub { my ($e) = @_; '(' . $e->('bool') . ' IS ' . pick('TRUE', 'NOT TRUE', 'FALSE',
            'UNKNOWN') . ')' },
        sub { my ($e) = @_; my $t = pick(@ordered);
            '(' . $e->($t) . ' IS ' . pick('', 'NOT ') . 'DISTINCT FROM ' . $e->($t) . ')' },
        sub { my ($e) = @_; my $t = pick(@integers, 'float8', 'text');
            '(' . $e->($t) . pick(' IN (', ' NOT IN (') . join(', ', map { $constant{$t}->() } 1
                .. 3) . '))' },
        sub { my ($e) = @_; my $t = pick(@ordered);
            '(' . $e->($t) . ' BETWEEN ' . $e->($t) . ' AND ' . $e->($t) . ')' },
        unary('text', q((%s ~ '^[a-m]')), q((%s LIKE 'd%%')), q((%s ~* 'O')), q(starts_with(%s,
            'ha'))),
        unary('text', q((%s LIKE '%%o_e%%')), q((%s NOT LIKE '_\\_%%')), q((%s LIKE '___')),
            q((%s COLLATE "C" < 'd'))),
        unary('jsonb', q((%s ? 'a')), q((%s @> '{"a": 1}'))),
        unary('int4', '(%s)::bool'),
        unary('tstz', '(extract(second FROM %s) < 20)'),
        general('bool')],
    int2 => [unary('int4', '(%s)::smallint'), unary('int2', '(- %s)', 'abs(%s)'),
        arithmetic('int2', '+', '-', '*'), quotient('int2', '/'), general('int2')],
    int4 => [
        arithmetic('int4', '+', '-', '*'), arithmetic('int4', '+', '-'), quotient('int4', '/'),
        quotient('int4', '%'), unary('int4', '(- %s)', 'abs(%s)'), unary('int8', '(%s)::int'),
        unary('float8', '(%s)::int', 'floor(%s)::int'), unary('int2', '(%s + 1)', '(%s)::int'),
        unary('text', 'length(%s)', 'octet_length(%s)', 'nullif(%s, \'x\')::int',
            "strpos(%s, 'o')", "position('a' IN %s)"),
        sub { my ($e) = @_; 'nullif(' . $e->('int4') . ', ' . $e->('int4') . ')' },
        unary('bool', '(%s)::int'), unary('tstz', 'extract(minute FROM %s)::int'),
        sub { my ($e) = @_; pick(qw(greatest least)) . '(' . $e->('int4') . ', ' . $e->('int4')
            . ')' },
        general('int4')],
    int8 => [
        arithmetic('int8', '+', '-', '*'), quotient('int8', '/'), quotient('int8', '%'),
        unary('int4', '(%s)::bigint'), unary('int8', '(- %s)', 'abs(%s)'),
        unary('float8', '(%s)::bigint'), unary('numeric', '(%s)::bigint'),
        sub { my ($e) = @_; '(' . $e->('int4') . pick(' + ', ' * ', ' - ') . $e->('int8') . ')' },
        general('int8')],
    float4 => [arithmetic('float4', '+', '-', '*'), quotient('float4', '/'), unary('float8',
        '(%s)::real'),
        unary('int4', '(%s)::real'), unary('float4', '(- %s)', 'abs(%s)'), general('float4')],
    float8 => [
        unary('float8', 'trunc(%s)', 'sign(%s)', 'ln(abs(%s))', 'log(%s)', 'power(%s, 1.5)'),
        unary('text', "nullif(%s, '')::float8"),
        sub { my ($e) = @_; pick(qw(greatest least)) . '(' . $e->('float8') . ', '
            . $e->('float8') . ', ' . $e->('float8') . ')' },
        arithmetic('float8', '+', '-', '*'), quotient('float8', '/'), unary('float4',
            '(%s)::float8'),
        unary('int4', '(%s)::float8', 'sqrt(%s)'), unary('int8', '(%s)::float8'),
        unary('numeric', '(%s)::float8'),
        unary('float8', '(- %s)', 'abs(%s)', 'floor(%s)', 'ceil(%s)', 'round(%s)', 'sqrt(%s)',
            'exp(%s)'),
        sub { my ($e) = @_; '(' . $e->('float8') . pick(' + ', ' * ', ' - ') . $e->(pick('int4',
            'float4')) . ')' },
        unary('tstz', 'extract(epoch FROM %s)::float8'), general('float8')],
    text => [
        unary('text', 'upper(%s)', 'lower(%s)', 'substr(%s, 2, 3)', 'left(%s, 2)', 'reverse(%s)',
            'trim(%s)', "replace(%s, 'o', '00')", 'ltrim(%s)', 'rtrim(%s)',
            'right(%s, 2)', 'left(%s, -1)', 'right(%s, -1)', 'substr(%s, 2)',
            'lower(%s COLLATE "C")', 'upper(%s COLLATE "C")',
            'substring(%s FROM -1 FOR 4)', "regexp_replace(%s, '[aeiou]+', '*')", 'md5(%s)'),
        sub { my ($e) = @_; '(' . $e->('text') . ' || ' . $e->('text') . ')' },
        sub { my ($e) = @_; '(' . $e->(pick(@integers, @floats,
            qw(numeric date ts tstz bool uuid jsonb))) . ')::text' },
        sub { my ($e) = @_; 'concat(' . $e->('text') . ", '/', " . $e->(pick('int4', 'tstz',
            'numeric')) . ')' },
        unary('tstz', "to_char(%s, 'YYYY-MM-DD HH24:MI')"), unary('jsonb', "(%s ->> 'a')",
            "(%s #>> '{b,c}')"),
        unary('text', '(%s)::varchar(3)'), general('text')],
    numeric => [
        arithmetic('numeric', '+', '-', '*'), quotient('numeric', '/'),
        unary('int4', '(%s)::numeric'), unary('int8', '(%s)::numeric'), unary('numeric',
            'round(%s, 2)',
            'abs(%s)', 'trunc(%s)', '(%s)::numeric(6,1)'),
        unary('text', '(%s)::numeric'), unary('tstz', 'extract(epoch FROM %s)'),
            general('numeric')],
    date => [unary('ts', '(%s)::date'), unary('tstz', '(%s)::date'), unary('date', '(%s + 1)',
        '(%s - 30)'),
        general('date')],
    ts => [unary('date', '(%s)::timestamp'), unary('tstz', "(%s AT TIME ZONE 'Asia/Tokyo')",
        '(%s)::timestamp'),
        unary('ts', "date_trunc('hour', %s)", "(%s + interval '1 month')",
            "(%s - interval '2 days 3 hours')", "date_trunc('week', %s)",
            "date_trunc('second', %s)"),
        general('ts')],
    tstz => [unary('tstz', "date_trunc('minute', %s)", "date_trunc('day', %s)",
            "(%s - interval '90 seconds')", "(%s + interval '1 day')", "date_trunc('second', %s)",
            "date_trunc('week', %s)", "date_trunc('hour', %s)"),
        sub { my ($e) = @_; pick(qw(greatest least)) . '(' . $e->('tstz') . ', ' . $e->('tstz')
            . ')' },
        unary('ts', '(%s)::timestamptz'), unary('date', '(%s)::timestamptz'),
        unary('float4', "to_timestamp(%s)"), general('tstz')],
    uuid => [general('uuid')],
    jsonb => [unary('jsonb', "(%s -> 'a')", "jsonb_strip_nulls(%s)"),
        unary('int4', 'to_jsonb(%s)', "jsonb_build_object('a', %s)"), general('jsonb')]);

sub expression
{
    my ($columns, $type, $depth) = @_;
    return leaf($columns, $type) if $depth <= 0 || chance(0.2);
    my $e = sub { return expression($columns, $_[0], $depth - 1) };
    return pick(@{ $forms{$type} })->($e, $columns);
}

sub comparison
{
    my ($columns, $depth) = @_;
    return $compare->(sub { return expression($columns, $_[0], $depth - 1) });
}

1;
