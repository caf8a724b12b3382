package record

// Line is the line of a call.
func Line(c Call) string { return string(appendCall(nil, c)) }
