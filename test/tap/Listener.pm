# A client that LISTENs, as a user would write one: notifications say that there is something new,
# what it is comes from events_since. Keeps every event it has seen.
package Listener;

use strict;
use warnings;

use Session;

# since: the last number that an earlier client has seen.
sub new
{
    my ($class, $node, $since) = @_;
    my $self = bless {
        since => $since // 0, events => [], payloads => [],
        session => Session->new($node, '-At', '-F', "\t") }, $class;
    $self->ask('LISTEN anomaly;');
    $self->read_new;
    return $self;
}

# The answer to a statement; dies when the server is gone. Notifications are put aside.
sub ask
{
    my ($self, $sql) = @_;
    my $answer = $self->{session}->ask($sql);
    push @{ $self->{payloads} }, $1
      while $answer =~ s/^Asynchronous notification "anomaly" with payload "(.*)" received.*\n//m;
    return $answer;
}

# All events since the last one seen: [seq, id, message].
sub read_new
{
    my ($self) = @_;
    for (;;)
    {
        my @new = map { [ split /\t/ ] } split /\n/, $self->ask(
            "SELECT seq, id, message FROM anomaly.events_since($self->{since}, 500);");
        return unless @new;
        push @{ $self->{events} }, @new;
        $self->{since} = $new[-1][0];
    }
}

# Waits for a notification, and reads what is new.
sub wait
{
    my ($self) = @_;
    my $before = @{ $self->{payloads} };
    # psql looks for notifications when it has run a statement, the server when it is idle.
    $self->ask('SELECT FROM pg_sleep(0.05);') until @{ $self->{payloads} } > $before;
    $self->read_new;
    return;
}

sub close { my ($self) = @_; return $self->{session}->close }

1;
