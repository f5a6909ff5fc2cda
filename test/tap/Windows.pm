# The seed's readings, window by window of 30 s, so that a test knows when each closes: topic
# cpu_load_stats_real, whose stream has a watermark_delay of 10 s.
package Windows;

use strict;
use warnings;

use Anomaly qw(wait_for_messages);

my $begin_ms = 1_700_000_010_000;    # window 0 begins

# per_window: readings; seed: of those of window 0; tables: what takes them in.
sub new
{
    my ($class, $broker, %of) = @_;
    return bless { tables => [qw(cpu_agg cpu_hot)], %of, broker => $broker, last => -1 }, $class;
}

# The readings of one window more; returns when all tables have them. That closes the one before.
sub next
{
    my ($self, $node) = @_;
    my $per_window = $self->{per_window};
    $self->{last}++;
    $self->{broker}->generate(count => $per_window, seed => $self->{seed} + $self->{last},
        start_ms => $begin_ms + 30_000 * $self->{last}, step_us => int(30_000_000 / $per_window));
    wait_for_messages($node, $_, $self->sent) for @{ $self->{tables} };
    return;
}

# The number of the window that is open.
sub last { return $_[0]{last} }

sub sent { my ($self) = @_; return $self->{per_window} * ($self->{last} + 1) }

# When a window begins, in seconds since 1970, and as SQL.
sub second { my ($self, $number) = @_; return $begin_ms / 1000 + 30 * $number }
sub start { my ($self, $number) = @_; return 'to_timestamp(' . $self->second($number) . ')' }

# SQL: the windows of cpu_agg that are closed so far, from that number on.
sub closed
{
    my ($self, $from) = @_;
    return 'window_start >= ' . $self->start($from)
      . " AND window_end <= (SELECT anomaly.watermark('cpu_agg'))";
}

1;
