# Goal: every SQL block of docs/rules.md works, and its patterns find what the text says.
# Method: the blocks are run as they stand, then readings come of which is known what they hold; a
# dump of the database has the rules.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables wait_until wait_for_messages);
use Broker;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use Test::More;

my $begin = 1_700_000_010;    # a window begins
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 1);
my $node = cluster('main');
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });
create_cpu_tables($node);

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }

my $page = slurp_file(dirname(abs_path(__FILE__)) . '/../../docs/rules.md');
my @blocks = $page =~ /^```sql\n(.*?)^```$/msg;
cmp_ok(scalar(@blocks), '>=', 8, scalar(@blocks) . ' blocks of SQL');
for my $block (@blocks)
{
    my ($rc, $out, $err) = $node->psql('postgres', $block, on_error_stop => 1);
    my ($title) = $block =~ /\A(.*)/;
    is($err, '', $title);
}

# What the page shows of a plan is its beginning.
my ($shown) = $page =~ /^```\n( Shared by .*?)\(cost=\.\.\.\n```$/ms;
$shown =~ s/^ //mg;
like(sql(q{SELECT * FROM anomaly.explain_rule('a over 70')}), qr/\A\Q$shown\E/, 'the plan');

# Per window: host => usage. Host b stops after window 5.
my @windows = (({ a => 71, b => 61 }) x 2, ({ a => 72, b => 62 }) x 3, { a => 96, b => 61 },
    ({ a => 71 }) x 2);
my $sent = 0;
for my $n (0 .. $#windows)
{
    my $ms = ($begin + 30 * $n + 15) * 1000;
    $broker->produce(map {
        qq(0\t$_\t{"hostname":"$_","cpu":"c","usage":$windows[$n]{$_},"occurred_at":$ms})
    } sort keys %{ $windows[$n] });
    $sent += keys %{ $windows[$n] };
    wait_for_messages($node, $_, $sent) for qw(cpu_agg cpu_hot);
}

sub found
{
    my ($rule) = @_;
    return sql(qq{SELECT string_agg(concat_ws(' ',
        (extract(epoch FROM window_start)::int - $begin) / 30, message), ', '
        ORDER BY window_start, message) FROM anomaly.finding_log WHERE rule = '$rule'});
}
is(found('a over 70'), join(', ', map { "$_ c of a: $windows[$_]{a}" } 0 .. 6), 'parameters');
is(found('a over 90'), '5 c of a: 96', 'others');
is(found('hot'), '', 'nothing was over 99');
is(found('too much'), '5 mean of c of a is 96, 5 peak of c of a is 96', 'several conditions');
is(found('over threshold'), join(', ', map { $_ == 5 ? ('5 c of a', '5 c of b') : "$_ c of b" }
    0 .. 5), 'thresholds with a default');
is(found('unusual'), '5 c of a was 71.6', 'earlier windows');
is(found('has stopped'), '6 c of b has stopped', 'a series that has stopped');
like(sql(q{SELECT * FROM anomaly.explain_rule('over threshold')}), qr/Hash .*Join|Nested Loop Left/,
    'the pattern with a default is a join');
like(sql(q{SELECT * FROM anomaly.explain_rule('unusual')}), qr/Index.* Scan .*on cpu_agg p/,
    'earlier windows come by an index');

# ---- a dump has them ----

my $rules = q{SELECT name, relid::regclass, function, result, evaluate, search_path, parameters,
    enabled FROM anomaly.rule ORDER BY name};
my $log = q{SELECT * FROM anomaly.finding_log ORDER BY id};
my $file = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $file, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d',
        $node->connstr('restored') ], 'restored');
is($node->safe_psql('restored', $rules), sql($rules), 'with its rules');
is($node->safe_psql('restored', $log), sql($log), 'and what they found');

done_testing();
