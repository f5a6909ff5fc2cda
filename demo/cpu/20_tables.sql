\echo '-- Continuous tables: ordinary tables that workers keep equal to their SELECT.'
CREATE TABLE cpu_agg WITH (anomaly.continuous) AS
SELECT hostname, cpu, window_start, window_end, avg(usage) AS usage_avg, max(usage) AS usage_max
FROM cpu_in, tumble(time_ltz, interval '30 seconds')
GROUP BY hostname, cpu, window_start, window_end;

CREATE TABLE cpu_hot WITH (anomaly.continuous) AS
SELECT time_ltz, hostname, cpu, usage FROM cpu_in WHERE usage > 80;
