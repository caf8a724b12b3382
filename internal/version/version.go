package version

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// module is the path of this module in a program's build information.
const module = "github.com/backstay-go/backstay"

// String describes the build in one line, for example
// "v1.2.0 (1a2b3c4d5e6f, modified) go1.26.8 linux/amd64". Details that the Go toolchain did not
// record are left out. If the version is missing, it is "devel".
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describe(info)
}

func describe(info *debug.BuildInfo) string {
	version := info.Main.Version
	if info.Main.Path != module { // Another program imports this module.
		for _, dep := range info.Deps {
			if dep.Path == module {
				version = dep.Version
			}
		}
	}
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	var notes []string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && s.Value != "":
			notes = append([]string{s.Value[:min(len(s.Value), 12)]}, notes...)
		case s.Key == "vcs.modified" && s.Value == "true":
			notes = append(notes, "modified")
		}
	}
	if len(notes) > 0 {
		version += " (" + strings.Join(notes, ", ") + ")"
	}
	return version + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
