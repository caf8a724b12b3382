// Package chaostest makes the license service a target of scenarios. It starts a whole service,
// the servers that it depends on, and a proxy or wrapper in front of each that injects faults.
// Members send requests over HTTP and remember the answers. Checks compare those answers with the
// traffic and with the content of the store afterwards. The scenarios are in the folder
// scenarios; [Library] reads them.
//
// It may import everything of licensesvc, clients, resilience and chaos.
//
// It promises: nothing that was started is left running after Close. A check relies on what
// clients saw, on the traffic and on the store, and never on what the service says about itself.
package chaostest
