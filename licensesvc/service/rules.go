package service

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/rulefile"
)

// addRules adds the component of the rules that decide: those of the file, which is watched.
func (in *Instance) addRules() {
	part := component{name: "rules", health: in.rulesHealth}
	if in.cfg.Rules != nil {
		part.run = func(ctx context.Context) error { return in.cfg.Rules.Watch(ctx, in.takeRules, in.rulesRead) }
	}
	in.parts.add(part)
}

// takeRules puts rules in force, or says why the service can't decide by them.
func (in *Instance) takeRules(rules rulefile.Rules) error { return in.app.SetRules(rules.Rules) }

// rulesRead logs that rules were read, and whether they are in force.
func (in *Instance) rulesRead(before rulefile.Rules, err error) {
	log, file := in.cfg.Log, in.cfg.Rules.File()
	if err != nil {
		log.Error("the rules stay as they are", "file", file, "error", err)
		return
	}
	now := in.cfg.Rules.Rules()
	at := in.now()
	log.Info("the rules changed", "file", file, "version", now.VersionAt(at), "was", before.VersionAt(at), "versions", now.Rules.Versions())
	for _, name := range rewritten(before.Versions, now.Versions, at) {
		log.Warn("a version of the rules that had begun was changed or removed, although events refer to it: append a version instead", "file", file, "version", name)
	}
}

// rewritten returns the versions that had begun and are not there any more as they were.
func rewritten(before, now []license.Version, at time.Time) (names []string) {
	for _, old := range before {
		if old.From.After(at) {
			continue
		}
		i := slices.IndexFunc(now, func(v license.Version) bool { return v.Name == old.Name })
		if i < 0 || !reflect.DeepEqual(old, now[i]) {
			names = append(names, old.Name)
		}
	}
	return names
}

// rulesHealth says which version decides, and whether the file is bad.
func (in *Instance) rulesHealth() health {
	version := in.app.Rules().VersionAt(in.now())
	if in.cfg.Rules == nil {
		return health{StateOK, fmt.Sprintf("version %s decides, which the service has without a file", version)}
	}
	if err := in.cfg.Rules.Err(); err != nil {
		var problems []string
		for _, p := range strictyaml.Problems(err) {
			problems = append(problems, p.String())
		}
		return health{StateDegraded, fmt.Sprintf("version %s still decides, because %s is bad: %s", version, in.cfg.Rules.File(), strings.Join(problems, "; "))}
	}
	return health{StateOK, fmt.Sprintf("version %s of %s decides", version, in.cfg.Rules.File())}
}

// now returns the time by the clock of the service.
func (in *Instance) now() time.Time {
	if in.cfg.Clock != nil {
		return in.cfg.Clock()
	}
	return time.Now()
}
