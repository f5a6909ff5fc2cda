\echo '-- Once more: from now on only sneezy is over its threshold.'
UPDATE cpu_thresholds SET allowed_top = 90 WHERE hostname IN ('doc', 'dopey');
UPDATE cpu_thresholds SET allowed_top = 80 WHERE hostname = 'sneezy';
