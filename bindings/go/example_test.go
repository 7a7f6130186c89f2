package flatpoint_test

import (
	"fmt"
	"log"

	flatpoint "example.org/flatpoint/bindings/go"
)

func Example() {
	file, err := flatpoint.Open("../../tests/conformance/golden/d02_dtensor_2d.flatpoint")
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
	// rr float32 [4]
	// rs1 float32 [8 12]
	// s0r float32 [16]
	// s0s0 float32 [16 4]
	// s0s1 float32 [8 12]
	// uneven2d float32 [5 7]
}
