package cqlproxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/cassandratest"
	"github.com/backstay-go/backstay/internal/testenv"
)

// What the tests in Python need, at versions that are known to fit together.
var pythonPackages = []string{"cassandra-driver==3.29.2", "cqlsh==6.2.0", "lz4==4.3.3"}

// python returns the folder of an environment with the packages.
func python(t *testing.T) string {
	t.Helper()
	return testenv.Python(t, pythonPackages...)
}

// runPython runs the environment's interpreter and returns what it printed.
func runPython(t *testing.T, env string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(env, "bin", "python"), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "PYTHONDONTWRITEBYTECODE=1")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs.String())
	}
	return string(out)
}

func TestTheDataStaxDriverWorksThroughTheProxyUnchanged(t *testing.T) {
	env := python(t)
	script, err := filepath.Abs("testdata/driver.py")
	if err != nil {
		t.Fatal(err)
	}
	hosts, keyspace := cassandratest.Keyspace(t)
	b := before(t, hosts)
	contact, port := b.contact()
	out := runPython(t, env, script, contact[0], fmt.Sprint(port), keyspace, "p")
	var found [][]string
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 6 {
		t.Fatalf("%v in %q", err, out)
	}
	for i, hosts := range found {
		if !slices.Equal(hosts, b.proxy.Addrs()) {
			t.Errorf("%d: the driver found %v, want the proxy's %v", i, hosts, b.proxy.Addrs())
		}
	}
	if failed := b.failed.list(); len(failed) > 0 {
		t.Errorf("the proxy reported %q", failed)
	}
}

func TestCqlshWorksThroughTheProxyUnchanged(t *testing.T) {
	env := python(t)
	hosts, keyspace := cassandratest.Keyspace(t)
	b := before(t, hosts)
	contact, port := b.contact()
	table := keyspace + ".c"
	create := fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, v text);", table)
	for _, version := range []string{"4", "5"} {
		for _, compressed := range []bool{false, true} {
			t.Run(fmt.Sprintf("v%s compressed %v", version, compressed), func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "out.csv")
				// The driver compresses if it finds lz4.
				hide := ""
				if !compressed {
					hide = "sys.modules['lz4'] = None; "
				}
				out := runPython(t, env, "-c", "import runpy, sys; "+hide+"sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')",
					filepath.Join(env, "bin", "cqlsh"), contact[0], fmt.Sprint(port), "--protocol-version", version, "--connect-timeout", "60", "--request-timeout", "60", "-e",
					fmt.Sprintf("CONSISTENCY QUORUM; %[3]s INSERT INTO %[1]s (id, v) VALUES (1, 'one'); INSERT INTO %[1]s (id, v) VALUES (2, 'two'); SELECT * FROM %[1]s; DESCRIBE TABLE %[1]s; COPY %[1]s TO '%[2]s'; SELECT peer FROM system.peers;", table, file, create))
				create = ""
				for _, want := range []string{"Consistency level set to QUORUM", "| one", "| two", "CREATE TABLE " + table, "2 rows exported to 1 files"} {
					if !strings.Contains(out, want) {
						t.Errorf("%q is not in\n%s", want, out)
					}
				}
			})
		}
	}
}
