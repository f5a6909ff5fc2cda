\echo '-- Every finding is a row, committed together with the window that it is about.'
SELECT seq, kind, window_end, message FROM anomaly.events_since(0) LIMIT 5;
SELECT count(*) AS findings FROM anomaly.finding_log;

\echo '-- How the stream is.'
\x on
SELECT * FROM anomaly.stream_status;
\x off
