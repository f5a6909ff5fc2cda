# Streams that rest: a worker without a client is known by its threads, of which it has one. Each
# stream inN of topic topicN with the table outN has messages that are numbered from 1 on.
package Resting;

use strict;
use warnings;

use Anomaly qw(wait_until);
use Exporter qw(import);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(threads until_true);

# How many the process has.
sub threads { my ($pid) = @_; return scalar(my @tasks = glob "/proc/$pid/task/*") }

# Passes when the condition holds, in the end.
sub until_true
{
    my ($condition, $name) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    sleep(0.2) until $condition->() || time > $end;
    return ok($condition->(), $name);
}

sub new
{
    my ($class, $node, $broker) = @_;
    return bless { node => $node, broker => $broker, sent => {} }, $class;
}

# The stream of that number, and its first messages.
sub create
{
    my ($self, $of) = @_;
    $self->{node}->safe_psql('postgres',
        "CREATE FOREIGN TABLE in$of (n int) SERVER message_queue OPTIONS (topic 'topic$of');"
          . " CREATE TABLE out$of WITH (anomaly.continuous) AS SELECT n FROM in$of");
    $self->produce($of, 0, 1);
    return $self->is_counted($of, 'at first');
}

sub status
{
    my ($self, $of, $what) = @_;
    return $self->{node}->safe_psql('postgres',
        "SELECT $what FROM anomaly.stream_status WHERE stream = 'in$of'::regclass");
}

sub rests { my ($self, $of) = @_; return threads($self->status($of, 'worker_pid') || 0) == 1 }

sub all_rest
{
    my ($self, $when, @which) = @_;
    return until_true(sub { !grep { !$self->rests($_) } @which }, "$when: @which rest")
      || diag('awake: ' . join(' ', grep { !$self->rests($_) } @which));
}

sub sent { my ($self, $of) = @_; return $self->{sent}{$of} }

# One message to each of the partitions.
sub produce
{
    my ($self, $of, @partitions) = @_;
    $self->{broker}->produce_to({ topic => "topic$of" },
        map { "$_\t\\N\t{\"n\":" . ++$self->{sent}{$of} . '}' } @partitions);
    return;
}

# One that came to the topic in another way.
sub was_sent { my ($self, $of) = @_; return ++$self->{sent}{$of} }

sub is_counted
{
    my ($self, $of, $when) = @_;
    return wait_until($self->{node}, "SELECT count(*) || '|' || count(DISTINCT n) FROM out$of",
        "$self->{sent}{$of}|$self->{sent}{$of}", "$when: each message of stream $of counts once");
}

1;
