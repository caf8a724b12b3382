package resilience

// startLimit is the limit with which a policy comes into force: a moving limit
// stays where it is as far as the new bounds allow, a fixed one is what it says.
func (p BulkheadPolicy) startLimit(before *shared, now int) int {
	if p.Adaptive == nil || before == nil || before.Bulkhead.Adaptive == nil {
		return p.Limit
	}
	return min(max(now, p.Adaptive.Min), p.Adaptive.Max)
}
