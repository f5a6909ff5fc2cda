// A consumer of the event log, with pgx: go run . NAME
//
// Prints each event after the position of consumer NAME (SELECT anomaly.create_consumer('NAME')) as
// one line of JSON, then says that it has done with it. Killed at any moment it misses nothing and
// may print some events again, with the same seq. Where the database is: PGHOST, PGPORT ...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// catchUp handles all there is, a hundred at a time.
func catchUp(ctx context.Context, connection *pgx.Conn, name string) error {
	for {
		rows, err := connection.Query(ctx,
			"SELECT seq, json_build_array(seq, id, message)::text"+
				" FROM anomaly.consumer_events($1, 100) ORDER BY seq", name)
		if err != nil {
			return err
		}
		var last int64 = -1
		var event string
		_, err = pgx.ForEachRow(rows, []any{&last, &event}, func() error {
			_, err := fmt.Println(event)
			return err
		})
		if err != nil || last < 0 {
			return err
		}
		if _, err = connection.Exec(ctx, "SELECT anomaly.consumer_ack($1, $2)", name, last); err != nil {
			return err
		}
	}
}

// wait returns when there is a hint that there is more, and after 5 s without one.
func wait(ctx context.Context, connection *pgx.Conn) error {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := connection.WaitForNotification(limited)
	if pgconn.Timeout(err) && !connection.IsClosed() {
		return nil
	}
	return err
}

// consume goes on until the connection ends. LISTEN comes first: what happens after it, it hears of.
func consume(ctx context.Context, name string) error {
	connection, err := pgx.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, "LISTEN anomaly")
	for err == nil {
		if err = catchUp(ctx, connection, name); err == nil {
			err = wait(ctx, connection)
		}
	}
	return err
}

// Classes 08 and 57 are connections; what did not come from the server is the network's.
func isLostConnection(err error) bool {
	var fromServer *pgconn.PgError
	if !errors.As(err, &fromServer) {
		return true
	}
	return strings.HasPrefix(fromServer.Code, "08") || strings.HasPrefix(fromServer.Code, "57")
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: consumer NAME")
		os.Exit(1)
	}
	for {
		err := consume(context.Background(), os.Args[1])
		fmt.Fprintln(os.Stderr, err)
		if !isLostConnection(err) {
			os.Exit(1)
		}
		time.Sleep(time.Second)
	}
}
