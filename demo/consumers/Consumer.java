// A consumer of the event log, with JDBC: java -cp postgresql.jar Consumer.java NAME
//
// Prints each event after the position of consumer NAME (SELECT anomaly.create_consumer('NAME')) as
// one line of JSON, then says that it has done with it. Killed at any moment it misses nothing and
// may print some events again, with the same seq. Where the database is: PGHOST, PGPORT ...

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.postgresql.PGConnection;

public final class Consumer {
    private static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    private static Connection connect() throws SQLException {
        String user = setting("PGUSER", System.getProperty("user.name"));
        String url = "jdbc:postgresql://" + setting("PGHOST", "localhost") + ":"
            + setting("PGPORT", "5432") + "/" + setting("PGDATABASE", user);
        return DriverManager.getConnection(url, user, System.getenv("PGPASSWORD"));
    }

    /** Handles all there is, a hundred at a time. */
    private static void catchUp(Connection connection, String name) throws SQLException {
        try (PreparedStatement read = connection.prepareStatement(
                 "SELECT seq, json_build_array(seq, id, message)::text"
                 + " FROM anomaly.consumer_events(?, 100) ORDER BY seq");
             PreparedStatement done = connection.prepareStatement(
                 "SELECT anomaly.consumer_ack(?, ?)")) {
            read.setString(1, name);
            done.setString(1, name);
            while (true) {
                long last = -1;
                try (ResultSet events = read.executeQuery()) {
                    while (events.next()) {
                        last = events.getLong(1);
                        System.out.println(events.getString(2));
                    }
                }
                if (last < 0) return;
                done.setLong(2, last);
                done.execute();
            }
        }
    }

    /** Until the connection ends. LISTEN comes first: what happens after it, it hears of. */
    private static void consume(String name) throws SQLException {
        try (Connection connection = connect(); Statement listen = connection.createStatement()) {
            listen.execute("LISTEN anomaly");
            while (true) {
                catchUp(connection, name);
                // A hint says that there is more; every 5 s it looks without being told.
                connection.unwrap(PGConnection.class).getNotifications(5000);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 1) throw new IllegalArgumentException("usage: Consumer NAME");
        while (true) {
            try {
                consume(arguments[0]);
            } catch (SQLException error) {
                // Classes 08 and 57 are connections; anything else will not get better by itself.
                String state = String.valueOf(error.getSQLState());
                if (!state.startsWith("08") && !state.startsWith("57")) throw error;
                System.err.println("lost the connection: " + error.getMessage());
                Thread.sleep(1000);
            }
        }
    }
}
