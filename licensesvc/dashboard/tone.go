package dashboard

import "github.com/backstay-go/backstay/resilience"

// Tone is how good a value is; the page has a colour for each.
type Tone string

// The tones, the best first.
const (
	Good     Tone = "good"
	Fine     Tone = "good2" // as good, and told apart from Good
	Degraded Tone = "warn"
	Weak     Tone = "warn2"
	Refused  Tone = "shed"
	Doubtful Tone = "shed2"
	Bad      Tone = "bad"
	Neutral  Tone = "none"
)

// Value is a word on the page and its tone.
type Value struct {
	Name string `json:"name"`
	Tone Tone   `json:"tone"`
}

// sources are what an answer of a dependency can rest on, and what else came of a call.
var sources = []Value{
	{resilience.Live.String(), Good}, {resilience.Hedge.String(), Fine}, {resilience.Cache.String(), Fine},
	{resilience.Stale.String(), Degraded}, {resilience.Static.String(), Weak}, {"remote", Degraded},
	{"failed", Bad}, {"refused", Refused},
}
