package cqlproxy

import (
	"fmt"
	"testing"
)

func TestStatementsAreReadAsTheyAreMeant(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT * FROM k.t WHERE a = 1": "SELECT k t",
		"select a from T":               "SELECT  t",
		`SELECT "From" FROM "K"."My ""T""" WHERE x = 'FROM other'`:                                         `SELECT K My "T"`,
		"SELECT JSON a, writetime(b) FROM k . t":                                                           "SELECT k t",
		"/* FROM x */ SELECT a -- FROM y\n FROM k.t // FROM z":                                             "SELECT k t",
		"INSERT INTO k.t (a, b) VALUES (?, $$ FROM x IF $$)":                                               "INSERT k t",
		"INSERT INTO k.t (a) VALUES (1) IF NOT EXISTS USING TTL 5":                                         "INSERT k t if",
		`UPDATE k.t USING TIMESTAMP 5 SET "if" = 'IF' WHERE a = 1`:                                         "UPDATE k t",
		"UPDATE t SET b = 1 WHERE a = 1 IF b = 2":                                                          "UPDATE  t if",
		"DELETE a FROM k.t WHERE b = 1 IF EXISTS":                                                          "DELETE k t if",
		"BEGIN BATCH INSERT INTO k.t (a) VALUES (1); UPDATE u SET b = 1 WHERE a = 1 IF b = 2; APPLY BATCH": "BATCH k t,u if",
		"BEGIN UNLOGGED BATCH DELETE FROM k.t WHERE a = 1 APPLY BATCH":                                     "BATCH k t unlogged",
		"BEGIN COUNTER BATCH UPDATE k.t SET c = c + 1 WHERE a = 1; APPLY BATCH":                            "BATCH k t counter",
		"CREATE TABLE IF NOT EXISTS k.t (a int PRIMARY KEY)":                                               "CREATE k t",
		"ALTER TABLE t ADD b int":                                                                          "ALTER  t",
		"DROP TABLE IF EXISTS k.t":                                                                         "DROP k t",
		"TRUNCATE k.t":                                                                                     "TRUNCATE k t",
		"TRUNCATE TABLE t":                                                                                 "TRUNCATE  t",
		"CREATE INDEX IF NOT EXISTS i ON k.t (a)":                                                          "CREATE k t",
		"CREATE KEYSPACE IF NOT EXISTS k WITH replication = {}":                                            "CREATE k ",
		"DROP KEYSPACE K": "DROP k ",
		"USE k":           "USE k ",
		`USE "K"`:         "USE K ",
		"LIST ROLES":      "LIST  ",
		"":                "  ",
		"FROM":            "FROM  ",
		"SELECT FROM .":   "SELECT  ",
		`SELECT "`:        "SELECT  ",
		"SELECT 'x":       "SELECT  ",
		"/*":              "  ",
	} {
		s := parseStatement(text)
		got := fmt.Sprintf("%s %s %s", s.operation, s.keyspace, s.table)
		for _, f := range []struct {
			is   bool
			word string
		}{{s.conditional, " if"}, {s.unlogged, " unlogged"}, {s.counter, " counter"}} {
			if f.is {
				got += f.word
			}
		}
		if got != want || s.text != text {
			t.Errorf("%s\nis read as %q, want %q", text, got, want)
		}
	}
}
