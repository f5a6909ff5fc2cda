\echo '-- Thresholds are live. From the next window on only doc and dopey are to be heard of.'
UPDATE cpu_thresholds SET allowed_top = CASE WHEN hostname IN ('doc', 'dopey') THEN 50 ELSE 101 END;
