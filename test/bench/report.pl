#!/usr/bin/env perl
# report.pl DIR MESSAGES MACHINE [DOCS]: a table of medians, spread and ratios of DIR/figures (each
# line a run: contender, messages, seconds, CPU seconds, peak memory in kB) and one of the goals
# beside DIR/results (each line a run: goal, what, figure, unit, least or most, the goal), and one
# of DIR/profile (load, place, its share of the CPU time). With DOCS also as DOCS/performance.md,
# with a plot.
use strict;
use warnings;
use File::Basename qw(dirname);

my %label = (
    raw => 'librdkafka, consume and drop: the limit',
    anomaly => 'anomaly, committed in PostgreSQL',
    'flink-warm' => 'Flink SQL, warm',
    'flink-cold' => 'Flink SQL, from a cold start',
    plain => 'plain PostgreSQL, COPY and SELECT',
);
my %goal = (raw => [ P1 => 0.8 ], 'flink-warm' => [ P2 => 3.5 ], 'flink-cold' => [ P2 => 6 ],
    plain => [ P2 => 20 ]);

sub median
{
    my @sorted = sort { $a <=> $b } @_;
    my $middle = int(@sorted / 2);
    return @sorted % 2 ? $sorted[$middle] : ($sorted[$middle - 1] + $sorted[$middle]) / 2;
}

# 1234567 as 1,234,567.
sub grouped
{
    my ($number) = @_;
    my $text = reverse sprintf('%.0f', $number);
    $text =~ s/(\d{3})(?=\d)/$1,/g;
    return scalar reverse $text;
}

sub rows_of
{
    my ($file) = @_;
    open(my $in, '<', $file) or return;
    my @rows = map { chomp; [ split /\t/ ] } <$in>;
    close($in);
    return @rows;
}

my ($dir, $messages, $machine, $docs) = @ARGV;
my (%runs, @order);
for (rows_of("$dir/figures"))
{
    my ($name, $count, $seconds, $cpu, $peak) = @$_;
    push @order, $name unless $runs{$name};
    push @{ $runs{$name} },
      { rate => $count / $seconds, seconds => $seconds, cpu => $cpu, peak => $peak };
}
my %median;
for my $name (@order)
{
    for my $figure (qw(rate seconds cpu peak))
    {
        $median{$name}{$figure} = median(map { $_->{$figure} } @{ $runs{$name} });
    }
}

sub throughput_table
{
    my $out = "| what | runs | messages/s | from, to | seconds | CPU s | peak MB |\n"
      . "|---|---|---|---|---|---|---|\n";
    for my $name (sort { $median{$b}{rate} <=> $median{$a}{rate} } @order)
    {
        my @rates = sort { $a <=> $b } map { $_->{rate} } @{ $runs{$name} };
        $out .= sprintf "| %s | %d | %s | %s, %s | %.2f | %.2f | %.0f |\n", $label{$name},
          scalar @rates, grouped($median{$name}{rate}), grouped($rates[0]), grouped($rates[-1]),
          @{ $median{$name} }{qw(seconds cpu)}, $median{$name}{peak} / 1024;
    }
    return $out;
}

# What the parts measured, a row for each figure: the goal's number, what, the runs' figures, unit,
# sense, goal.
sub measured
{
    my (%row, @what);
    for (rows_of("$dir/results"))
    {
        my ($number, $what, $figure, @goal) = @$_;
        push @what, $what unless $row{$what};
        $row{$what} //= [ $number, $what, [], @goal ];
        push @{ $row{$what}[2] }, $figure;
    }
    return map { $row{$_} } @what;
}

# Goals as they came out, in the same form; of the contenders the quotient of their medians.
sub outcomes
{
    my @out;
    for my $other (grep { $goal{$_} && $runs{anomaly} } @order)
    {
        my ($number, $least) = @{ $goal{$other} };
        my $what = "anomaly / $label{$other}";
        $what .= sprintf(' (librdkafka alone: %.3g)', $median{raw}{rate} / $median{$other}{rate})
          if $runs{raw} && $other ne 'raw';
        push @out, [ $number, $what, [ $median{anomaly}{rate} / $median{$other}{rate} ], '',
            'least', $least ];
    }
    my $number = sub { substr($_[0][0], 1) };
    return sort { $number->($a) <=> $number->($b) } @out, measured();
}

sub goal_table
{
    my $out = "| goal | what | figure | runs: from, to | wanted | |\n|---|---|---|---|---|---|\n";
    for (outcomes())
    {
        my ($number, $what, $figures, $unit, $sense, $wanted) = @$_;
        my @sorted = sort { $a <=> $b } @$figures;
        my $figure = median(@sorted);
        my $met = $sense eq 'least' ? $figure >= $wanted : $figure <= $wanted;
        my $spread = @sorted > 1 ? sprintf('%d: %.4g, %.4g', scalar @sorted, @sorted[ 0, -1 ]) : '';
        $out .= sprintf "| %s | %s | %.4g%s | %s | at %s %s | %s |\n", $number, $what, $figure,
          $unit eq '' ? '' : " $unit", $spread, $sense, $wanted, $met ? 'met' : '**missed**';
    }
    return $out;
}

# Where the worker's CPU goes: a row for each place, a column for each load.
sub profile_table
{
    my (@loads, @places, %share);
    for (rows_of("$dir/profile"))
    {
        my ($load, $place, $percent) = @$_;
        push @loads, $load unless grep { $_ eq $load } @loads;
        push @places, $place unless $share{$place};
        $share{$place}{$load} = $percent;
    }
    return '' unless @loads;
    my $out = join(' | ', '| CPU time of the worker', @loads) . " |\n";
    $out .= '|---' x (1 + @loads) . "|\n";
    for my $place (@places)
    {
        $out .= join(' | ', "| $place",
            map { defined $share{$place}{$_} ? "$share{$place}{$_} %" : '' } @loads) . " |\n";
    }
    return "$out\n";
}

# Bars of messages a second.
sub plot
{
    my ($bar, $left, $width) = (28, 270, 420);
    my @names = sort { $median{$b}{rate} <=> $median{$a}{rate} } @order;
    my $most = $median{ $names[0] }{rate};
    my $height = @names * $bar + 30;
    my $out = qq(<svg xmlns="http://www.w3.org/2000/svg" width="800" height="$height" )
      . qq(font-family="sans-serif" font-size="13">\n)
      . qq(<rect width="100%" height="100%" fill="white"/>\n);
    for my $i (0 .. $#names)
    {
        my $name = $names[$i];
        my $long = $width * $median{$name}{rate} / $most;
        my $y = 15 + $i * $bar;
        my $colour = $name eq 'anomaly' ? '#336791' : '#b0b8c0';
        $out .= sprintf qq(<text x="%d" y="%d" text-anchor="end">%s</text>\n), $left - 8,
          $y + 15, $label{$name};
        $out .= sprintf qq(<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>\n), $left, $y,
          $long, $bar - 8, $colour;
        $out .= sprintf qq(<text x="%.1f" y="%d">%s/s</text>\n), $left + $long + 6, $y + 15,
          grouped($median{$name}{rate});
    }
    return "$out</svg>\n";
}

sub write_file
{
    my ($file, $text) = @_;
    open(my $out, '>', $file) or die "$file: $!\n";
    print {$out} $text;
    close($out) or die "$file: $!\n";
    return;
}

# Why it is so, in words: test/bench/notes.md.
sub notes
{
    my $file = dirname(__FILE__) . '/notes.md';
    open(my $in, '<', $file) or die "$file: $!\n";
    my $text = do { local $/ = undef; <$in> };
    return $text =~ s/\n\z//r;
}

my $throughput = @order ? throughput_table() . "\n" : '';
print $throughput, goal_table(), "\n", profile_table();
exit unless $docs;
my $count = grouped($messages);
write_file("$docs/performance.svg", plot());
write_file("$docs/performance.md", <<"END");
# How fast, beside what

Everything here is the output of `test/bench/run.sh`, which overwrites this file; what each
contender and each part does is in `test/bench/README.md`. The query is the README's: average and
maximum of 35 series in windows of 30 seconds, over $count messages in four partitions of a real
Apache Kafka on the same machine. Figures are medians; ratios are what carries over to another
machine.

$machine

![messages a second](performance.svg)

$throughput
@{[ goal_table() ]}
## Where the CPU time goes

By `perf`, of all threads of the stream's worker while it reads all it can. The 35 series are P1's,
the millions P4's.

@{[ profile_table() ]}@{[ notes() ]}
END
