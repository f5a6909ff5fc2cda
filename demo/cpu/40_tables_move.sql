\echo '-- The tables are there, and move.'
SELECT hostname, cpu, window_start, usage_avg, usage_max FROM cpu_agg
ORDER BY window_start DESC, hostname, cpu LIMIT 5;
SELECT count(*) AS windows, min(window_start) AS first, max(window_end) AS last FROM cpu_agg;
SELECT count(*) AS readings_over_80 FROM cpu_hot;
