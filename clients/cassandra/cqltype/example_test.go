package cqltype_test

import (
	"fmt"
	"math/big"

	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
)

func ExampleParseUUID() {
	id, err := cqltype.ParseUUID("7d444840-9dc0-11d1-b245-5ffdce74fad2")
	fmt.Println(id, err, id.Time().Year()) // a timeuuid has a time
	price := cqltype.Decimal{Unscaled: big.NewInt(1999), Scale: 2}
	fmt.Println(price)
	// Output:
	// 7d444840-9dc0-11d1-b245-5ffdce74fad2 <nil> 1998
	// 19.99
}
