// Package upstream calls the three services that a license is decided on:
// membership, catalog and key service. Each client has the policy of its
// dependency, and fallback data for when the dependency fails:
//
//   - membership: the last known plan, for 30 days if a license is renewed, for
//     15 minutes if one is new;
//   - catalog: the last known terms up to a day, then the strictest terms of the
//     title's studio;
//   - key service: nothing. It is hedged, and without a key there is no license.
//
// It may import resilience and clients/rest, and nothing of licensesvc; its
// folder server holds the services themselves, small and real.
//
// It promises: every result says where it came from and how old it is; an answer
// such as "no such member" is an answer, and no fallback replaces it.
package upstream
