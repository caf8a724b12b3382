package cqlproxy

import "github.com/backstay-go/backstay/chaos"

// dropReply lets the node carry the request out, and loses its answer.
type dropReply struct{ noEffect }

func (dropReply) answer(*relay, frame, *mark, chaos.Fault) frame { return nil }
