package dashboard

import "github.com/backstay-go/backstay/resilience"

// Tone says how good a value is. The page shows each tone in a different colour.
type Tone string

// The tones are listed from best to worst.
const (
	Good     Tone = "good"
	Fine     Tone = "good2" // as good as Good, in a colour that can be distinguished from it
	Degraded Tone = "warn"
	Weak     Tone = "warn2"
	Refused  Tone = "shed"
	Doubtful Tone = "shed2"
	Bad      Tone = "bad"
	Neutral  Tone = "none"
)

// Value is a word that the page shows, with its tone.
type Value struct {
	Name string `json:"name"`
	Tone Tone   `json:"tone"`
}

// sources are the possible sources of a dependency's answer, and the other outcomes of a call.
var sources = []Value{
	{resilience.Live.String(), Good}, {resilience.Hedge.String(), Fine}, {resilience.Cache.String(), Fine},
	{resilience.Stale.String(), Degraded}, {resilience.Static.String(), Weak}, {"remote", Degraded},
	{"failed", Bad}, {"refused", Refused},
}
