package diskwatch_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/diskwatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const gib = 1 << 30

func TestPredict(t *testing.T) {
	grow := func(n int, every time.Duration, perStep int64, free int64) []diskwatch.Sample {
		var s []diskwatch.Sample
		for i := range n {
			events := 1000 + int64(i)*perStep
			s = append(s, diskwatch.Sample{At: epoch.Add(time.Duration(i) * every), Free: free, Used: events * 400, Events: events})
		}
		return s
	}
	burst := grow(20, time.Minute, 60, 100*gib)
	for i := 10; i < 20; i++ {
		burst[i].Events += 1_000_000
		burst[i].Used += 0
	}
	for _, tt := range []struct {
		name    string
		samples []diskwatch.Sample
		state   diskwatch.State
		perHour float64
		days    float64
		why     string
	}{
		{"nothing known", nil, diskwatch.OK, 0, -1, ""},
		{"too early to say", grow(3, time.Second, 10, 100*gib), diskwatch.OK, 0, -1, ""},
		{"no growth", grow(10, time.Minute, 0, 100*gib), diskwatch.OK, 0, -1, ""},
		// 3,600 events an hour of 400 bytes are 34.56 MB a day.
		{"lasts", grow(10, time.Minute, 60, 100*gib), diskwatch.OK, 3600, (100*gib - 256<<20) / 34.56e6, ""},
		{"days are few", grow(10, time.Minute, 60_000, 300*gib), diskwatch.Alarm, 3.6e6, (300*gib - 256<<20) / 34.56e9, "9.3 days"},
		{"little is free", grow(10, time.Minute, 60, gib/2), diskwatch.Alarm, 3600, (gib/2 - 256<<20) / 34.56e6, "512 MiB are free"},
		{"full", grow(10, time.Minute, 60, 100<<20), diskwatch.Full, 3600, 0, "releases and renewals"},
		{"a burst does not bend the rate", burst[:12], diskwatch.OK, 3600, -2, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := diskwatch.Predict(tt.samples, diskwatch.Limits{})
			if f.State != tt.state || math.Abs(f.EventsPerHour-tt.perHour) > 0.01*tt.perHour || !strings.Contains(f.Why, tt.why) || (f.Why == "") != (f.State == diskwatch.OK) {
				t.Errorf("%+v", f)
			}
			if tt.days > -2 && math.Abs(f.DaysLeft-tt.days) > 0.01*math.Abs(tt.days) {
				t.Errorf("%g days left, want %g", f.DaysLeft, tt.days)
			}
		})
	}
}

func TestLimitsNameEveryProblem(t *testing.T) {
	err := diskwatch.Limits{AlarmDays: -1, FullBytes: -1, AlarmBytes: -1}.Check()
	for _, want := range []string{"AlarmDays", "FullBytes", "AlarmBytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if err := (diskwatch.Limits{FullBytes: 100, AlarmBytes: 50}).Check(); err == nil {
		t.Error("an alarm after the refusals was taken")
	}
}

func TestMonitorReachesFarBackInBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		m, err := diskwatch.NewMonitor(t.Context(), diskwatch.MonitorConfig{
			Disk: func() (int64, error) { return 100 * gib, nil },
			Store: func(context.Context) (int64, int64, error) {
				n := int64(time.Since(start).Seconds())
				return n, n * 400, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if err := m.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if f := m.Forecast(); math.Abs(f.EventsPerHour-3600) > 36 || f.BytesPerEvent != 400 {
			t.Errorf("%+v", f)
		}
	})
}

func TestADiskThatCannotBeMeasuredIsSeen(t *testing.T) {
	broken := false
	m, err := diskwatch.NewMonitor(t.Context(), diskwatch.MonitorConfig{
		Disk: func() (int64, error) {
			if broken {
				return 0, errors.New("input/output error")
			}
			return 5 * gib, nil
		},
		Store: func(context.Context) (int64, int64, error) { return 1, 0, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	broken = true
	m.Look(t.Context())
	if m.Err() == nil || m.Forecast().State != diskwatch.OK || m.Forecast().FreeBytes != 5*gib {
		t.Errorf("%v %+v", m.Err(), m.Forecast())
	}
	broken = false
	m.Look(t.Context())
	if m.Err() != nil {
		t.Error(m.Err())
	}
	if _, err := diskwatch.NewMonitor(t.Context(), diskwatch.MonitorConfig{Every: -1}); err == nil || !strings.Contains(err.Error(), "Every") {
		t.Errorf("%v", err)
	}
}

func TestDiskMeasuresFreeSpace(t *testing.T) {
	dir := t.TempDir()
	if free, err := diskwatch.Disk(dir)(); err != nil || free <= 0 {
		t.Errorf("free %d, %v", free, err)
	}
	if _, err := diskwatch.Disk(filepath.Join(dir, "gone"))(); err == nil {
		t.Error("a folder that is not there was measured")
	}
}

// TestASizeThatIsNotKnownMakesNoForecast: a store on other machines does not fill this disk.
func TestASizeThatIsNotKnownMakesNoForecast(t *testing.T) {
	m, err := diskwatch.NewMonitor(t.Context(), diskwatch.MonitorConfig{
		Disk:  func() (int64, error) { return 5 * gib, nil },
		Store: func(context.Context) (int64, int64, error) { return 100, -1, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Forecast(); got.BytesPerEvent != 0 || got.DaysLeft >= 0 {
		t.Errorf("%+v", got)
	}
}

// TestAStoreThatCannotBeAskedDoesNotHideTheDisk: a monitor starts while the store is down, and
// still notices a disk that fills up.
func TestAStoreThatCannotBeAskedDoesNotHideTheDisk(t *testing.T) {
	free := int64(5 * gib)
	m, err := diskwatch.NewMonitor(t.Context(), diskwatch.MonitorConfig{
		Disk:  func() (int64, error) { return free, nil },
		Store: func(context.Context) (int64, int64, error) { return 0, 0, errors.New("no node answers") },
	})
	if err != nil || m.Forecast().State != diskwatch.OK {
		t.Fatal(err, m.Forecast())
	}
	free = 1
	m.Look(t.Context())
	if m.Forecast().State != diskwatch.Full || m.Err() != nil {
		t.Errorf("%+v %v", m.Forecast(), m.Err())
	}
}
