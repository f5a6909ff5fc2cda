# Messages as two of the seeds' producers write them, with anomalies that are put in on purpose: the
# seeds' own distributions have either all or nothing over the thresholds. Each function gives rows
# [partition, key, message]; the same seed gives the same rows.
package Seeds;

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use POSIX qw(strftime);

sub _between { my ($low, $high) = @_; return $low + rand($high - $low) }

# The CDN's TCP metrics: ten devices, three metrics a second each, over so many minutes. In one of
# four minutes a metric of a device is bad.
sub tcp_metrics
{
    my ($seed, $begin, $minutes) = @_;
    srand($seed);
    my %normal = (retrans_rate => [ 0, 0.1 ], srtt => [ 50, 400 ], download_speed => [ 500, 2000 ]);
    my %bad = (retrans_rate => [ 0.2, 0.6 ], srtt => [ 600, 1400 ], download_speed => [ 0, 150 ]);
    my @rows;
    for my $minute (0 .. $minutes - 1)
    {
        my %is_bad = map { my $d = $_; map { ("$d $_" => rand() < 0.25) } keys %normal } 0 .. 9;
        for my $second (map { $minute * 60 + 3 * $_ } 0 .. 19)
        {
            my $time = strftime('%Y-%m-%dT%H:%M:%S+00:00', gmtime($begin + $second));
            for my $device (0 .. 9)
            {
                my $id = md5_hex($device);
                for my $metric (sort keys %normal)
                {
                    my $range = $is_bad{"$device $metric"} ? $bad{$metric} : $normal{$metric};
                    my $value = _between(@$range);
                    push @rows, [ $device % 4, $id, qq({"device_id":"$id","report_time":"$time",)
                          . qq("metric_name":"$metric","metric_value":$value}) ];
                }
            }
        }
    }
    return @rows;
}

# The telecommunication demo's: no key, a naive time, one message in 200 ms.
sub network_metrics
{
    my ($seed, $begin, $count) = @_;
    srand($seed);
    my @devices = qw(router-01 router-02 server-01 server-02 switch-01);
    my @rows;
    for my $n (0 .. $count - 1)
    {
        my $at = $begin + int($n / 5);
        my $time = strftime('%Y-%m-%dT%H:%M:%S', gmtime($at))
          . sprintf('.%06d', ($n % 5) * 200_000);
        # Bad for ten seconds at a time, or one mean would hide it.
        my $device = int(rand(5));
        my $is_bad = ((int($at / 10) * 7 + $device * 3) % 10) == 0;
        my ($latency, $loss, $bandwidth) = map { sprintf('%.2f', _between(@$_)) } $is_bad
          ? ([ 100, 200 ], [ 5, 15 ], [ 90, 100 ])
          : ([ 10, 50 ], [ 0, 2 ], [ 30, 70 ]);
        push @rows, [ $n % 4, undef, qq({"device_id":"$devices[$device]","timestamp":"$time",)
              . qq("src_ip":"10.0.0.1","dst_ip":"10.0.0.2","protocol":"TCP",)
              . qq("latency_ms":$latency,"packet_loss_rate":$loss,)
              . qq("bandwidth_usage_percent":$bandwidth,"flow_bytes":)
              . int(_between(1024, 1048576))
              . '}' ];
    }
    return @rows;
}

# As Broker's produce takes them.
sub lines
{
    return map { join("\t", $_->[0], $_->[1] // '\N', $_->[2]) } @_;
}

1;
