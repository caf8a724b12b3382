// Command backstay reads policy files, and tries them on recorded incidents.
//
//	backstay check FILE...                     print what is wrong, as a linter does
//	backstay explain FILE                      say what the policies do, with a worked worst case
//	backstay simulate --policy FILE RECORD     replay an incident under other policies
//	backstay schema                            print the JSON Schema of policy files
//
// FILE and RECORD may be - for standard input. The exit statuses are those of internal/cli: check
// ends with 1 when a file has errors; the others end with 2 when a file can't be used. It may
// import resilience and what lies below it, clients/cassandra/policyfile, cobra and internal/cli.
package main
