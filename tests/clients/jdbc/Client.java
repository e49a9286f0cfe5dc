import java.io.StringReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.io.PrintStream;
import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.postgresql.PGConnection;
import org.postgresql.util.PSQLException;

/** It gives tags to nobody. */
public class Client {
    static Connection connection;

    static String one(String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getString(1);
        }
    }

    static void run(String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            if (statement.execute(sql)) {
                throw new SQLException("rows came of " + sql);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        var env = System.getenv();
        String url = "jdbc:postgresql://" + env.get("PGHOST") + ":" + env.get("PGPORT") + "/" + env.get("PGDATABASE");
        connection = DriverManager.getConnection(url, env.get("PGUSER"), env.get("PGPASSWORD"));
        run("CREATE TABLE items (id int PRIMARY KEY, value text)");
        run("ALTER TABLE items ENABLE ELECTRIC");
        try (Statement statement = connection.createStatement()) {
            statement.execute("ALTER TABLE items ENABLE ELECTRIC");
            out.println("notice: " + statement.getWarnings().getMessage());
        }
        try (var statement = connection.prepareStatement("SELECT ?::int, ?::text")) {
            // From the fifth time on it is a named statement of the server's.
            for (int n = 1; n <= 7; n++) {
                statement.setInt(1, 42);
                statement.setString(2, "ünïcödé");
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    if (n == 7) {
                        out.println("prepared: " + rows.getInt(1) + " " + rows.getString(2));
                    }
                }
            }
        }
        run("INSERT INTO items VALUES (1, 'one'); ALTER TABLE items ENABLE ELECTRIC;"
                + "INSERT INTO items VALUES (2, 'ELECTRIC ENABLE items')");
        out.println("together: " + one("SELECT count(*) FROM items") + " rows");
        connection.setAutoCommit(false);
        run("ELECTRIC GRANT SELECT ON items TO ANYONE");
        connection.rollback();
        out.println("rolled back: " + one("SELECT count(*) FROM electric.grants") + " grants");
        run("ELECTRIC GRANT SELECT ON items TO ANYONE");
        connection.commit();
        out.println("committed: " + one("SELECT count(*) FROM electric.grants") + " grants");
        connection.setAutoCommit(true);
        try {
            run("ALTER TABLE items DROP COLUMN value");
        } catch (PSQLException error) {
            out.println("refused: " + error.getSQLState() + " " + error.getServerErrorMessage().getMessage());
        }
        try {
            run("ELECTRIC GRANT JUNK ON items TO ANYONE");
        } catch (PSQLException error) {
            out.println("syntax: " + error.getSQLState() + " at " + error.getServerErrorMessage().getPosition());
        }
        var copies = connection.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder rows = new StringBuilder();
        for (int n = 1001; n <= 2000; n++) {
            rows.append(n).append("\tcopied\n");
        }
        long in = copies.copyIn("COPY items FROM STDIN", new StringReader(rows.toString()));
        long back = copies.copyOut("COPY (SELECT * FROM items WHERE id > 1000) TO STDOUT", new StringWriter());
        out.println("copied: " + in + " in, " + back + " out");
        try (var statement = connection.prepareStatement("SELECT ?::text")) {
            statement.setString(1, "x".repeat(1_000_000));
            try (ResultSet large = statement.executeQuery()) {
                large.next();
                out.println("large: " + large.getString(1).length() + " bytes");
            }
        }
        connection.close();
    }
}
