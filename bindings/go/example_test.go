package flatpoint_test

import (
	"fmt"
	"log"

	flatpoint "example.org/flatpoint/bindings/go"
)

func Example() {
	file, err := flatpoint.Open("../../tests/conformance/written/python.flatpoint")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	metadata := file.Metadata()
	for entry, err := range metadata.All() {
		if err != nil {
			log.Fatal(err)
		}
		if tensor, ok, err := entry.Tensor(); ok && err == nil {
			fmt.Println(entry.FQN(), tensor.Dtype(), tensor.Size())
		}
	}
	// Output:
	// b.grid float32 [4 2]
	// c.explicit float32 [5]
}
