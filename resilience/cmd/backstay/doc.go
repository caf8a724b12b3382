// Command backstay reads policy files, and tries them on recorded incidents.
//
//	backstay check FILE...                     print what is wrong, as a linter does
//	backstay explain FILE                      say what the policies do, with a worked worst case
//	backstay simulate --policy FILE RECORD     replay an incident under other policies
//	backstay schema                            print the JSON Schema of policy files
//
// Exit status: 0 when all is well, 1 when a file has errors or can't be replayed, 2 on
// wrong usage. It may import resilience and what lies below it, clients/cassandra/policyfile,
// and cobra.
package main
