// One line of numbers for bench/readers/readers.py: bench FILE [JSON]
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"slices"
	"time"

	flatpoint "example.org/flatpoint/bindings/go"
)

// median seconds of that many runs.
func median(runs int, work func()) float64 {
	times := make([]float64, runs)
	for i := range times {
		begin := time.Now()
		work()
		times[i] = time.Since(begin).Seconds()
	}
	slices.Sort(times)
	return times[runs/2]
}

func open(path string) *flatpoint.File {
	file, err := flatpoint.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	return file
}

func main() {
	metadata := open(os.Args[1]).Metadata()
	var names []string
	var tensors []flatpoint.Tensor
	var begins, ones [][]int64
	for i := 0; i < metadata.Len(); i++ {
		entry, err := metadata.Entry(i)
		if err != nil {
			log.Fatal(err)
		}
		names = append(names, entry.FQN())
		if tensor, ok, _ := entry.Tensor(); ok {
			begin, one := slices.Clone(tensor.Size()), make([]int64, tensor.NDim())
			for d := range begin {
				begin[d], one[d] = begin[d]/2, 1
			}
			tensors, begins, ones = append(tensors, tensor), append(begins, begin), append(ones, one)
		}
	}
	opened := median(51, func() {
		file := open(os.Args[1])
		file.Metadata().Find(names[0])
		file.Close()
	})
	find := median(11, func() {
		for _, name := range names {
			metadata.Find(name)
		}
	})
	overlap := median(11, func() {
		for i := range tensors {
			tensors[i].Overlapping(begins[i], ones[i])
		}
	})
	parsed := 0.0
	if len(os.Args) > 2 {
		text, err := os.ReadFile(os.Args[2])
		if err != nil {
			log.Fatal(err)
		}
		parsed = median(5, func() {
			var value any
			if err := json.Unmarshal(text, &value); err != nil {
				log.Fatal(err)
			}
		})
	}
	fmt.Println(opened*1e6, find/float64(len(names))*1e9, overlap/float64(len(tensors))*1e6, parsed*1e3)
}
