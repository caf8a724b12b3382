package version

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	for _, c := range []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{"nothing recorded", debug.BuildInfo{}, "devel"},
		{"a checkout", debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"},
			Settings: []debug.BuildSetting{setting("vcs.revision", "0123456789abcdef"), setting("vcs.modified", "true")}}, "devel (0123456789ab, modified)"},
		{"a short revision", debug.BuildInfo{Main: debug.Module{Path: module}, Settings: []debug.BuildSetting{setting("vcs.revision", "0123")}}, "devel (0123)"},
		{"an installed program", debug.BuildInfo{Main: debug.Module{Path: module, Version: "v1.2.0"}}, "v1.2.0"},
		{"another program", debug.BuildInfo{Main: debug.Module{Path: "example.com/orders", Version: "v9.0.0"},
			Deps: []*debug.Module{{Path: module, Version: "v1.3.0"}}}, "v1.3.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.want + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
			if got := describe(&c.info); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	if s := String(); !strings.Contains(s, runtime.Version()) {
		t.Errorf("%q does not name the Go version", s)
	}
}
