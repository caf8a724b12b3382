// Package upstream calls the three services that a license is decided on:
// membership, catalog and key service. Each client has the policy of its
// dependency, and what stands in for the dependency when it fails:
//
//   - membership: the last known plan, for long if a license is renewed, for short
//     if one is new;
//   - catalog: the last known terms up to a day, then the strictest terms of the
//     title's studio;
//   - key service: nothing. It is hedged, and without a key there is no license.
//
// It may import resilience and clients/rest, and nothing of licensesvc; its
// folder server holds the services themselves, small and real.
//
// It promises: every result says where it came from and how old it is; an answer
// such as "no such member" is an answer, for which nothing stands in.
package upstream
