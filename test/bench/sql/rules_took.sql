-- The microseconds that all rules took in a commit, and the median from one commit to the next.
SELECT round(extract(epoch FROM sum(total_time)) * 1e6 / max(evaluations), 1),
  (SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY us)) FROM (SELECT
    extract(epoch FROM at - lag(at) OVER (ORDER BY at)) * 1e6 AS us FROM ticks) AS pauses)
FROM anomaly.rule;
