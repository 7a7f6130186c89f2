module example.org/flatpoint/cgo

go 1.23
