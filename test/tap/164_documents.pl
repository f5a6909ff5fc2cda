# Goal: docs/tutorial.md and docs/events.md are true word for word.
# Method: a user who types them in, one after the other; what comes out is what they show. On a
# failure the documents as they ought to be are beside the logs.
use strict;
use warnings;
use Anomaly qw(cluster);
use Broker;
use Document;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = Broker->mock(topic => 'temperature', partitions => 1);
my $node = cluster('main', create => 0);
my $session = Document->new($node, $broker->bootstrap);

for my $name (qw(tutorial events))
{
    my $text = slurp_file("$ENV{ANOMALY_TREE}/docs/$name.md");
    my $made = $session->run($text);
    my $same = is($made, $text, "docs/$name.md shows what really comes");
    append_to_file("$PostgreSQL::Test::Utils::log_path/$name.md.log", $made) unless $same;
    if ($name eq 'tutorial')
    {
        my ($hint) = $text =~ /^(Asynchronous notification .*)$/m;
        is(join("\n", map { s/PID \d+/PID 4711/r } @{ $session->{hints} }), $hint,
            'and the hint that psql shows');
    }
}
$session->close;

done_testing();
