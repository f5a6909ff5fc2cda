// FlinkSql BROKERS TOPIC: the benchmark's query in Flink SQL, embedded, exactly once (checkpoints
// each second, two slots), from the beginning of the topic to its end, into a sink that drops the
// rows. Twice: from a cold start, its time counted from the start of the JVM, and then warm.
//
// Prints seconds, CPU seconds and peak memory in kB of each, separated by tabs.
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.CheckpointingMode;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;

public class FlinkSql {
    public static void main(String[] arguments) throws Exception {
        final double begun = ManagementFactory.getRuntimeMXBean().getStartTime() / 1e3;
        report(arguments, begun, 0);
        report(arguments, System.currentTimeMillis() / 1e3, cpuSeconds());
        System.exit(0);
    }

    private static void report(String[] arguments, double begun, double cpuBegun)
            throws Exception {
        run(arguments[0], arguments[1]);
        final double seconds = System.currentTimeMillis() / 1e3 - begun;
        System.out.printf("%.3f\t%.2f\t%d%n", seconds, cpuSeconds() - cpuBegun, peakKb());
    }

    private static void run(String brokers, String topic) throws Exception {
        final StreamExecutionEnvironment environment =
            StreamExecutionEnvironment.getExecutionEnvironment(new Configuration());
        environment.setParallelism(2);
        environment.enableCheckpointing(1000, CheckpointingMode.EXACTLY_ONCE);
        final StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
        tables.executeSql(
            "CREATE TABLE cpu_in (hostname STRING, cpu STRING, `usage` DOUBLE,"
            + " occurred_at BIGINT, time_ltz AS TO_TIMESTAMP_LTZ(occurred_at, 3),"
            + " WATERMARK FOR time_ltz AS time_ltz - INTERVAL '10' SECOND)"
            + " WITH ('connector' = 'kafka', 'topic' = '" + topic + "',"
            + " 'properties.bootstrap.servers' = '" + brokers + "',"
            + " 'scan.startup.mode' = 'earliest-offset',"
            + " 'scan.bounded.mode' = 'latest-offset', 'format' = 'json')");
        tables.executeSql(
            "CREATE TABLE cpu_agg (hostname STRING, cpu STRING, window_start TIMESTAMP(3),"
            + " window_end TIMESTAMP(3), usage_avg DOUBLE, usage_max DOUBLE)"
            + " WITH ('connector' = 'blackhole')");
        tables.executeSql(
            "INSERT INTO cpu_agg"
            + " SELECT hostname, cpu, window_start, window_end, avg(`usage`), max(`usage`)"
            + " FROM TABLE(TUMBLE(TABLE cpu_in, DESCRIPTOR(time_ltz), INTERVAL '30' SECOND))"
            + " GROUP BY hostname, cpu, window_start, window_end").await();
    }

    private static double cpuSeconds() {
        final var system = (com.sun.management.OperatingSystemMXBean)
            ManagementFactory.getOperatingSystemMXBean();
        return system.getProcessCpuTime() / 1e9;
    }

    private static long peakKb() throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) return Long.parseLong(line.replaceAll("\\D", ""));
        }
        return 0;
    }
}
