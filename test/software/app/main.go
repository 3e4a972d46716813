// Command app is a web application as people run it beside databases. It keeps its rows in
// PostgreSQL, in MariaDB and in Redis, and like most applications it exits if one of
// them is not there when it starts.
//
//	POST /rows/N     writes row N to all three: 201 when each of them has acknowledged it
//	GET  /rows/STORE the rows of postgres, mariadb or redis, a number a line
//	GET  /           the number of rows of each: 200 if all three answer
//
// Its environment says where they are: POSTGRES and MARIADB are data source names of the
// drivers, REDIS and LISTEN are host:port. CRASHES may name a file: it gets a line each time that
// the application exits for want of one of them. `app -check` is its health check.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/gomodule/redigo/redis"
	_ "github.com/lib/pq"
)

// patience is how long a store may take to answer. One that refuses the connection ends the
// application at once.
const patience = time.Minute

func main() {
	check := flag.Bool("check", false, "only ask the application that listens, and exit 1 unless it is well")
	flag.Parse()
	listen := os.Getenv("LISTEN")
	if *check {
		if err := ask("http://" + net.JoinHostPort("127.0.0.1", port(listen))); err != nil {
			fmt.Fprintln(os.Stderr, "app:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	all, err := open(ctx)
	if err != nil {
		crash(err)
	}
	// No limit of time for a request: a database on a slow disk may need long.
	server := &http.Server{Addr: listen, Handler: handler(all), ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		crash(err)
	}
}

// crash ends the application as a missing store does.
func crash(err error) {
	fmt.Fprintln(os.Stderr, "app:", err)
	if file := os.Getenv("CRASHES"); file != "" {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
		if err == nil {
			_, err = fmt.Fprintln(f, "app")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "app:", err)
		}
	}
	os.Exit(1)
}

func port(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		crash(fmt.Errorf("LISTEN=%s: %w", address, err))
	}
	return port
}

// ask returns an error unless the URL answers well.
func ask(url string) error {
	client := http.Client{Timeout: patience}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// A store keeps rows.
type store interface {
	// add returns when the row is acknowledged.
	add(ctx context.Context, n int64) error
	rows(ctx context.Context) ([]int64, error)
}

// stores are the stores by name.
type stores map[string]store

// open connects to all stores.
func open(ctx context.Context) (stores, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all := stores{}
	for _, d := range []struct{ name, driver, source, insert string }{
		{"postgres", "postgres", os.Getenv("POSTGRES"), "INSERT INTO numbers VALUES ($1)"},
		{"mariadb", "mysql", os.Getenv("MARIADB"), "INSERT INTO numbers VALUES (?)"},
	} {
		db, err := sql.Open(d.driver, d.source)
		if err == nil {
			db.SetMaxIdleConns(8)
			_, err = db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS numbers (n BIGINT PRIMARY KEY)")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		all[d.name] = database{db, d.insert}
	}
	r := keys{&redis.Pool{MaxIdle: 8, DialContext: func(ctx context.Context) (redis.Conn, error) {
		return redis.DialContext(ctx, "tcp", os.Getenv("REDIS"))
	}}}
	if _, err := r.do(ctx, "PING"); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	all["redis"] = r
	return all, nil
}

// A database is PostgreSQL or MariaDB.
type database struct {
	*sql.DB
	insert string
}

func (d database) add(ctx context.Context, n int64) error {
	_, err := d.ExecContext(ctx, d.insert, n)
	return err
}

func (d database) rows(ctx context.Context) (all []int64, err error) {
	rows, err := d.QueryContext(ctx, "SELECT n FROM numbers")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// keys are a set in Redis.
type keys struct{ *redis.Pool }

func (k keys) do(ctx context.Context, command string, args ...any) (any, error) {
	conn, err := k.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return redis.DoContext(conn, ctx, command, args...)
}

func (k keys) add(ctx context.Context, n int64) error {
	_, err := k.do(ctx, "SADD", "numbers", n)
	return err
}

func (k keys) rows(ctx context.Context) ([]int64, error) {
	return redis.Int64s(k.do(ctx, "SMEMBERS", "numbers"))
}

func handler(all stores) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rows/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := all.add(r.Context(), n); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("GET /rows/{store}", func(w http.ResponseWriter, r *http.Request) {
		s, ok := all[r.PathValue("store")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		rows, err := s.rows(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		for _, n := range rows {
			fmt.Fprintln(w, n)
		}
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		text := ""
		for name, s := range all {
			rows, err := s.rows(r.Context())
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			text += fmt.Sprintf("%s: %d rows\n", name, len(rows))
		}
		fmt.Fprint(w, text)
	})
	return mux
}

// add writes a row to all stores side by side.
func (all stores) add(ctx context.Context, n int64) error {
	results := make(chan error, len(all))
	for name, s := range all {
		go func() {
			err := s.add(ctx, n)
			if err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			results <- err
		}()
	}
	var failed []error
	for range all {
		failed = append(failed, <-results)
	}
	return errors.Join(failed...)
}
